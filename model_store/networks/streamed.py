"""GroupNorm, ReLU and the last upsampling of a large volume, a few rows or slices at a time. For inference alone.

Of what is normalised no more than a few slices are ever copied. Arithmetic is float32 whatever the precision of the
features is.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHUNK = {"cpu": 2**19, "cuda": 2**22}
"""Elements that are worked on at once: on the CPU what a core's second-level cache holds, on CUDA 16 MB in float32."""
_ONE_DNN_FROM = 20480
"""torch's threshold for a convolution of one float32 sample (use_mkldnn in ATen's Convolution.cpp)."""


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

    Along each axis the outputs 2p - 1 and 2p of a stride-2 transposed convolution with 4 taps read inputs p - 1 and p
    alone. So it is a convolution with 2^3 taps to eight channels, one for each parity of the output voxel, with as many
    products. torch's own kernel for a single output channel reaches a twelfth of the matrix product's rate.

    Args:
        slabs: (1, C, s, h, w) in channels-last order, one after another along the first axis, d slices in all.
        affine: scale and shift (C,).
        conv: its `folded` weight is (C, 1, 4, 4, 4), its `bias` (1,).
        volume: (2 d, 2 h, 2 w) float32, which is filled.
    """
    folded, bias = conv.folded, conv.bias
    if not isinstance(folded, Tensor) or not isinstance(bias, Tensor) or folded.shape[1:] != (1, 4, 4, 4):
        raise ValueError("expected a folded convolution to one channel")
    kernel, biases = _by_parity(folded.float()), bias.float().repeat(8)
    depth, done = volume.shape[0] // 2, 0
    before: Tensor | None = None
    for slab in slabs:
        for piece in _pieces(slab):
            end = done + piece.shape[2]
            block = _normed_block(piece, affine, before, is_last=end == depth)
            before = block[:, :, piece.shape[2]][:, :, None].clone()
            planes = _interleaved(F.conv3d(block, kernel, biases, padding=(0, 1, 1)).tanh_())
            # Slice 0 of these planes is the volume's 2 done - 1; the very first and the very last slice lie outside.
            first, last = max(0, 2 * done - 1), min(2 * depth, 2 * done - 1 + len(planes))
            volume[first:last] = planes[first - (2 * done - 1) :][: last - first]
            done = end
            del block, planes  # or they would lie beside the next ones


def block_slices(channels: int, height: int) -> int:
    """How many slices (C, h, w) go through the last convolution at once: at least these, fewer than twice as many.

    torch gives a convolution of one sample to oneDNN where C d h > 20,480; its own kernel takes five times as long.
    """
    return max(8, _ONE_DNN_FROM // (channels * height))


def _pieces(slab: Tensor) -> Sequence[Tensor]:
    """(1, C, s, h, w) in about equal parts along s."""
    _, channels, slices, height, _ = slab.shape
    return torch.tensor_split(slab, max(1, slices // block_slices(channels, height)), dim=2)


def _by_parity(folded: Tensor) -> Tensor:
    """(C, 1, 4, 4, 4) -> (8, C, 2, 2, 2): tap 2k + parity reads input p - k, and the convolution p - 1 first."""
    taps = folded.reshape(-1, 2, 2, 2, 2, 2, 2).flip((1, 3, 5))
    kernel = taps.permute(2, 4, 6, 0, 1, 3, 5).reshape(8, -1, 2, 2, 2)
    return kernel.contiguous(memory_format=torch.channels_last_3d)


def _normed_block(piece: Tensor, affine: tuple[Tensor, Tensor], before: Tensor | None, is_last: bool) -> Tensor:
    """float32 (1, C, 1 + s, h, w): the slice before the piece, zeros where there is none, the piece with its
    normalisation and ReLU, and zeros after the last piece."""
    _, channels, slices, height, width = piece.shape
    shape, order = (1, channels, 1 + slices + is_last, height, width), torch.channels_last_3d
    block = torch.empty(shape, dtype=torch.float32, device=piece.device, memory_format=order)
    block[:, :, :1] = 0.0 if before is None else before
    block[:, :, 1 + slices :] = 0.0
    for source, target in zip(chunks_of(rows_of(piece)), chunks_of(rows_of(block[:, :, 1 : 1 + slices])), strict=True):
        _normed(source, *affine, out=target)
    return block


def _interleaved(pairs: Tensor) -> Tensor:
    """(1, 8, p, h + 1, w + 1), a channel for each parity, -> (2 p, 2 h, 2 w)."""
    _, _, slices, height, width = pairs.shape
    blocks = pairs.view(2, 2, 2, slices, height, width).permute(3, 0, 4, 1, 5, 2)
    # As along the first axis, the first and the last row and column lie outside.
    return blocks.reshape(2 * slices, 2 * height, 2 * width)[:, 1:-1, 1:-1]
