"""GroupNorm, ReLU and the last upsampling of a large volume, a few rows or one slice at a time. For inference alone.

What is normalised is never copied, and of the last convolution's products only those of one slice exist at a time.
Arithmetic is float32 whatever the precision of the features is.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

_CHUNK = {"cpu": 2**19, "cuda": 2**22}
"""Elements that are worked on at once: on the CPU what a core's second-level cache holds, on CUDA 16 MB in float32."""


def rows_of(x: Tensor) -> Tensor:
    """(1, C, d, h, w) in channels-last order -> (d h w, C), the same memory."""
    if x.shape[0] != 1 or not x.is_contiguous(memory_format=torch.channels_last_3d):
        raise ValueError(f"expected one channels-last sample (1, C, d, h, w), got {tuple(x.shape)}")
    return x.permute(0, 2, 3, 4, 1).reshape(-1, x.shape[1])


def chunks_of(rows: Tensor) -> Iterator[Tensor]:
    """Views of (m, C), a few rows each."""
    yield from torch.split(rows, max(1, _CHUNK.get(rows.device.type, 2**19) // rows.shape[1]))


class Moments:
    """Mean and variance of each channel, of rows that come in pieces: as exact as over all rows at once.

    The pieces' float32 moments are joined in float64 (Chan, Golub and LeVeque 1983, eq. 2.1).
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)
        """Sum of squared differences from the mean."""

    def add(self, rows: Tensor) -> None:
        """(m, C), more rows."""
        for chunk in chunks_of(rows):
            variance, mean = (value.double() for value in _moments(chunk.float()))
            old, new = self._count, len(chunk)
            step = mean - self._mean
            self._count = old + new
            self._mean = self._mean + step * (new / self._count)
            self._squares = self._squares + variance * new + step.square() * (old * new / self._count)

    def affine(self, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
        """What `norm` does to all these rows, as a scale and a shift (C,) of each channel: x * scale + shift."""
        mean = self._mean.view(norm.num_groups, -1)
        variance = (self._squares / self._count).view(norm.num_groups, -1)
        centre = mean.mean(1, keepdim=True)
        spread = (variance + (mean - centre).square()).mean(1, keepdim=True)
        scale = norm.weight.double() * (spread + norm.eps).rsqrt().expand_as(mean).reshape(-1)
        shift = norm.bias.double() - centre.expand_as(mean).reshape(-1) * scale
        return scale.float(), shift.float()


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and mean of each column of float32 rows. On the CPU torch's reduction over rows takes 14 times longer
    than the one that batch normalisation has for itself."""
    if rows.device.type == "cpu":
        mean, variance = torch.batch_norm_update_stats(rows, None, None, 0.0)
        return variance, mean
    variance, mean = torch.var_mean(rows, 0, correction=0)
    return variance, mean


def norm_relu_(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """relu(norm(x)) written over x, (n, C, d, h, w) in channels-last order."""
    for sample in torch.split(x, 1):
        rows, moments = rows_of(sample), Moments()
        moments.add(rows)
        scale, shift = moments.affine(norm)
        for chunk in chunks_of(rows):
            chunk.copy_(_normed(chunk, scale, shift)) if chunk.dtype != torch.float32 else _normed(
                chunk, scale, shift, out=chunk
            )
    return x


def _normed(rows: Tensor, scale: Tensor, shift: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.addcmul(shift, rows.float(), scale, out=out).relu_()


def upsample_to_volume(slabs: Iterable[Tensor], affine: tuple[Tensor, Tensor], conv: nn.Module, volume: Tensor) -> None:
    """The end of a generator: x * scale + shift, ReLU, a folded upsampling convolution to one channel, tanh.

    A stride-2 transposed convolution with 4 taps sends input i to outputs 2i - 1 to 2i + 2 along each axis. The 64
    products of each input voxel come out of one matrix product per slice; they are then added in pairs, axis by axis,
    along whole rows. torch's own kernel for a single output channel reaches a twelfth of the matrix product's rate.

    Args:
        slabs: (1, C, s, h, w) in channels-last order, one after another along the first axis, d slices in all.
        affine: scale and shift (C,).
        conv: its `folded` weight is (C, 1, 4, 4, 4), its `bias` (1,).
        volume: (2 d, 2 h, 2 w) float32, which is filled.
    """
    folded, bias = conv.folded, conv.bias
    if not isinstance(folded, Tensor) or not isinstance(bias, Tensor) or folded.shape[1:] != (1, 4, 4, 4):
        raise ValueError("expected a folded convolution to one channel")
    taps = folded.float().permute(1, 2, 3, 4, 0).reshape(64, -1)
    height, width = volume.shape[1] // 2, volume.shape[2] // 2
    # Of the slice before: what it adds to the two output slices of this one.
    carried = taps.new_zeros(2, 4, 4, height, width)
    last = 0
    for slab in slabs:
        for piece in torch.split(rows_of(slab), height * width):
            products = (taps @ _normed(piece, *affine).t()).view(4, 4, 4, height, width)
            planes = _fold_plane(carried.add_(products[:2]))  # output slices 2 i - 1 and 2 i
            _finish(volume[max(0, 2 * last - 1) : 2 * last + 1], planes[-1 if last == 0 else -2 :], bias)
            carried, last = products[2:], last + 1
    _finish(volume[2 * last - 1 :], _fold_plane(carried)[:1], bias)


def _fold_plane(pair: Tensor) -> Tensor:
    """(2, 4, 4, h, w), the products for two output slices, -> (2, 2h, 2w): added along both axes and interleaved."""
    _, _, _, height, width = pair.shape
    rows = pair.new_zeros(2, 2, 4, height + 1, width)
    rows[:, :, :, :-1] = pair[:, :2]
    rows[:, :, :, 1:] += pair[:, 2:]
    columns = pair.new_zeros(2, 2, 2, height + 1, width + 1)
    columns[..., :-1] = rows[:, :, :2]
    columns[..., 1:] += rows[:, :, 2:]
    # Position (i, parity) is output 2 i + parity - 1: the first and the last of them lie outside.
    flat = columns.permute(0, 3, 1, 4, 2).reshape(2, 2 * height + 2, 2 * width + 2)
    return flat[:, 1:-1, 1:-1]


def _finish(target: Tensor, planes: Tensor, bias: Tensor) -> None:
    torch.add(planes, bias.float(), out=target)
    target.tanh_()
