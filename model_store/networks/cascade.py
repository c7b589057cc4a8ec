"""The cascade of MEGAN (section 2.1): a whole image at the lowest scale, then patches at scales that double.

Only one scale, the one before, is in memory as a whole. The next comes in planes, A0 slowest; its edges are taken from
the voxels they were found on, a slab at a time. So the device holds a batch of patches, however large the volume, and
the host a slab of sums beside what it reads and what it makes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.lines import Lines, interpolation, planes, stretched
from model_store.networks.megan import ResidualGenerator, high_resolution, low_resolution
from model_store.networks.patches import PATCH, Stitcher, Window, count, windows

BACKGROUND = -1.0
BATCH = 4
"""Patches at a time: so many keep two to sixteen cores busy, more only take memory."""
_MARGIN = PATCH // 4
"""A coarse patch has the same voxels as a fine one and so twice its view; this much of it lies beyond either end."""
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Sketch:
    """Edges as they are drawn, and the canvas that the image will fill. Nothing larger than the edges is kept.

    edges: (N0, N1, N2) uint8, 0 background. shape: of the finest image. spans: per axis the edges' index, whole or not,
    at which the image's first and last voxel lie.
    """

    edges: Tensor
    shape: Shape
    spans: tuple[tuple[float, float], ...]

    def lines(self, shape: Shape) -> Lines:
        """To the edges at another scale: by way of the finest one, as the authors' code goes (formats 3.4)."""
        finest = [max(side, own) for side, own in zip(shape, self.shape, strict=True)]
        a0, a1, a2 = (
            stretched(canvas, side) @ interpolation(torch.linspace(*span, canvas, dtype=torch.float64), edge)
            for canvas, side, span, edge in zip(finest, shape, self.spans, self.edges.shape, strict=True)
        )
        return a0, a1, a2

    def planes(self, lines: Lines, first: int, last: int) -> Tensor:
        """Planes of the edges along some lines, in [-1, 1]."""
        return planes(self.edges, lines, first, last) / 127.5 - 1


@dataclass(frozen=True)
class Progress:
    """`done` of `total` patches of a scale are made; scale 0 is the whole image in one piece."""

    scale: int
    shape: Shape
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Planes:
    """Finished planes first, first + 1, ... (n, A1, A2) of the finest image, in [-1, 1], float32 on the CPU."""

    first: int
    values: Tensor


class Cascade(nn.Module):
    """The networks of all scales, LR first, and their way from edges to an image."""

    def __init__(self, lr: ResidualGenerator, hr: Sequence[ResidualGenerator]) -> None:
        super().__init__()
        self.levels = nn.ModuleList([lr, *hr])

    @property
    def lr(self) -> ResidualGenerator:
        first = self.levels[0]
        assert isinstance(first, ResidualGenerator)
        return first

    @classmethod
    def build(cls, widths: Sequence[int], blocks: Sequence[int], edges_at_twice: bool) -> "Cascade":
        """One width and one number of residual blocks per scale."""
        lr = low_resolution(widths[0], blocks[0], edges_at_twice)
        return cls(lr, [high_resolution(*sizes) for sizes in zip(widths[1:], blocks[1:], strict=True)])

    @torch.inference_mode()
    def translate(self, sketch: Sketch, doublings: int, batch: int = BATCH) -> Iterator[Progress | Planes]:
        """The image of a sketch, made with the first `doublings` HR networks, as it gets on.

        The sketch's sides are those of the lowest scale times 2^doublings. Between any two events the work can end.
        """
        coarse_shape = _halved(sketch.shape, doublings)
        yield Progress(0, coarse_shape, 0, 1)
        image = self._whole(sketch, coarse_shape)
        yield Progress(0, coarse_shape, 1, 1)
        for scale in range(1, doublings + 1):
            finer = torch.empty(_halved(sketch.shape, doublings - scale)) if scale < doublings else None
            for event in self._refined(image, sketch, scale, _halved(sketch.shape, doublings - scale), batch):
                if isinstance(event, Planes) and finer is not None:
                    finer[event.first : event.first + len(event.values)] = event.values
                else:
                    yield event
            if finer is not None:
                image = finer
        if doublings == 0:
            yield Planes(0, image)

    def _whole(self, sketch: Sketch, shape: Shape) -> Tensor:
        """LR on the edges of the whole scan: (A0, A1, A2)."""
        factor = 2 if self.lr.halves else 1
        a0, a1, a2 = shape
        lines = sketch.lines((factor * a0, factor * a1, factor * a2))
        edges = sketch.planes(lines, 0, factor * a0)
        return self._run(0, edges[None, None])[0, 0]

    def _refined(
        self, coarse: Tensor, sketch: Sketch, scale: int, shape: Shape, batch: int
    ) -> Iterator[Progress | Planes]:
        """One scale from the one before."""
        padded = F.pad(coarse, (_MARGIN,) * 6, value=BACKGROUND)
        slab = _Slab(sketch, sketch.lines(shape))
        stitcher, todo, done, total = Stitcher(shape), windows(shape), 0, count(shape)
        while chosen := list(islice(todo, batch)):
            yield Progress(scale, shape, done, total)
            inputs = torch.stack([torch.stack([_coarse(padded, at), slab.patch(at)]) for at in chosen])
            for at, patch in zip(chosen, self._run(scale, inputs)[:, 0], strict=True):
                yield from (Planes(*finished) for finished in stitcher.add(at, patch))
            done += len(chosen)
        yield Planes(*stitcher.rest())
        yield Progress(scale, shape, done, total)

    def _run(self, scale: int, inputs: Tensor) -> Tensor:
        """(n, c, d, h, w) through one network on its device in its precision; float32 on the CPU."""
        weight = next(self.parameters())
        x = inputs.to(weight.device, weight.dtype).contiguous(memory_format=torch.channels_last_3d)
        image: Tensor = self.levels[scale](x)
        return image.float().cpu()


class _Slab:
    """The edges behind one row of windows, interpolated when the first window of it asks."""

    def __init__(self, sketch: Sketch, lines: Lines) -> None:
        self._sketch, self._lines = sketch, lines
        self._first, self._values = -1, torch.empty(0)

    def patch(self, at: Window) -> Tensor:
        """(32, 32, 32)."""
        if at[0] != self._first:
            self._values = torch.empty(0)
            self._values = self._sketch.planes(self._lines, at[0], at[0] + PATCH)
            self._first = at[0]
        return self._values[:, at[1] : at[1] + PATCH, at[2] : at[2] + PATCH]


def _coarse(padded: Tensor, at: Window) -> Tensor:
    """The coarser image about a window: the same centre, twice the view."""
    a0, a1, a2 = (slice(first // 2, first // 2 + PATCH) for first in at)
    return padded[a0, a1, a2]


def _halved(shape: Shape, times: int) -> Shape:
    a0, a1, a2 = (side >> times for side in shape)
    return a0, a1, a2
