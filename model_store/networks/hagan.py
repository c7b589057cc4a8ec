"""HA-GAN: hierarchical amortised GAN (Sun et al., IEEE JBHI 2022; supplementary tables I to VII).

One parametrised class per network of the paper. `size` S is the edge of the output cube: 256 or 128 in the paper, 64
and 32 by the same rule. Feature maps A have edge S/4; a sub-volume has S/8 slices along A0.

    z -> common G^A -> A -> high G^H -> volume            (inference)
                       A -> low  G^L -> volume at S/4     (training)
    slabs -> E^H -> concatenated A -> E^G -> z

Where the paper's tables and the authors' checkpoints differ (the heads of D^H), the checkpoints are followed.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from model_store.networks.layers import NormReLU, UpsampleConv3d
from model_store.networks.streamed import Moments, rows_of, upsample_to_volume
from model_store.sizes.hagan import EDGES

NUM_SLABS = 8
"""V of the paper: the number of non-overlapping sub-volumes that the encoder sees."""
_BASE = 4
_LOW = 4  # the low-resolution volume and the feature maps A have edge S / 4


def _doublings(size: int) -> int:
    """How often G^A doubles its 4^3 start: 4 for 256, 3 for 128, 2 for 64, 1 for 32."""
    if size not in EDGES:
        raise ValueError(f"HA-GAN has sizes {EDGES}, got {size}")
    return (size // _LOW // _BASE).bit_length() - 1


class CommonGenerator(nn.Module):
    """G^A (table I): latent and one-hot class to feature maps A."""

    def __init__(self, size: int, width: int, latent_dim: int, num_classes: int = 0) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.start_channels = 16 * width
        self.fc1 = nn.Linear(latent_dim + num_classes, self.start_channels * _BASE**3)
        channels = [16 * width, 16 * width, 16 * width, 8 * width, 4 * width, 2 * width]
        for index in range(1, 6):
            # The first convolution works on the 4^3 start; the doublings sit before the next ones.
            doubles = 2 <= index <= _doublings(size) + 1
            pair = channels[index - 1], channels[index]
            conv = UpsampleConv3d(*pair) if doubles else nn.Conv3d(*pair, 3, padding=1)
            self.add_module(f"conv{index}", conv)
            self.add_module(f"norm{index}", NormReLU(pair[1]))

    def forward(self, z: Tensor, one_hot: Tensor | None = None, last: int = 5) -> Tensor:
        """(n, L) and (n, K) -> A (n, 2 width, S/4, S/4, S/4), or the features after convolution `last`."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"expected latents (n, {self.latent_dim}), got {tuple(z.shape)}")
        if (self.num_classes > 0) != (one_hot is not None):
            raise ValueError("a one-hot class belongs to a conditional model, and only to it")
        if one_hot is not None:
            z = torch.cat([z, one_hot.to(z)], dim=1)
        x: Tensor = self.fc1(z).view(-1, self.start_channels, _BASE, _BASE, _BASE)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        for index in range(1, last + 1):
            x = self.get_submodule(f"norm{index}")(self.get_submodule(f"conv{index}")(x))
        return x


class LowResolutionGenerator(nn.Module):
    """G^L (table II): A to the low-resolution volume; used in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(2 * width, width, 3, padding=1)
        self.norm1 = NormReLU(width)
        self.conv2 = nn.Conv3d(width, width // 2, 3, padding=1)
        self.norm2 = NormReLU(width // 2)
        self.conv3 = nn.Conv3d(width // 2, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, 2 width, S/4, S/4, S/4) -> (n, 1, S/4, S/4, S/4) in [-1, 1]."""
        x = self.norm1(self.conv1(features))
        x = self.norm2(self.conv2(x))
        return torch.tanh_(self.conv3(x))


class HighResolutionGenerator(nn.Module):
    """G^H (table III): A, or some of its slices, to the volume at four times the edge."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = UpsampleConv3d(2 * width, width)
        self.norm1 = NormReLU(width)
        self.conv2 = UpsampleConv3d(width, 1)
        self.slab = 0
        """Slices of A that conv1 works on at a time in inference; 0 for all. Fewer take less memory and more time."""

    def forward(self, features: Tensor) -> Tensor:
        """(n, 2 width, d, S/4, S/4) -> (n, 1, 4d, S, S) in [-1, 1]; float32 once folded and without gradients."""
        return self.consume([features])

    def consume(self, held: list[Tensor]) -> Tensor:
        """`forward` of the features in a list that holds them alone: taken out of it, their memory is free before the
        volume takes its own."""
        features = held.pop()
        if torch.is_grad_enabled() or self.conv2.folded is None or (features.device.type != "cpu" and not self.slab):
            return torch.tanh_(self.conv2(self.norm1(self.conv1(features))))
        if len(features) != 1:
            return torch.cat([self.consume([sample]) for sample in torch.split(features, 1)])
        sides = [4 * side for side in features.shape[2:]]
        if not self.slab:
            features = _channels_last(self.conv1(features))
        moments = Moments()
        for part in self._slabs(features) if self.slab else [features]:
            moments.add(rows_of(part))
        volume = features.new_empty((1, 1, *sides), dtype=torch.float32)
        # With slabs conv1 runs again: GroupNorm wanted all of its output first, which is too much to keep.
        parts = self._slabs(features) if self.slab else [features]
        upsample_to_volume(parts, moments.affine(self.norm1), self.conv2, volume[0, 0])
        return volume

    def _slabs(self, features: Tensor) -> Iterator[Tensor]:
        """conv1's output (1, width, 2 slab, 2h, 2w) slab by slab; each needs one slice of A more on either side."""
        depth = features.shape[2]
        for start in range(0, depth, self.slab):
            end = min(start + self.slab, depth)
            first, last = max(start - 1, 0), min(end + 1, depth)
            out = self.conv1(_channels_last(features[:, :, first:last]))
            yield _channels_last(out[:, :, 2 * (start - first) : 2 * (end - first)])


