"""Small generators as people write them, none of which this project knows: a 3D-WGAN, an alpha-GAN, a StyleGAN."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _up(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose3d(before, after, 4, 2, 1), nn.BatchNorm3d(after), nn.ReLU(inplace=True))


class WGANGenerator(nn.Module):
    """z (n, 100) through transposed convolutions to (n, 1, 24, 16, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 16 * 3 * 2 * 4)
        self.layers = nn.Sequential(_up(16, 8), _up(8, 8), nn.ConvTranspose3d(8, 1, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.dense(z).view(-1, 16, 3, 2, 4))


class AlphaGANGenerator(nn.Module):
    """z (n, 64) as one voxel, enlarged and convolved to (n, 1, 32, 32, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ConvTranspose3d(64, 16, 4)
        self.convolutions = nn.ModuleList(nn.Conv3d(16, 16, 3, padding=1, bias=False) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm3d(16) for _ in range(3))
        self.last = nn.Conv3d(16, 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z.view(-1, 64, 1, 1, 1))
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(F.interpolate(x, scale_factor=2))))
        return torch.tanh(self.last(x))


class AlphaGANEncoder(nn.Module):
    """(n, 1, 32, 32, 32) -> z (n, 64)."""

    def __init__(self) -> None:
        super().__init__()
        pairs = pairwise([1, 8, 16, 16])
        self.layers = nn.Sequential(*(nn.Sequential(nn.Conv3d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)) for a, b in pairs))
        self.last = nn.Conv3d(16, 64, 4)

    def forward(self, volume: Tensor) -> Tensor:
        return self.last(self.layers(volume)).flatten(1)


class _Styled(nn.Module):
    """A modulated and demodulated convolution with noise."""

    def __init__(self, before: int, after: int, side: int) -> None:
        super().__init__()
        self.style = nn.Linear(32, before)
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3, 3) / before**0.5)
        self.register_buffer("constant", torch.randn(1, 1, side, side, side))
        self.strength = nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor, w: Tensor, noise_mode: str) -> Tensor:
        weight = self.weight[None] * (self.style(w) + 1)[:, None, :, None, None, None]
        weight = weight * (weight.square().sum((2, 3, 4, 5), keepdim=True) + 1e-8).rsqrt()
        n, channels, *sides = x.shape
        x = F.conv3d(x.reshape(1, n * channels, *sides), weight.flatten(0, 1), padding=1, groups=n)
        x = x.reshape(n, -1, *sides)
        noise = torch.randn_like(x[:, :1]) if noise_mode == "random" else self.constant
        return F.leaky_relu(x + self.strength * noise, 0.2)


class StyleGenerator(nn.Module):
    """z (n, 32) by a mapping and a synthesis to (n, 1, 16, 16, 16), with random noise unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32))
        self.synthesis = _Synthesis()

    def forward(self, z: Tensor) -> Tensor:
        return self.synthesis(self.mapping(F.normalize(z) * z.shape[1] ** 0.5))


class _Synthesis(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, 16, 4, 4, 4))
        self.layers = nn.ModuleList(_Styled(16, 16, side) for side in (4, 8, 16))
        self.last = nn.Conv3d(16, 1, 1)

    def forward(self, w: Tensor, noise_mode: str = "random") -> Tensor:
        x = self.constant.expand(len(w), -1, -1, -1, -1)
        for k, layer in enumerate(self.layers):
            if k:
                x = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
            x = layer(x, w, noise_mode)
        return torch.tanh(self.last(x))
