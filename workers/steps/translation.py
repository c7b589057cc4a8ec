"""A scan in another appearance: its edges, the canvas over it, the image in slabs, and the way back to its own grid."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.errors import UnreadableVolume
from contract.requests import TranslateRequest
from model_store.card import TranslatorCard
from model_store.networks.lines import Lines, interpolation, planes
from model_store.translator import Drawing, Guide, Pass, Slab, Translator
from volumes.edges import Canny, draw_edges, finite_range, given_edges, with_mask
from volumes.grids.canvas import Canvas, foreground_box, lay_canvas, whole_box
from volumes.orientation import reorient
from volumes.volume import Volume, VolumeError, on_one_grid
from workers.device.allocator import return_freed_memory
from workers.steps.recipe_events import Event, Product, ScanDigest, Stage


@dataclass(frozen=True, eq=False)
class Sketch:
    """What the networks get of a scan, and where their image lies over it. All in the network's axis order."""

    guide: Guide
    canvas: Canvas


def translated(
    request: TranslateRequest, translator: Translator, scan: Volume, mask: Volume | None, made_from: ScanDigest
) -> Iterator[Event]:
    """One volume on the scan's own grid.

    Raises:
        UnreadableVolume: no edges in the scan, or a mask that is not on its grid.
    """
    card = translator.card
    yield Stage("edges", 0, 1)
    try:
        sketch = sketched(request, card, translator.drawing, scan, mask)
    except VolumeError as err:
        raise UnreadableVolume(err.detail) from err
    shape, affine = scan.shape, scan.affine
    order: Literal["F", "C"] = "F" if scan.array.flags.f_contiguous else "C"
    del scan, mask
    return_freed_memory()  # what drawing the edges of a large scan took, and its voxels where nobody else holds them
    background, returning = card.intensity.network_range[0], None
    for event in translator.translate(sketch.guide):
        if isinstance(event, Slab):
            if returning is None:  # not before the lower scales are made, which need room of their own
                # The result in the memory order of the scan; the networks see it with their own axes.
                result = Volume(np.full(shape, background, dtype=np.float32, order=order), affine)
                returning = Returning(reorient(result, card.axes).array, sketch.canvas, background)
            returning.take(event)
        else:
            if not event.done:
                return_freed_memory()  # what the scale before took, in pieces of another size
            yield _told(event)
    del sketch, returning, event
    return_freed_memory()  # writing needs room of its own
    yield Product(result, made_from)


def _told(event: Pass) -> Stage:
    return Stage(f"scale {event.scale + 1}/{event.doublings + 1}", event.done, event.total, event.share)


def sketched(
    request: TranslateRequest, card: TranslatorCard, drawing: Drawing, scan: Volume, mask: Volume | None
) -> Sketch:
    """The edges of a scan, drawn or given, with its pathologies over them, and the canvas.

    Raises: VolumeError.
    """
    if mask is not None and not on_one_grid(scan, mask):
        raise VolumeError("The mask does not lie on the scan's grid: shape and affine must be the same.")
    seen, box, edges = reorient(scan, card.axes), whole_box(reorient(scan, card.axes).shape), None
    if request.edges == "given":
        edges = given_edges(seen.array)
    else:
        box = foreground_box(seen.array, _background(card, seen))
    canvas = lay_canvas(box, seen.spacing_mm, request.grid or card.grid, drawing.lr_size, drawing.doublings)
    if edges is None:
        how = Canny(drawing.sigma, drawing.low, drawing.high)
        edges = draw_edges(seen.array[box], how, card.input_window, torch.get_num_threads())
    if mask is not None:
        edges = with_mask(edges, reorient(mask, card.axes).array[box])
    spans = tuple((low - part.start, high - part.start) for (low, high), part in zip(canvas.spans, box, strict=True))
    return Sketch(Guide(torch.from_numpy(edges), canvas.shape, spans, canvas.doublings), canvas)


def _background(card: TranslatorCard, scan: Volume) -> float:
    """What lies above is part of the patient: above the window's lower end, or the scan's least value."""
    if card.input_window is not None:
        return card.input_window[0]
    return finite_range(scan.array)[0]


class Returning:
    """Takes the image's slabs in order and fills the scan's grid, axis by axis, as far as they reach."""

    def __init__(self, target: NDArray[np.float32], canvas: Canvas, background: float) -> None:
        """`target` (A0, A1, A2), a view of the result in the network's axis order, holds the background already."""
        self._target, self._background = target, background
        self._lines = _lines_back(canvas, target.shape)
        used = self._lines[0] != 0
        self._needs = torch.where(used.any(1), used.shape[1] - used.flip(1).int().argmax(1), 0)
        """Per plane of the target, how many planes of the image must be there before it can be made."""
        self._first, self._next = 0, 0
        self._held = torch.empty(0, *canvas.shape[1:])

    def take(self, slab: Slab) -> None:
        """The next planes of the image."""
        held = torch.cat([self._held, slab.planes - self._background])
        there = slab.start + len(slab.planes)
        ready = [row for row in range(self._next, len(self._needs)) if self._needs[row] <= there]
        last = self._last_of(ready)
        if last > self._next:
            rows = self._lines[0][self._next : last, self._first : there]
            lines: Lines = (rows, self._lines[1], self._lines[2])
            made: Tensor = planes(held, lines, 0, len(rows)) + self._background
            self._target[self._next : last] = made.numpy()
            self._next = last
        self._held, self._first = held[-1:].clone(), there - 1

    def _last_of(self, ready: list[int]) -> int:
        """Planes are made in order: up to the first that must wait."""
        count = next((k for k, row in enumerate(ready) if row != self._next + k), len(ready))
        return self._next + count


def _lines_back(canvas: Canvas, shape: tuple[int, ...]) -> Lines:
    """From the image to the scan's voxels; those beyond the image get nothing, which is background."""
    a0, a1, a2 = shape
    back = zip(canvas.positions_back((a0, a1, a2)), canvas.shape, strict=True)
    first, second, third = (interpolation(torch.from_numpy(np.nan_to_num(at, nan=-1.0)), side) for at, side in back)
    return first, second, third