def _channels_last(x: Tensor) -> Tensor:
    """x itself where it is so already. Where neither oneDNN nor cuDNN does a convolution (on Apple's processors, or in
    bfloat16 without AVX-512), torch's own kernels leave another order."""
    return x.contiguous(memory_format=torch.channels_last_3d)


class HAGANGenerator(nn.Module):
    """G: common (G^A), low (G^L) and high (G^H). `forward` is inference: z -> the full volume."""

    slabs = NUM_SLABS
    """Into how many sub-volumes a volume is cut: of these networks alone, where the paper's table IX is measured."""

    def __init__(self, size: int, width: int = 32, latent_dim: int = 1024, num_classes: int = 0) -> None:
        super().__init__()
        self.size = size
        self.common = CommonGenerator(size, width, latent_dim, num_classes)
        self.low = LowResolutionGenerator(width)
        self.high = HighResolutionGenerator(width)

    def forward(self, z: Tensor, one_hot: Tensor | None = None) -> Tensor:
        """(n, L) -> (n, 1, S, S, S) in [-1, 1]."""
        return self.high.consume([self.common(z, one_hot)])

    def sub_volume(self, features: Tensor, start: int) -> Tensor:
        """G^H on the slices of A that belong to the sub-volume starting at slice `start` (eq. 3).

        Not equal to the same slices of the full volume: GroupNorm sees the sub-volume alone.
        """
        volume: Tensor = self.high(select_features(features, start, self.size, self.slabs))
        return volume


