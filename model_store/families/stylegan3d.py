"""The authors' 3D-StyleGAN (Hong et al.) as it is served. Module keys are the weight file's keys."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model_store.card import ModelCard, Task
from model_store.families.base import ServedGenerator, expect
from model_store.loaded_model import Shape
from model_store.networks.stylegan3d import Mapping, Plan, StyledConv3d, Synthesis, ToImage
from model_store.sizes.stylegan3d import StyleGAN3DSizes

_NOISE_STREAM = 0x33445347


class ServedStyleGAN3D(ServedGenerator):
    """z and class -> one w for all 2R - 2 styles. Noise is stored, or drawn from a seed and shared by the batch."""

    sizes = StyleGAN3DSizes
    mean: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        latent, sizes = card.latent, StyleGAN3DSizes.of(card)
        plan = Plan(sizes.base, tuple(sizes.widths), latent.w_dim, sizes.architecture, sizes.noise)
        self.mapping = Mapping(latent.z_dim, latent.w_dim, sizes.mapping_width, sizes.mapping_layers, len(card.classes))
        self.synthesis = Synthesis(plan)
        self.register_buffer("mean", torch.zeros(latent.w_dim))

    def settle(self) -> None:
        for layer in self.modules():
            if isinstance(layer, StyledConv3d | nn.Conv3d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)

    def work_bytes(self, task: Task, shape: Shape) -> int:
        """Counted over the tensors that a pass holds: the last block's, zero-padded for its filter, or with gradients
        those of all blocks."""
        plan, voxels = self.synthesis.plan, math.prod(shape)
        item, is_resnet = torch.finfo(self.dtype).bits // 8, plan.architecture == "resnet"
        fields = 4 * 4 * voxels  # noise and image, and one before the other
        if task == "refine":
            blocks = sum((width * voxels) >> 3 * k for k, width in enumerate(reversed(plan.widths)))
            return (11 if is_resnet else 9) * blocks * item + fields
        a0, a1, a2 = (edge + 4 for edge in shape)
        padded, before = a0 * a1 * a2, plan.widths[-2:][0] * voxels // 8
        return (plan.widths[-1] * (2 * padded + (1 + is_resnet) * voxels) + before) * item + fields

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

    def style_matrices(self) -> Sequence[Tensor]:
        """The maps that make the styles: one (channels, w_dim) for each convolution and image layer."""
        layers: list[Any] = [layer for layer in self.synthesis.modules() if isinstance(layer, StyledConv3d | ToImage)]
        return [layer.style.weight for layer in layers]
