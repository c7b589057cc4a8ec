"""`own`: the latent that the model's own encoder finds. For plots and for judging reconstructions; not for ranking
models, since it was trained with the generator that it judges."""

import torch
from torch import Tensor

from evaluation.errors import EvaluationRefused
from model_store.features.network import Shape
from model_store.generator import Generator
from volumes.orientation import in_ras_order, to_network


class OwnEncoder:
    """Features (n, num_styles * w_dim)."""

    name = "own"

    def __init__(self, model: Generator) -> None:
        """Raises: EvaluationRefused, for a model without an encoder."""
        if not model.card.has_encoder:
            raise EvaluationRefused("this model has no encoder; choose other --features")
        self.model = model
        self.sha256 = model.card.sha256
        self.shape: Shape | None = in_ras_order(model.card.shape, model.card.axes)

    def features(self, unit: Tensor) -> Tensor:
        """(n, 1, X, Y, Z) -> (n, num_styles * w_dim)."""
        low, high = self.model.card.intensity.network_range
        turned = [torch.from_numpy(to_network(one[0].cpu().numpy(), self.model.card.axes)) for one in unit]
        return self.model.encode(torch.stack(turned)[:, None] * (high - low) + low).flatten(1)