def select_features(features: Tensor, start: int, size: int, slabs: int = NUM_SLABS) -> Tensor:
    """S^L(A; r): the S/32 slices of A under the sub-volume that starts at slice `start` of the full volume."""
    first = start // _LOW
    return features[:, :, first : first + size // slabs // _LOW]


def select_sub_volume(volume: Tensor, start: int, slabs: int = NUM_SLABS) -> Tensor:
    """S^H(X; r): S/8 slices of (n, 1, S, S, S), from the slice under which A has one: 4 * (start // 4)."""
    first = start // _LOW * _LOW
    return volume[:, :, first : first + volume.shape[2] // slabs]


class HighResolutionEncoder(nn.Module):
    """E^H (table IV): one sub-volume to its feature maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(1, width, 4, stride=2, padding=1)
        self.norm1 = NormReLU(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1)
        self.norm2 = NormReLU(width)
        self.conv3 = nn.Conv3d(width, 2 * width, 4, stride=2, padding=1)
        self.norm3 = NormReLU(2 * width)

    def forward(self, slab: Tensor) -> Tensor:
        """(n, 1, d, S, S) -> (n, 2 width, d/4, S/4, S/4)."""
        # The strides of a single channel's dimension tell the convolution which order its output is to have.
        slab = slab[:, 0, ..., None].permute(0, 4, 1, 2, 3)
        x = self.norm1(self.conv1(slab))
        x = self.norm2(self.conv2(x))
        features: Tensor = self.norm3(self.conv3(x))
        return features


class GroundEncoder(nn.Module):
    """E^G (table V): feature maps A to the latent. Sizes under 256 leave out the first convolutions."""

    def __init__(self, size: int, width: int, latent_dim: int) -> None:
        super().__init__()
        channels = [2 * width, width, 2 * width, 4 * width, 8 * width]
        self.first = 5 - _doublings(size)
        for index in range(self.first, 5):
            before = channels[0] if index == self.first else channels[index - 1]
            self.add_module(f"conv{index}", nn.Conv3d(before, channels[index], 4, stride=2, padding=1))
            self.add_module(f"norm{index}", NormReLU(channels[index]))
        self.conv5 = nn.Conv3d(channels[4], latent_dim, _BASE)

    def features(self, x: Tensor, first: int | None = None) -> Tensor:
        """Up to the last convolution: -> (n, 8 width, 4, 4, 4), from convolution `first` on."""
        for index in range(self.first if first is None else first, 5):
            x = self.get_submodule(f"norm{index}")(self.get_submodule(f"conv{index}")(x))
        return x

    def forward(self, features: Tensor) -> Tensor:
        """(n, 2 width, S/4, S/4, S/4) -> (n, L)."""
        z: Tensor = self.conv5(self.features(features))
        return z.flatten(1)


class HAGANEncoder(nn.Module):
    """E: high (E^H) on each of the eight sub-volumes, then ground (E^G) on their concatenation."""

    slabs = NUM_SLABS

    def __init__(self, size: int, width: int = 32, latent_dim: int = 1024) -> None:
        super().__init__()
        self.size = size
        self.high = HighResolutionEncoder(width)
        self.ground = GroundEncoder(size, width, latent_dim)

    def slab_features(self, volume: Tensor) -> Tensor:
        """A-hat: (n, 1, S, S, S) -> (n, 2 width, S/4, S/4, S/4), each sub-volume padded and normalised on its own."""
        if volume.shape[1:] != (1, self.size, self.size, self.size):
            raise ValueError(f"expected (n, 1, {self.size}, {self.size}, {self.size}), got {tuple(volume.shape)}")
        return torch.cat([self.high(slab) for slab in volume.chunk(self.slabs, dim=2)], dim=2)

    def forward(self, volume: Tensor) -> Tensor:
        """(n, 1, S, S, S) -> (n, L)."""
        z: Tensor = self.ground(self.slab_features(volume))
        return z


_Triple = int | tuple[int, int, int]


def _spectral(
    in_channels: int, out_channels: int, kernel: tuple[int, int, int], stride: _Triple, padding: _Triple
) -> nn.Module:
    return spectral_norm(nn.Conv3d(in_channels, out_channels, kernel, stride, padding), eps=1e-4)


class HighResolutionDiscriminator(nn.Module):
    """D^H (table VII): a sub-volume and its relative position r / (7S/8) to a logit and class logits."""

    slabs = NUM_SLABS

    def __init__(self, size: int, width: int = 32, num_classes: int = 0) -> None:
        super().__init__()
        c = width
        stages: list[tuple[int, tuple[int, int, int], _Triple, _Triple]] = [
            (c // 2, (4, 4, 4), 2, 1),
            (c, (4, 4, 4), 2, 1),
            (2 * c, (4, 4, 4), 2, 1),
            (4 * c, (2, 4, 4), 2, (0, 1, 1)),
            (8 * c, (2, 4, 4), 2, (0, 1, 1)),
            (16 * c, (1, 4, 4), (1, 2, 2), (0, 1, 1)),
            (4 * c, (1, 4, 4), 1, 0),
        ]
        # A smaller sub-volume needs fewer halvings: the first stages are left out.
        before, convs = 1, []
        for channels, kernel, stride, padding in stages[4 - _doublings(size) :]:
            convs.append(_spectral(before, channels, kernel, stride, padding))
            before = channels
        self.convs = nn.ModuleList(convs)
        self.size = size
        self.fc1 = spectral_norm(nn.Linear(4 * c + 1, 2 * c), eps=1e-4)
        self.fc2 = spectral_norm(nn.Linear(2 * c, 1), eps=1e-4)
        self.fc2_class = spectral_norm(nn.Linear(2 * c, num_classes), eps=1e-4) if num_classes else None

    def forward(self, slab: Tensor, start: int) -> tuple[Tensor, Tensor | None]:
        """(n, 1, S/8, S, S) and r -> logits (n,) and class logits (n, K) or None."""
        x = slab
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        if self.slabs != NUM_SLABS:  # what is left of a thicker one's slices
            x = x.mean(2)
        position = x.new_full((x.shape[0], 1), start / (self.size * (self.slabs - 1) / self.slabs))
        x = F.leaky_relu(self.fc1(torch.cat([x.flatten(1), position], dim=1)), 0.2)
        return self.fc2(x).squeeze(1), None if self.fc2_class is None else self.fc2_class(x)


class LowResolutionDiscriminator(nn.Module):
    """D^L (table VI): the low-resolution volume to a logit and class logits."""

    def __init__(self, size: int, width: int = 32, num_classes: int = 0) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width, 8 * width]
        before, convs = 1, []
        for out in channels[4 - _doublings(size) :]:
            convs.append(_spectral(before, out, (4, 4, 4), 2, 1))
            before = out
        self.convs = nn.ModuleList(convs)
        self.last = _spectral(before, 1 + num_classes, (4, 4, 4), 1, 0)

    def forward(self, low: Tensor) -> tuple[Tensor, Tensor | None]:
        """(n, 1, S/4, S/4, S/4) -> logits (n,) and class logits (n, K) or None."""
        x = low
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        x = self.last(x).flatten(1)
        return x[:, 0], x[:, 1:] if x.shape[1] > 1 else None


class HAGANDiscriminator(nn.Module):
    """D: high (D^H) and low (D^L), each with its own loss (eq. 4 and 5); the authors' code averages their logits."""

    def __init__(self, size: int, width: int = 32, num_classes: int = 0) -> None:
        super().__init__()
        self.high = HighResolutionDiscriminator(size, width, num_classes)
        self.low = LowResolutionDiscriminator(size, width, num_classes)
