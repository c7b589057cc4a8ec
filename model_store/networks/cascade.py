"""The cascade of MEGAN (section 2.1): a whole image at the lowest scale, then patches at scales that double.

Only one scale, the one before, is in memory as a whole. The next comes in planes, A0 slowest; its edges are taken from
the voxels they were found on, a slab at a time. So the device holds a batch of patches, however large the volume, and
the host a slab of sums beside what it reads and what it makes.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.loaded_model import Shape
from model_store.networks.lines import Lines, interpolation, planes, stretched
from model_store.networks.megan import ResidualGenerator, high_resolution, low_resolution, spread
from model_store.networks.patches import PATCH, Stitcher, Window, count, windows
from model_store.sizes.megan import MEGANSizes
from model_store.translator import Guide, Pass, Slab

BACKGROUND = -1.0
BATCH = 4
"""Patches at a time: so many keep two to sixteen cores busy, more only take memory."""
_MARGIN = PATCH // 4
"""A coarse patch has the same voxels as a fine one and so twice its view; this much of it lies beyond either end."""


class Cascade(nn.Module):
    """The networks of all scales, LR first, and their way from edges to an image."""

    def __init__(
        self, lr: ResidualGenerator, hr: Sequence[ResidualGenerator], edge_power: float = 1.0, blends: bool = False
    ) -> None:
        super().__init__()
        self.edge_power, self._blends = edge_power, blends
        self.levels = nn.ModuleList([lr, *hr])

    @property
    def lr(self) -> ResidualGenerator:
        first = self.levels[0]
        assert isinstance(first, ResidualGenerator)
        return first

    @classmethod
    def build(cls, sizes: MEGANSizes) -> "Cascade":
        """The networks of a card."""
        lr = low_resolution(sizes.lr.width, sizes.lr.blocks, sizes.edges_at_twice, sizes.skips)
        hr = [high_resolution(scale.width, scale.blocks, sizes.adds_coarse, sizes.skips) for scale in sizes.hr]
        return cls(lr, hr, sizes.edges.power, sizes.blends)

    @torch.inference_mode()
    def translate(self, guide: Guide, batch: int = BATCH, last: int | None = None) -> Iterator[Pass | Slab]:
        """The image of a guide, made with LR and the first `guide.doublings` HR networks, as it gets on.

        last: the scale whose image is given; None is the finest.
        """
        coarsest, course = _halved(guide.shape, guide.doublings), _Course(self, guide)
        last = guide.doublings if last is None else last
        yield course.at(0, 0)
        image = self._whole(guide, coarsest)
        yield course.at(0, 1)
        if not last:
            yield Slab(0, image)
            return
        padded = F.pad(image, (_MARGIN,) * 6, value=BACKGROUND)
        for scale in range(1, last):
            a0, a1, a2 = _halved(guide.shape, guide.doublings - scale)
            finer = torch.full((a0 + 2 * _MARGIN, a1 + 2 * _MARGIN, a2 + 2 * _MARGIN), BACKGROUND)
            inside = finer[(slice(_MARGIN, -_MARGIN),) * 3]
            for event in self._refined(padded, guide, course, scale, batch):
                if isinstance(event, Slab):
                    inside[event.start : event.start + len(event.planes)] = event.planes
                else:
                    yield event
            padded = finer
        yield from self._refined(padded, guide, course, last, batch)

    def _whole(self, guide: Guide, shape: Shape) -> Tensor:
        """LR on the edges of the whole scan: (A0, A1, A2)."""
        factor = 2 if self.lr.halves else 1
        a0, a1, a2 = (factor * side for side in shape)
        edges = _edges(guide, _lines(guide, (a0, a1, a2)), 0, a0, self.edge_power)
        return self._run(0, edges[None, None])[0, 0]

    def _refined(
        self, padded: Tensor, guide: Guide, course: "_Course", scale: int, batch: int
    ) -> Iterator[Pass | Slab]:
        """One scale from the one before, which has background around it for the patches at its ends."""
        shape = _halved(guide.shape, guide.doublings - scale)
        row = _EdgeRow(guide, shape, self.edge_power)
        stitcher, todo, done = Stitcher(shape, self._blends), windows(shape), 0
        while chosen := list(islice(todo, batch)):
            yield course.at(scale, done)
            inputs = torch.stack([torch.stack([_coarse(padded, at), row.patch(at)]) for at in chosen])
            for at, patch in zip(chosen, self._run(scale, inputs)[:, 0], strict=True):
                yield from (Slab(*finished) for finished in stitcher.add(at, patch))
            done += len(chosen)
        yield Slab(*stitcher.rest())
        yield course.at(scale, done)

    def _run(self, scale: int, inputs: Tensor) -> Tensor:
        """(n, c, d, h, w) through one network on its device in its precision; float32 on the CPU."""
        weight = next(self.parameters())
        x = inputs.to(weight.device, weight.dtype).contiguous(memory_format=torch.channels_last_3d)
        image: Tensor = self.levels[scale](x)
        return image.float().cpu()


class _Course:
    """How far a translation is, scale by scale, and as a share of all its arithmetic."""

    def __init__(self, cascade: Cascade, guide: Guide) -> None:
        self._shapes = [_halved(guide.shape, guide.doublings - scale) for scale in range(guide.doublings + 1)]
        self._counts = [1, *map(count, self._shapes[1:])]
        factor = 2 if cascade.lr.halves else 1
        a0, a1, a2 = (factor * side for side in self._shapes[0])
        networks = (cast("ResidualGenerator", level) for level in cascade.levels)
        inputs = [(a0, a1, a2), *[(PATCH, PATCH, PATCH)] * guide.doublings]
        self._work = [network.work(shape) for network, shape in zip(networks, inputs, strict=False)]

    def at(self, scale: int, done: int) -> Pass:
        """With `done` pieces of a scale made."""
        total = sum(work * pieces for work, pieces in zip(self._work, self._counts, strict=True))
        made = sum(self._work[k] * self._counts[k] for k in range(scale)) + self._work[scale] * done
        return Pass(scale, len(self._shapes) - 1, self._shapes[scale], done, self._counts[scale], made / total)


class _EdgeRow:
    """The edges behind one row of windows, interpolated when the first window of it asks."""

    def __init__(self, guide: Guide, shape: Shape, power: float) -> None:
        self._guide, self._lines, self._power = guide, _lines(guide, shape), power
        self._first, self._values = -1, torch.empty(0)

    def patch(self, at: Window) -> Tensor:
        """(32, 32, 32)."""
        if at[0] != self._first:
            self._values = torch.empty(0)
            self._values = _edges(self._guide, self._lines, at[0], at[0] + PATCH, self._power)
            self._first = at[0]
        return self._values[:, at[1] : at[1] + PATCH, at[2] : at[2] + PATCH]


def _lines(guide: Guide, shape: Shape) -> Lines:
    """To the edges at a scale: by way of the finest one, as the authors' code goes (formats 3.4)."""
    finest = [max(side, own) for side, own in zip(shape, guide.shape, strict=True)]
    a0, a1, a2 = (
        stretched(canvas, side) @ interpolation(torch.linspace(*span, canvas, dtype=torch.float64), drawn)
        for canvas, side, span, drawn in zip(finest, shape, guide.spans, guide.drawn.shape, strict=True)
    )
    return a0, a1, a2


def _edges(guide: Guide, lines: Lines, first: int, last: int, power: float) -> Tensor:
    """Planes of the edges along some lines, in [-1, 1]."""
    return spread(planes(guide.drawn, lines, first, last) / 127.5 - 1, power)


def _coarse(padded: Tensor, at: Window) -> Tensor:
    """The coarser image about a window: the same centre, twice the view."""
    a0, a1, a2 = (slice(first // 2, first // 2 + PATCH) for first in at)
    return padded[a0, a1, a2]


def _halved(shape: Shape, times: int) -> Shape:
    a0, a1, a2 = (side >> times for side in shape)
    return a0, a1, a2
