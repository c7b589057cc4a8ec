"""MEGAN's networks by their L1 distance alone, with orthogonalised momentum: what few scans can teach in minutes
(docs/decisions/0047). The networks of the scales learn apart from each other, those above from the images below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from model_store.networks.cascade import BACKGROUND
from model_store.networks.layers import wide
from training.engine.checkpoint import save
from training.engine.data import Scans, prepare_folder
from training.engine.orthogonal import OrthogonalDescent
from training.engine.precision import forward_precision
from training.megan.augmentation import degraded
from training.megan.config import MEGANConfig
from training.megan.examples_in_use import example
from training.megan.patches import Examples
from training.megan.trainer import FAMILY, MEGANTrainer

RATE, VECTOR_RATE = 0.02, 2e-3
"""Of orthogonalised momentum on convolutions, and of Adam on what normalisation scales and shifts by."""
LAST_SHARE = 0.1
"""Of the rate, for the layer that gives the image. Its inputs are positive: at the full rate it runs into tanh's flat
end, where all is background, before the layers below have learned anything."""
WARM_UP = 20
"""Iterations on which the rates rise. They fall to a twentieth over the second half."""
SAVE_EVERY = 100
COARSE = 0
"""Of an HR network's inputs the coarser patch."""
OnIteration = Callable[[int, float], None]
"""(iterations done, L1 distance of the last one)."""


@dataclass(frozen=True)
class Descent:
    """One scale's training: so many iterations, each the sum of the gradients of so many examples."""

    iterations: int
    examples: int
    patches: int = 1
    """Of an HR example; LR's is a whole scan."""
    squares: float = 0.0
    """Weight of the squared error beside the L1 distance. Where LR cannot know, squares have the mean as optimum."""
    dropout: float = 0.0
    own_coarse: float = 0.85
    """Of the HR examples, whose coarser image is what the networks below make of the edges, as in use."""
    hidden: int | None = None
    """Of an HR network's inputs the one that is background (0 the coarser patch, 1 the edges): for a study."""


def fit(config: MEGANConfig, scale: int, descent: Descent, on_iteration: OnIteration | None = None) -> Path:
    """Train one scale's network from where `out` has it; the file that holds it.

    The networks of the scales below must be there.
    """
    config = config.model_copy(update={"batch_size": descent.patches, "dropout": descent.dropout})
    trainer = MEGANTrainer(config)
    for below in range(scale):
        trainer.cascade.levels[below].load_state_dict(trained(config, below))
    trainer.networks.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    level, saved = trainer.cascade.levels[scale], file_of(config, scale)
    optimisers, done = optimisers_of(level), 0
    if saved.exists():
        state = torch.load(saved, weights_only=True, map_location=config.device)
        done = state["done"]
        level.load_state_dict(state["network"])
        for optimiser, own in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(own)
    examples = Examples(prepared(trainer), config)
    while done < descent.iterations:
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = group["rate"] * share_of_rate(done, descent.iterations)
        source = trainer.source(done)
        losses = []
        for index in range(done * descent.examples, (done + 1) * descent.examples):
            own_coarse = 0.0 if descent.hidden == COARSE else descent.own_coarse
            real, conditions = example(examples, trainer.cascade, scale, index, own_coarse)
            if descent.hidden is not None:
                conditions[:, descent.hidden] = BACKGROUND
            losses.append(_descend(level, real, degraded(conditions, config, source), descent, config, source))
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        done += 1
        if on_iteration is not None:
            on_iteration(done, sum(losses) / len(losses))
        if done % SAVE_EVERY == 0 or done == descent.iterations:
            kept = [optimiser.state_dict() for optimiser in optimisers]
            save(saved, {"done": done, "network": level.state_dict(), "optimisers": kept})
    return saved


def optimisers_of(level: nn.Module) -> tuple[OrthogonalDescent, Adam]:
    """Orthogonalised momentum on convolutions, and Adam on vectors; each group says its full rate."""
    last = level.get_parameter("leave.weight")
    inner = [weight for weight in level.parameters() if weight.ndim > 1 and weight is not last]
    vectors = [vector for vector in level.parameters() if vector.ndim == 1]
    groups: list[dict[str, Any]] = [{"params": inner, "rate": RATE}, {"params": [last], "rate": LAST_SHARE * RATE}]
    return OrthogonalDescent(groups, RATE), Adam([{"params": vectors, "rate": VECTOR_RATE}])


def prepared(trainer: MEGANTrainer) -> Scans:
    """The scans of a run. Raises: DataRefused."""
    return prepare_folder(trainer.config.data, trainer.config.cache, FAMILY.preparation(trainer))


def share_of_rate(done: int, iterations: int) -> float:
    """Of the next iteration."""
    return min(1, (done + 1) / WARM_UP) * max(0.05, min(1, 2 * (iterations - done) / iterations))


def _descend(
    level: nn.Module, real: Tensor, seen: Tensor, descent: Descent, config: MEGANConfig, source: torch.Generator
) -> float:
    """The gradient of one example's loss, added to what the parameters hold; its L1 distance."""
    level.train()
    real, seen = real.to(config.device), seen.to(config.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=source)))  # for dropout
        with forward_precision(config.device, config.precision):
            made = wide(level(seen))
    distance = F.l1_loss(made, real)
    (distance + descent.squares * F.mse_loss(made, real)).backward()  # type: ignore[no-untyped-call]
    return distance.item()


def file_of(config: MEGANConfig, scale: int) -> Path:
    """Where `fit` keeps one scale's network and its way there."""
    return config.out / f"scale-{scale}.pt"


def trained(config: MEGANConfig, scale: int) -> dict[str, Tensor]:
    """The network that `fit` left."""
    network: dict[str, Tensor] = torch.load(file_of(config, scale), weights_only=True)["network"]
    return network


def with_trained(config: MEGANConfig) -> MEGANTrainer:
    """All networks that `fit` left."""
    trainer = MEGANTrainer(config)
    for scale, level in enumerate(trainer.cascade.levels):
        level.load_state_dict(trained(config, scale))
    return trainer
