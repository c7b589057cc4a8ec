"""The one protocol that every generator family fulfils; recipes need no branch on the family."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from model_store.card import ModelCard
from model_store.features.reference import Reference
from model_store.loaded_model import LoadedModel


class Generator(LoadedModel, Protocol):
    """A model that makes volumes of latents. Differentiable in its inputs; callers turn gradients off.

    Without a style space w is one row that carries all of the generator's input: z, and the one-hot class where there
    are classes. Inputs may live on any device and have any float type; outputs are float32 on the model's device.
    Their gradient reaches the input in float16 too, however small it is at each voxel.
    """

    @property
    def card(self) -> ModelCard: ...

    @property
    def reference(self) -> Reference | None:
        """What its volumes are held against, where its folder holds it."""

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> styles w (n, num_styles, w_dim)."""

    def mean_style(self) -> Tensor:
        """(num_styles, w_dim): the mean of map over z, toward which psi truncates."""

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *card.shape) in the card's network range.

        `noise_seed` None takes the stored noise of a family that has noise inputs.
        """

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *card.shape) -> (n, num_styles, w_dim); without a style space z as (n, 1, z_dim).

        Raises:
            TypeError: the card says has_encoder false.
        """

    def critic_features(self, volume: Tensor) -> Sequence[Tensor]:
        """(n, 1, *card.shape) -> feature maps (n, c, d, h, w) of the critic that ships with the model, finest first.

        For the perceptual term of the inversion (bone paper, section 3.5): the last is its f_{L-1}. Empty without one.
        """

    def style_matrices(self) -> Sequence[Tensor]:
        """The linear maps (out, d) that read a latent first: what SeFa factorises. d is z_dim without a style space."""
