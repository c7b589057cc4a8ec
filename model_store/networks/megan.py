"""The generators of MEGAN (Uzunova et al., CMIG 2020), as the authors' released code has them.

    edges (at twice the size) -> whole image        the low-resolution network ("LR")
    coarse patch, edge patch  -> finer patch        one high-resolution network ("HR") per doubling

Both are residual networks. The paper's figure 3 draws a U-Net for LR; no file of its authors holds one
(docs/decisions/0040). Instance normalisation takes its statistics over each volume or patch alone, in inference too: a
patch is the same by itself and in a batch, and every voxel of it sees all of it.
"""

import math
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.instance_norm import normalised
from model_store.networks.megan_entry import halved_features

DROPOUT = 0.5
"""In the authors' residual blocks while training: with noise on the edges it stands for the paper's z (section 2.2)."""
REDUCTION = 4
"""Two halvings between the first features and the residual blocks."""


_MANY = 256
"""Channels from which a doubling pays in eight parts: 9 against 13 ms a patch at 256, 46 against 41 at 128."""


class Normalised(nn.Module):
    """A convolution, instance normalisation with a gain and a shift per channel, and ReLU."""

    def __init__(self, conv: nn.Conv3d | nn.ConvTranspose3d, is_rectified: bool = True) -> None:
        super().__init__()
        self.conv, self.norm = conv, nn.InstanceNorm3d(conv.out_channels, affine=True)
        self.is_rectified = is_rectified

    def forward(self, x: Tensor) -> Tensor:
        return self.settled(self.conv(x))

    def settled(self, x: Tensor) -> Tensor:
        """What the layer makes of what its convolution gave."""
        if _can_change(x):
            return normalised(x, self.norm, self.is_rectified)
        normed: Tensor = self.norm(x)
        return F.relu_(normed) if self.is_rectified else normed


def _can_change(x: Tensor) -> bool:
    """Whether what a convolution gave is ours to change, in the layout that the CPU's float32 convolutions leave."""
    is_plain = x.dtype == torch.float32 and x.device.type == "cpu" and not torch.is_grad_enabled()
    return is_plain and x.is_contiguous(memory_format=torch.channels_last_3d)


class ResidualBlock(nn.Module):
    """x + two 3^3 convolutions of x; no ReLU behind the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Normalised(nn.Conv3d(channels, channels, 3, padding=1))
        self.second = Normalised(nn.Conv3d(channels, channels, 3, padding=1), is_rectified=False)
        self.dropout = DROPOUT

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, d, h, w), the same."""
        y: Tensor = self.second(F.dropout(self.first(x), self.dropout, self.training))
        return x + y if torch.is_grad_enabled() else y.add_(x)


class Doubling(nn.ConvTranspose3d):
    """4^3 with stride 2. On the CPU, where there are many channels, as eight convolutions of 2^3, one for the voxels
    that are even or odd along each axis: they are faster than the one transposed convolution."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__(into, out, 4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(n, into, d, h, w) -> (n, out, 2d, 2h, 2w)."""
        if self.in_channels < _MANY or not _can_change(x):
            return super().forward(x, output_size)
        sides = [2 * side for side in x.shape[2:]]
        made = x.new_empty(len(x), self.out_channels, *sides).to(memory_format=torch.channels_last_3d)
        padded, kernels = F.pad(x, (1,) * 6), self.weight.transpose(0, 1)
        for odd in product((0, 1), repeat=3):
            # Voxel 2i + odd has the input's voxels i - 1 + odd and i + odd, by the kernel's taps 3 - odd and 1 - odd.
            k0, k1, k2 = (slice(1 - at, None, 2) for at in odd)
            kernel = kernels[:, :, k0, k1, k2].flip(2, 3, 4).contiguous(memory_format=torch.channels_last_3d)
            a0, a1, a2 = (slice(at, at + side + 1) for at, side in zip(odd, x.shape[2:], strict=True))
            b0, b1, b2 = (slice(at, None, 2) for at in odd)
            made[:, :, b0, b1, b2] = F.conv3d(padded[:, :, a0, a1, a2], kernel, self.bias)
        return made


class ToImage(nn.Conv3d):
    """7^3 to one channel. Convolutions fill the vector units by channels, and one channel leaves them all but empty:
    the seven taps along the first axis, for two neighbours along the second, become 14 channels of a 1x8x7
    convolution, which are shifted and added."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, d, h, w) -> (n, 1, d, h, w), h even."""
        depth, own = x.shape[2], self.weight[0].movedim(1, 0)[:, :, None]  # (7, width, 1, 7, 7)
        pair = torch.cat([F.pad(own, (0, 0, 0, 1)), F.pad(own, (0, 0, 1, 0))])
        taps = F.conv3d(x, pair, stride=(1, 2, 1), padding=(0, 3, 3))
        taps = F.pad(taps, (0, 0, 0, 0, 3, 3))
        taps = taps.reshape(len(taps), 2, 7, *taps.shape[2:])
        total = taps[:, :, 0, 0:depth] + taps[:, :, 1, 1 : 1 + depth]
        for tap in range(2, 7):
            total = total + taps[:, :, tap, tap : tap + depth]
        assert self.bias is not None
        image: Tensor = total.movedim(1, 3).flatten(2, 3)[:, None]  # (n, 2, d, h/2, w) -> (n, 1, d, h, w)
        return image + self.bias


