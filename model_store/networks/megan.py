"""The generators of MEGAN (Uzunova et al., CMIG 2020), as the authors' released code has them.

    edges (at twice the size) -> whole image        the low-resolution network ("LR")
    coarse patch, edge patch  -> finer patch        one high-resolution network ("HR") per doubling

Both are residual networks. The paper's figure 3 draws a U-Net for LR; no file of its authors holds one
(docs/decisions/0032). Instance normalisation takes its statistics over each volume or patch alone, in inference too: a
patch is the same by itself and in a batch, and every voxel of it sees all of it.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

DROPOUT = 0.5
"""In the residual blocks while training: with the noise on the edges it stands for the paper's z (section 2.2)."""
REDUCTION = 4
"""Two halvings between the first features and the residual blocks."""


class Normalised(nn.Module):
    """A convolution, instance normalisation with a gain and a shift per channel, and ReLU."""

    def __init__(self, conv: nn.Conv3d | nn.ConvTranspose3d, is_rectified: bool = True) -> None:
        super().__init__()
        self.conv, self.norm = conv, nn.InstanceNorm3d(conv.out_channels, affine=True)
        self.is_rectified = is_rectified

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(x))
        return normed.relu_() if self.is_rectified else normed


class ResidualBlock(nn.Module):
    """x + two 3^3 convolutions of x; no ReLU behind the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Normalised(nn.Conv3d(channels, channels, 3, padding=1))
        self.second = Normalised(nn.Conv3d(channels, channels, 3, padding=1), is_rectified=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, d, h, w), the same."""
        y: Tensor = self.second(F.dropout(self.first(x), DROPOUT, self.training))
        return x + y


class ResidualGenerator(nn.Module):
    """Formats 3.2: features, halvings, residual blocks, doublings, an image in [-1, 1].

    `halves`: the edges come at twice the image's size, and one halving more takes them there.
    """

    def __init__(self, inputs: int, width: int, blocks: int, halves: bool = False) -> None:
        super().__init__()
        self.inputs: int = inputs
        self.halves: bool = halves
        self.step: int = REDUCTION * (2 if halves else 1)
        widths = [*([width] if halves else []), width, 2 * width, 4 * width]
        self.enter = Normalised(nn.Conv3d(inputs, width, 3, padding=1))
        self.down = nn.ModuleList(
            Normalised(nn.Conv3d(into, out, 4, stride=2, padding=1)) for into, out in pairwise(widths)
        )
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(blocks))
        self.up = nn.ModuleList(
            Normalised(nn.ConvTranspose3d(into, out, 4, stride=2, padding=1))
            for into, out in pairwise([4 * width, 2 * width, width])
        )
        self.leave = nn.Conv3d(width, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, d, h, w) -> (n, 1, d, h, w), or half of each side with `halves`. Sides divide by `step`."""
        if x.shape[1] != self.inputs or any(side % self.step for side in x.shape[2:]):
            raise ValueError(f"expected (n, {self.inputs}, multiples of {self.step}), got {tuple(x.shape)}")
        x = self.enter(x)
        for layer in (*self.down, *self.blocks, *self.up):
            x = layer(x)
        image: Tensor = self.leave(x)
        return image.tanh()


def low_resolution(width: int, blocks: int, edges_at_twice: bool = True) -> ResidualGenerator:
    """LR: edges of a whole scan to its image. 26 773 697 parameters at the authors' width 64 with 6 blocks."""
    return ResidualGenerator(1, width, blocks, halves=edges_at_twice)


def high_resolution(width: int, blocks: int) -> ResidualGenerator:
    """HR: a patch of the coarser image, then one of the edges, as two channels. 26 513 089 parameters, as above."""
    return ResidualGenerator(2, width, blocks)
