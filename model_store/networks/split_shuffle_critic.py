"""Discriminator of Split&Shuffle-GAN (Liu et al. 2022, fig. 2 and 3): StyleGAN2's residual one."""

import math

import torch
from torch import Tensor, nn

from model_store.networks.equalised import GAIN, EqualisedLinear, leaky_relu
from model_store.networks.split_shuffle_layers import PlainConv, conv, equalised, low_pass
from model_store.sizes.split_shuffle import Architecture

GROUP = 4
"""Samples over which the minibatch standard deviation is taken."""


class ResidualBlock(nn.Module):
    """Two modules, the second halving, beside a 1^3 skip."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        c, ones = architecture.channels, (1,) * architecture.dims
        self.first, self.second = PlainConv(architecture), PlainConv(architecture, halves=True)
        self.skip = nn.Parameter(torch.randn(c, c, *ones))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, *2d) -> (n, c, *d)."""
        skip = conv(low_pass(x, padding=1, stride=2), equalised(self.skip))
        x = self.second(self.first(x), gain=1.0)
        return x + skip * math.sqrt(0.5)


class SplitShuffleDiscriminator(nn.Module):
    """Image -> one logit.

    Where the channels are split, the map of standard deviations is taken in by a 1^3 convolution to c channels, so that
    the last module has halves to split; the counts of tables III, V and VI need it (docs/decisions/0018). By them, too,
    the last module of depthwise-d takes in c + 1 channels, and that of group-d is the baseline's.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        c, dims = architecture.channels, architecture.dims
        self.from_image = nn.Parameter(torch.randn(c, 1, *(1,) * dims))
        self.from_image_bias = nn.Parameter(torch.zeros(c))
        self.blocks = nn.ModuleList(ResidualBlock(architecture) for _ in range(architecture.doublings))
        if architecture.branches == 2:
            self.take_in = nn.Parameter(torch.randn(c, c + 1, *(1,) * dims))
            self.last = PlainConv(architecture)
        elif architecture.variant == "depthwise-d":
            self.last = PlainConv(architecture, more=1)
        else:
            self.take_in = nn.Parameter(torch.randn(c, c + 1, *(3,) * dims))
            self.last_bias = nn.Parameter(torch.zeros(c))
        self.dense = EqualisedLinear(c * math.prod(architecture.base), c, gain=1)
        self.verdict = EqualisedLinear(c, 1, gain=1)

    def features(self, image: Tensor) -> list[Tensor]:
        """(n, 1, *shape) -> what each residual block makes of it, finest first."""
        if image.shape[1:] != (1, *self.architecture.shape):
            raise ValueError(f"expected images (n, 1, *{self.architecture.shape}), got {tuple(image.shape)}")
        bias = self.from_image_bias.view(-1, *(1,) * self.architecture.dims)
        x = leaky_relu(conv(image, equalised(self.from_image)) + bias) * GAIN
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, *shape) -> (n,) logits. The samples of a batch see each other through their standard deviation."""
        x = with_deviation(self.features(image)[-1])
        if self.architecture.branches == 2:
            x = self.last(conv(x, equalised(self.take_in)))
        elif self.architecture.variant == "depthwise-d":
            x = self.last(x)
        else:
            bias = self.last_bias.view(-1, *(1,) * self.architecture.dims)
            x = leaky_relu(conv(x, equalised(self.take_in), padding=1) + bias) * GAIN
        x = leaky_relu(self.dense(x.flatten(1))) * GAIN
        verdict: Tensor = self.verdict(x)
        return verdict[:, 0]


def with_deviation(x: Tensor) -> Tensor:
    """(n, c, *d) -> (n, c + 1, *d): beside the features their standard deviation over groups of samples, averaged over
    channels and voxels. A group is of the most samples, up to GROUP, that divide the batch."""
    n = len(x)
    size = max(k for k in range(1, min(GROUP, n) + 1) if n % k == 0)
    groups = x.view(size, n // size, *x.shape[1:])
    deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().flatten(1).mean(1)  # (n / size,)
    column = deviation.repeat(size).view(n, 1, *(1,) * (x.ndim - 2))
    return torch.cat([x, column.expand(n, 1, *x.shape[2:])], dim=1)
