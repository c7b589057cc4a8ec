"""Layers with equalised learning rates (ProGAN, Karras et al. 2018, section 4.1; bone paper, appendix B).

Parameters start as N(0, 1) and stay of that size, so that one step of Adam means the same to each of them; the constant
of He's initialisation, gain / sqrt(fan in), is multiplied in as the layer runs. `fold` does so once, for inference.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.layers import fold_nearest_upsampling

GAIN = math.sqrt(2)
"""Of a layer before an activation that halves the second moment, as ReLU does; 1 where none follows."""
SLOPE = 0.2
"""Of LReLU, as in both papers that the networks come from."""


def leaky_relu(x: Tensor) -> Tensor:
    """In place: its gradient is read off the result."""
    return F.leaky_relu(x, SLOPE, inplace=True)


def swish(x: Tensor) -> Tensor:
    """x * sigmoid(x), in place where no gradient will ask for x."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


class EqualisedLinear(nn.Linear):
    """Dense layer; weight (out, in)."""

    def __init__(self, in_features: int, out_features: int, gain: float = GAIN, start: float = 0.0) -> None:
        self.start = start
        super().__init__(in_features, out_features)
        self.scale = gain / math.sqrt(in_features)

    def reset_parameters(self) -> None:
        """The bias starts at `start`."""
        nn.init.normal_(self.weight)
        nn.init.constant_(self.bias, self.start)

    def fold(self) -> None:
        """Multiply the scale into the weight, for good."""
        self.weight.data = self.matrix().detach()
        self.scale = 1.0

    def matrix(self) -> Tensor:
        """The weight that the layer multiplies by."""
        return self.weight if self.scale == 1 else self.weight * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.matrix(), self.bias)


class EqualisedConv3d(nn.Conv3d):
    """Convolution; weight (out, in, k, k, k)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, gain: float = GAIN
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding=(kernel - 1) // 2)
        self.scale = gain / math.sqrt(in_channels * kernel**3)

    def reset_parameters(self) -> None:
        """The bias starts at 0."""
        nn.init.normal_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def kernel(self) -> Tensor:
        """The weight that the layer convolves with."""
        return self.weight if self.scale == 1 else self.weight * self.scale

    def fold(self) -> None:
        """Keep that weight instead of the parameter, in the layout that the convolution likes."""
        self.weight.data = self.kernel().detach().contiguous(memory_format=torch.channels_last_3d)
        self.scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return F.conv3d(x, self.kernel(), self.bias, self.stride, self.padding)


class EqualisedFromImage(EqualisedConv3d):
    """A 3^3 convolution of one channel, its three slices taken as channels: convolutions like several channels."""

    def __init__(self, out_channels: int) -> None:
        super().__init__(1, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, d, h, w) -> (n, out, d, h, w)."""
        padded, depth = F.pad(x, (0, 0, 0, 0, 1, 1)), x.shape[2]
        # Stacked behind, so that the channels of a voxel lie together (channels last).
        slices = torch.stack([padded[:, 0, k : k + depth] for k in range(3)], -1).permute(0, 4, 1, 2, 3)
        return F.conv3d(slices, self.kernel().transpose(1, 2), self.bias, padding=(0, 1, 1))


class EqualisedToImage(EqualisedConv3d):
    """A 3^3 convolution to one channel (the paper's blue layers), its three slices computed as channels and summed."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, 1, gain=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, d, h, w) -> (n, 1, d, h, w)."""
        kernel = self.kernel().transpose(0, 2).reshape(3, -1, 1, 3, 3)  # (1, in, k0, k1, k2) -> (k0, in, 1, k1, k2)
        taps = F.conv3d(x, kernel, padding=(0, 1, 1))
        before, here, after = (F.pad(taps[:, k : k + 1], (0, 0, 0, 0, 1 - k, k - 1)) for k in range(3))
        assert self.bias is not None
        return before + here + after + self.bias


class EqualisedUpsampleConv3d(EqualisedConv3d):
    """Nearest-neighbour x2, then a 3^3 convolution, computed as one transposed convolution with 4^3 taps."""

    folded = False

    def kernel(self) -> Tensor:
        """(in, out, 4, 4, 4)."""
        return self.weight if self.folded else fold_nearest_upsampling(self.weight * self.scale)

    def fold(self) -> None:
        super().fold()
        self.folded = True

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, d, h, w) -> (n, out, 2d, 2h, 2w)."""
        return F.conv_transpose3d(x, self.kernel(), self.bias, stride=2, padding=1)


class EqualisedDownsampleConv3d(EqualisedConv3d):
    """A 3^3 convolution, then the mean of each 2^3 block: one strided convolution with 4^3 taps.

    Up to the factor 1/8 the transpose of the upsampling convolution, and folded like it.
    """

    folded = False

    def kernel(self) -> Tensor:
        """(out, in, 4, 4, 4)."""
        if self.folded:
            return self.weight
        return fold_nearest_upsampling((self.weight * self.scale).flip((2, 3, 4))).transpose(0, 1) / 8

    def fold(self) -> None:
        super().fold()
        self.folded = True

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, 2d, 2h, 2w) -> (n, out, d, h, w)."""
        return F.conv3d(x, self.kernel(), self.bias, stride=2, padding=1)