class ResidualGenerator(nn.Module):
    """Formats 3.2: features, halvings, residual blocks, doublings, an image in [-1, 1].

    `halves`: the edges come at twice the image's size, and one halving more takes them there. Of docs/decisions/0047:
    with `adds` the image is the first of two inputs' middle, enlarged, and what the layers add to it; with `skips` the
    features of the way down are added on the way up, and that middle is an input too, for what skips must lie on what
    is made.
    """

    def __init__(
        self, inputs: int, width: int, blocks: int, halves: bool = False, adds: bool = False, skips: bool = False
    ) -> None:
        super().__init__()
        self.inputs: int = inputs
        self.adds: bool = adds
        self.skips: bool = skips
        self.aligns: bool = skips and inputs > 1
        self.halves: bool = halves
        self.step: int = REDUCTION * (2 if halves else 1)
        widths = [*([width] if halves else []), width, 2 * width, 4 * width]
        self.enter = Normalised(nn.Conv3d(inputs + self.aligns, width, 3, padding=1))
        self.down = nn.ModuleList(
            Normalised(nn.Conv3d(into, out, 4, stride=2, padding=1)) for into, out in pairwise(widths)
        )
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(blocks))
        self.up = nn.ModuleList(
            Normalised(Doubling(into, out)) for into, out in pairwise([4 * width, 2 * width, width])
        )
        self.leave = ToImage(width)

    def work(self, shape: tuple[int, int, int]) -> int:
        """Multiplications of the convolutions for one input (d, h, w), each done once."""
        voxels, total = math.prod(shape), 0
        for layer in (self.enter, *self.down, *self.blocks, *self.up):
            convs = [part for part in layer.modules() if isinstance(part, nn.Conv3d | nn.ConvTranspose3d)]
            for conv in convs:
                is_up, stride = isinstance(conv, nn.ConvTranspose3d), math.prod(conv.stride)
                voxels //= 1 if is_up else stride
                total += conv.in_channels * conv.out_channels * math.prod(conv.kernel_size) * voxels
                voxels *= stride if is_up else 1
        return total + self.leave.in_channels * math.prod(self.leave.kernel_size) * voxels

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, d, h, w) -> (n, 1, d, h, w), or half of each side with `halves`. Sides divide by `step`."""
        if x.shape[1] != self.inputs or any(side % self.step for side in x.shape[2:]):
            raise ValueError(f"expected (n, {self.inputs}, multiples of {self.step}), got {tuple(x.shape)}")
        coarse = enlarged_middle(x[:, :1]) if self.adds or self.aligns else None
        if coarse is not None and self.aligns:
            x = torch.cat([x, coarse], dim=1)
        image: Tensor = self.leave(self._risen(self._descended(x))).tanh()
        return (image + coarse).clamp(-1, 1) if coarse is not None and self.adds else image

    def _descended(self, x: Tensor) -> list[Tensor]:
        """Features at the image's size, at half and at a quarter of it; without `skips` the last alone."""
        steps = [self.enter, *self.down]
        if self.halves and not torch.is_grad_enabled():
            x, steps = halved_features(self.enter, self.down[0], x), steps[2:]  # type: ignore[arg-type]
        kept = [x]
        for step in steps:
            kept = [*kept, step(kept[-1])] if self.skips else [step(kept[-1])]
        return kept[-3:]

    def _risen(self, kept: list[Tensor]) -> Tensor:
        """The features behind the residual blocks and the way up."""
        x = kept.pop()
        for step in (*self.blocks, *self.up):
            x = step(x)
            if self.skips and isinstance(step, Normalised):
                x = x + kept.pop()
        return x


def low_resolution(width: int, blocks: int, edges_at_twice: bool = True, skips: bool = False) -> ResidualGenerator:
    """LR: edges of a whole scan to its image. 26 773 697 parameters at the authors' width 64 with 6 blocks."""
    return ResidualGenerator(1, width, blocks, halves=edges_at_twice, skips=skips)


def high_resolution(width: int, blocks: int, adds: bool = False, skips: bool = False) -> ResidualGenerator:
    """HR: a patch of the coarser image, then one of the edges, as two channels. 26 513 089 parameters, as above."""
    return ResidualGenerator(2, width, blocks, adds=adds, skips=skips)


def spread(edges: Tensor, power: float) -> Tensor:
    """Edges in [-1, 1] whose weights from 0 to 1 are raised to a power: below 1 the faint ones come forward."""
    return edges if power == 1 else ((edges + 1) / 2).clamp(min=0) ** power * 2 - 1


def enlarged_middle(coarse: Tensor) -> Tensor:
    """(n, 1, d, h, w) with twice the view of what is made -> its middle at twice the resolution, the same shape."""
    around = coarse
    for axis in (2, 3, 4):
        quarter = coarse.shape[axis] // 4
        around = around.narrow(axis, quarter - 1, 2 * quarter + 2)
    return F.interpolate(around, scale_factor=2, mode="trilinear", align_corners=False)[:, :, 2:-2, 2:-2, 2:-2]
