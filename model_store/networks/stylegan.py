"""3D-StyleGAN of the bone paper (Angermann et al. 2023, section 3.2, table A.3).

    z -> mapping -> w -> 3 N learned affine maps -> styles
    constant -> [convolution, x2, convolution, convolution] x N -> 3^3 convolution, sigmoid -> volume

Every convolution but the last is modulated by a style and demodulated, then gets noise with one learned scale, a bias
and LReLU. Where table and text disagree: docs/decisions/0014.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.equalised import GAIN, EqualisedLinear, EqualisedToImage, leaky_relu
from model_store.networks.layers import fold_nearest_upsampling
from model_store.networks.progressive import check_stage, doubled, faded
from model_store.networks.slabs import InSlabs, Layer, in_chunks, upsampled
from model_store.sizes.progressive import MAPPING_LAYERS, Shape, stage_shape
from model_store.sizes.progressive import STYLES_PER_STAGE as STYLES_PER_STAGE

_EPSILON = 1e-8


class MappingNetwork(nn.Module):
    """Phi (table A.3, m1 to w): dense layers of z's width, the last of w's, each with LReLU."""

    mean_style: Tensor

    def __init__(self, z_dim: int = 512, w_dim: int = 512, layers: int = MAPPING_LAYERS) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualisedLinear(z_dim, w_dim if index == layers - 1 else z_dim) for index in range(layers)
        )
        self.register_buffer("mean_style", torch.zeros(w_dim))  # w-bar of section 4.1, set after training

    def forward(self, z: Tensor) -> Tensor:
        """(n, z_dim) -> (n, w_dim)."""
        for layer in self.layers:
            z = leaky_relu(layer(z))
        return z


class StyledConv3d(nn.Module):
    """A demodulated 3^3 convolution, after nearest-neighbour x2 where `doubles`; noise, bias, LReLU.

    The input channels are scaled by the style before the convolution and the output channels demodulated after it,
    which is the convolution with each sample's own modulated and demodulated weight; a batch shares one weight.
    """

    energy: Tensor | None

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, doubles: bool = False) -> None:
        super().__init__()
        self.doubles, self.folded = doubles, False
        self.affine = EqualisedLinear(w_dim, in_channels, gain=1, start=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_scale = nn.Parameter(torch.zeros(()))
        self.scale = (in_channels * 27) ** -0.5
        self.register_buffer("energy", None, persistent=False)

    def fold(self) -> None:
        """Once for inference: keep what the convolution runs on instead of the parameter."""
        self.energy = self._energy().detach()
        self.weight.data = self._kernel().detach().contiguous(memory_format=torch.channels_last_3d)
        self.folded = True

    def _kernel(self) -> Tensor:
        """(out, in, 3, 3, 3), or (in, out, 4, 4, 4) where it doubles."""
        if self.folded:
            return self.weight
        weight = self.weight * self.scale
        return fold_nearest_upsampling(weight) if self.doubles else weight

    def _energy(self) -> Tensor:
        """(out, in), float32: the weight's squares, summed over the taps."""
        return (self.weight.float() * self.scale).square().sum((2, 3, 4)) if self.energy is None else self.energy

    def codes(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w (n, w_dim) -> style (n, in, 1, 1, 1) and demodulation (n, out, 1, 1, 1), in the precision of the weight.

        The demodulated weights have norm sqrt(2), not 1: what LReLU takes from the second moment is given before.
        """
        style = self.affine(w)
        demodulation = GAIN * torch.rsqrt(style.float().square() @ self._energy().T + _EPSILON)
        shaped = (..., None, None, None)
        return style.to(self.weight)[shaped], demodulation.to(self.weight)[shaped]

    def convolve(self, x: Tensor) -> Tensor:
        """Modulated x (n, in, d, h, w) -> (n, out, d', h', w')."""
        if self.doubles:
            return F.conv_transpose3d(x, self._kernel(), stride=2, padding=1)
        return F.conv3d(x, self._kernel(), padding=1)

    def finish(self, x: Tensor, demodulation: Tensor, noise: Tensor | None) -> Tensor:
        """Demodulation, noise (n or 1, 1, d', h', w'), bias and LReLU; in place where no gradient will ask for x."""
        bias = self.bias[:, None, None, None]
        if torch.is_grad_enabled():
            x = x * demodulation + bias
            return leaky_relu(x if noise is None else x + self.noise_scale * noise)
        scaled_noise = None if noise is None else self.noise_scale * noise

        def work(part: Tensor, where: slice) -> None:
            part.mul_(demodulation.to(part)).add_(bias.to(part))
            leaky_relu(part if scaled_noise is None else part.add_(scaled_noise[:, :, where].to(part)))

        return in_chunks(x, work)

    def layer(self, demodulation: Tensor, noise: Tensor | None, style: Tensor | None = None) -> Layer:
        """For a run over slabs, whose input is already modulated unless a style is given."""

        def convolve(x: Tensor) -> Tensor:
            return self.convolve(x if style is None else modulated(x, style))

        def finish(x: Tensor, first: int) -> Tensor:
            return self.finish(x, demodulation, None if noise is None else noise[:, :, first : first + x.shape[2]])

        return convolve, finish

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """(n, in, d, h, w), (n, w_dim) and noise (n or 1, 1, d', h', w') -> (n, out, d', h', w'). x is used up."""
        style, demodulation = self.codes(w)
        return self.finish(self.convolve(modulated(x, style)), demodulation, noise)


def modulated(x: Tensor, style: Tensor) -> Tensor:
    """Channels scaled; in place where no gradient will ask for x."""
    if torch.is_grad_enabled():
        return x * style
    return in_chunks(x, lambda part, _: part.mul_(style.to(part)))


class SynthesisStage(nn.Module):
    """One stage: the three convolutions of table A.3, the second of which doubles."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int) -> None:
        super().__init__()
        self.first = StyledConv3d(in_channels, out_channels, w_dim)
        self.upsample = StyledConv3d(out_channels, out_channels, w_dim, doubles=True)
        self.last = StyledConv3d(out_channels, out_channels, w_dim)


class SynthesisNetwork(InSlabs):
    """G~ (table A.3): styles and noise to the volume at any stage."""

    def __init__(self, base: Sequence[int], channels: Sequence[int], w_dim: int = 512) -> None:
        super().__init__()
        self.base, self.num_stages, self.w_dim = tuple(base), len(channels), w_dim
        self.constant = nn.Parameter(torch.randn(channels[0], *base))
        before = [channels[0], *channels[:-1]]
        self.stages = nn.ModuleList(SynthesisStage(*pair, w_dim) for pair in zip(before, channels, strict=True))
        self.to_image = nn.ModuleList(EqualisedToImage(c) for c in channels)

    @property
    def num_styles(self) -> int:
        """15 for the paper's five stages."""
        return STYLES_PER_STAGE * self.num_stages

    def convolutions(self) -> list[StyledConv3d]:
        """All that read a style, in the order of the styles."""
        return [conv for conv in self.stages.modules() if isinstance(conv, StyledConv3d)]

    def noise_shapes(self, stage: int | None = None) -> list[Shape]:
        """Edges of the noise maps that the first `stage` stages read, in order."""
        last = self.num_stages if stage is None else stage
        return [stage_shape(self.base, s + doubled) for s in range(last) for doubled in (0, 1, 1)]

    def draw_noise(self, n: int, stage: int | None = None, source: torch.Generator | None = None) -> Iterator[Tensor]:
        """Standard normal maps (n, 1, *edges) for `forward`, drawn on the device of `source` or else of the weights."""
        device = self.constant.device if source is None else source.device
        for edges in self.noise_shapes(stage):
            yield torch.randn(n, 1, *edges, generator=source, device=device).to(self.constant)

    def forward(
        self, w: Tensor, noise: Iterator[Tensor] | None = None, stage: int | None = None, alpha: float = 1.0
    ) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *stage shape) in [0, 1]; without `noise` no noise is added."""
        stage = self.num_stages if stage is None else stage
        check_stage(stage, self.num_stages, alpha)
        if w.ndim != 3 or w.shape[1] < STYLES_PER_STAGE * stage or w.shape[2] != self.w_dim:
            raise ValueError(f"expected styles (n, {STYLES_PER_STAGE * stage}, {self.w_dim}), got {tuple(w.shape)}")
        x = self.constant.repeat(len(w), 1, 1, 1, 1).contiguous(memory_format=torch.channels_last_3d)
        maps = iter(repeat(None)) if noise is None else noise
        convolutions = list(zip(self.convolutions(), w.unbind(1), strict=False))[: STYLES_PER_STAGE * stage]
        for conv, row in convolutions[:-STYLES_PER_STAGE]:
            x = conv(x, row, next(maps))
        old = None
        if stage > 1 and alpha < 1:
            old = doubled(torch.sigmoid(self.to_image[stage - 2](x)))
        image = self._last_stage(x, convolutions[-STYLES_PER_STAGE:], maps, self.to_image[stage - 1])
        return image if old is None else faded(old, image, alpha)

    def _last_stage(
        self, x: Tensor, convolutions: list[tuple[StyledConv3d, Tensor]], maps: Iterator[Tensor | None], out: nn.Module
    ) -> Tensor:
        """A stage and its image; what follows the upsampling goes in slabs."""
        (first, row), (upsample, row_up), (last, row_last) = convolutions
        style, demodulation = upsample.codes(row_up)
        x = modulated(first(x, row, next(maps)), style)
        style_last, demodulation_last = last.codes(row_last)
        layers: list[Layer] = [
            upsample.layer(demodulation, next(maps)),
            last.layer(demodulation_last, next(maps), style_last),
            (out, lambda image, _: torch.sigmoid(image)),
        ]
        return upsampled(x, layers, self.slab_bytes)
