"""Runs of local layers over slabs of slices, exact, so that no activation at full resolution exists as a whole.

A 3^3 convolution, one after x2 upsampling and one before x2 downsampling each know one slice too little at an end of a
slab that is not an end of the volume; that slice is cut off after each layer, and slabs overlap by as much.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Convolve = Callable[[Tensor], Tensor]
Finish = Callable[[Tensor, int], Tensor]
"""What a layer does at each voxel alone; given the index of the first slice, for what is stored by slice (noise)."""
Layer = tuple[Convolve, Finish]

_CACHED_BYTES = 4 * 2**20
"""Work at each voxel alone goes through the CPU's memory once if its operand fits the cache."""


class InSlabs(nn.Module):
    """A network whose work at the volume's full resolution goes in slabs."""

    slab_bytes: int | None = None
    """Of one activation; None computes it whole."""


def upsampled(x: Tensor, layers: Sequence[Layer], slab_bytes: int | None = None) -> Tensor:
    """(n, c, d, h, w) through layers of which the first doubles, with c channels or fewer: (n, c', 2d, 2h, 2w).

    As many slices at a time as make an activation of `slab_bytes`; None takes all at once.
    """
    depth, margin = x.shape[2], len(layers)

    def part(x: Tensor, first: int, last: int) -> Tensor:
        low, high = max(0, (first - margin) // 2), min(depth, (last + margin + 1) // 2)
        y, start = x[:, :, low:high], 2 * low
        for layer in layers:
            y, start = _through(layer, y, start, cut=(low > 0, high < depth))
        return y[:, :, first - start : last - start]

    return _joined(part, x, 2 * depth, _slices(slab_bytes, 4 * x.nbytes // depth, 2 * depth))


def downsampled(x: Tensor, layers: Sequence[Layer], channels: int, slab_bytes: int | None = None) -> Tensor:
    """(n, c, 2d, 2h, 2w) through layers with up to `channels` of which the last halves: (n, c', d, h, w).

    As many slices at a time as make an activation of `slab_bytes`; None takes all at once.
    """
    depth, margin = x.shape[2], len(layers) + 1

    def part(x: Tensor, first: int, last: int) -> Tensor:
        low, high = max(0, 2 * first - margin), min(depth, 2 * last + margin)
        y, start = x[:, :, low:high], low
        for index, layer in enumerate(layers):
            start = start // 2 if index == len(layers) - 1 else start
            y, start = _through(layer, y, start, cut=(low > 0, high < depth))
        return y[:, :, first - start : last - start]

    slice_bytes = x.nbytes // (x.shape[1] * depth) * channels
    return _joined(part, x, depth // 2, _slices(slab_bytes, 2 * slice_bytes, depth // 2))


def _slices(slab_bytes: int | None, slice_bytes: int, depth: int) -> int:
    return depth if slab_bytes is None else max(2, slab_bytes // max(1, slice_bytes) // 2 * 2)


def _through(layer: Layer, x: Tensor, start: int, cut: tuple[bool, bool]) -> tuple[Tensor, int]:
    """A layer's known slices, and the index of the first; `cut` where the slab's ends are not the volume's."""
    convolve, finish = layer
    y = convolve(x)
    start += cut[0]
    return finish(y[:, :, int(cut[0]) : y.shape[2] - cut[1]], start), start


def _joined(part: Callable[[Tensor, int, int], Tensor], x: Tensor, depth: int, slab: int) -> Tensor:
    """The slabs one after another. While gradients are wanted each is computed again on the way back, not kept."""
    if slab >= depth:
        return part(x, 0, depth)
    ends = [(first, min(first + slab, depth)) for first in range(0, depth, slab)]
    if not torch.is_grad_enabled():
        return torch.cat([part(x, *end) for end in ends], 2)
    return torch.cat([checkpoint(part, x, *end, use_reentrant=False, preserve_rng_state=False) for end in ends], 2)


def in_chunks(x: Tensor, work: Callable[[Tensor, slice], object]) -> Tensor:
    """x (n, c, d, h, w) after `work`, which acts in place at each voxel alone; for inference.

    On the CPU `work` gets a few slices at a time in float32, with their slice of axis 2, and what it leaves is rounded
    once: torch adds and multiplies what it broadcasts to bfloat16 one value at a time, up to 20 times slower.
    """
    if x.device.type != "cpu":
        work(x, slice(0, x.shape[2]))
        return x
    step = max(1, _CACHED_BYTES * x.shape[2] // max(1, x.nbytes))
    for first in range(0, x.shape[2], step):
        where = slice(first, first + step)
        part = x[:, :, where]
        wide = part.float()
        work(wide, where)
        if wide is not part:
            part.copy_(wide)
    return x
