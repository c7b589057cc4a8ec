"""The authors' 3D-StyleGAN (Hong et al.) as it is served. Module keys are the weight file's keys."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from model_store.card import ModelCard, Triple
from model_store.families.base import Served, expect
from model_store.integrity import BrokenModel
from model_store.networks.stylegan3d import Architecture, Mapping, Plan, StyledConv3d, Synthesis, ToImage

_NOISE_STREAM = 0x33445347
_Width = Annotated[int, Field(ge=1, le=8192)]


class _Network(BaseModel):
    """`network` of the card."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    base: Annotated[Triple, Field(strict=False)]
    widths: Annotated[list[_Width], Field(min_length=1, max_length=10)]
    """Channels of block 2, 3, ..., R."""
    architecture: Architecture
    noise: bool
    mapping_layers: Annotated[int, Field(ge=1, le=64)]
    mapping_width: _Width


class ServedStyleGAN3D(Served):
    """z and class -> one w for all 2R - 2 styles. Noise is stored, or drawn from a seed and shared by the batch."""

    mean: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        latent = card.latent
        try:
            sizes = _Network.model_validate(card.network)
        except ValidationError as err:
            where = ".".join(str(part) for part in err.errors()[0]["loc"])
            raise BrokenModel(f"card.json: network.{where} is not that of a 3D-StyleGAN") from err
        plan = Plan(sizes.base, tuple(sizes.widths), latent.w_dim, sizes.architecture, sizes.noise)
        if not latent.has_style_space or card.truncation.kind != "psi" or card.has_encoder:
            raise BrokenModel("card.json: a 3D-StyleGAN has a style space, truncates by psi and has no encoder")
        if latent.num_styles != plan.num_styles or card.shape != plan.shape:
            raise BrokenModel("card.json: styles or shape are not those of a 3D-StyleGAN with these blocks")
        self.mapping = Mapping(latent.z_dim, latent.w_dim, sizes.mapping_width, sizes.mapping_layers, len(card.classes))
        self.synthesis = Synthesis(plan)
        self.register_buffer("mean", torch.zeros(latent.w_dim))

    def settle(self) -> None:
        for layer in self.modules():
            if isinstance(layer, StyledConv3d | nn.Conv3d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, num_styles, w_dim), the same row for each style."""
        expect(z, (self.card.latent.z_dim,), "latents")
        w: Tensor = self.mapping(z.to(self.device, torch.float32), label).float()
        return w[:, None].repeat(1, self.card.latent.num_styles, 1)

    def mean_style(self) -> Tensor:
        """(num_styles, w_dim): the moving average of w that training kept (dlatent_avg)."""
        return self.mean.float().repeat(self.card.latent.num_styles, 1)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *card.shape), nominally in [-1, 1]."""
        expect(w, (self.card.latent.num_styles, self.card.latent.w_dim), "styles")
        noise: list[Tensor] | None = None
        if noise_seed is not None and self.synthesis.plan.noise:
            # The seed also draws z; its stream must not come again as noise.
            noise = self.synthesis.draw_noise(noise_seed ^ _NOISE_STREAM)
        return self.widened(lambda w: self.synthesis(w.to(self.device, self.dtype), noise), w)

    def encode(self, volume: Tensor) -> Tensor:  # noqa: ARG002 -- the authors have no encoder
        raise TypeError("this model has no encoder")

    def style_matrices(self) -> Sequence[Tensor]:
        """The maps that make the styles: one (channels, w_dim) for each convolution and image layer."""
        layers: list[Any] = [layer for layer in self.synthesis.modules() if isinstance(layer, StyledConv3d | ToImage)]
        return [layer.style.weight for layer in layers]
