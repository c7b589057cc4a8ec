"""Drawing in millimetres: open coordinate arrays, smooth solids as signed fields, and a canvas of HU and labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""Positive inside, in millimetres; broadcasts to (X, Y, Z)."""
Mask = NDArray[np.bool_]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """Voxel centres in RAS+ millimetres around the middle of the volume: x (X, 1, 1), y (1, Y, 1), z (1, 1, Z)."""

    x: Field
    y: Field
    z: Field
    spacing_mm: tuple[float, float, float]

    @classmethod
    def centred(cls, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> "Grid":
        axes = [
            ((np.arange(n, dtype=np.float32) - np.float32(n - 1) / 2) * np.float32(step))
            for n, step in zip(shape, spacing_mm, strict=True)
        ]
        return cls(axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :], spacing_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z)."""
        return self.x.size, self.y.size, self.z.size

    def box(self, low: Point, high: Point) -> tuple[tuple[slice, slice, slice], "Grid"]:
        """The voxels between two corners, as slices and as a grid of their own; possibly none."""
        spans = []
        for axis, a, b in zip((self.x, self.y, self.z), low, high, strict=True):
            first, last = np.searchsorted(axis.ravel(), (a, b))
            spans.append(slice(int(first), int(last)))
        part = Grid(self.x[spans[0]], self.y[:, spans[1]], self.z[:, :, spans[2]], self.spacing_mm)
        return (spans[0], spans[1], spans[2]), part


def blend(a: Field, b: Field, width: float) -> Field:
    """The intersection of two solids with its edge rounded over `width` mm (polynomial smooth minimum)."""
    overlap = np.maximum(np.float32(width) - np.abs(a - b), np.float32(0))
    overlap *= overlap
    overlap *= np.float32(0.25 / width)
    edge: Field = np.minimum(a, b) - overlap
    return edge


def ellipsoid(grid: Grid, centre: Point, radii: Point) -> Field:
    """Approximate depth below the surface of an axis-parallel ellipsoid."""
    x, y, z = ((axis - c) / r for axis, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True))
    depth: Field = (1 - np.sqrt(x * x + y * y + z * z)) * np.float32(min(radii))
    return depth


def tube(grid: Grid, start: Point, end: Point, radius: tuple[float, float]) -> Field:
    """Depth inside a tapered tube with round ends."""
    a, b = np.array(start, np.float32), np.array(end, np.float32)
    along = b - a
    length2 = np.float32(max(float(along @ along), 1e-6))
    dx, dy, dz = grid.x - a[0], grid.y - a[1], grid.z - a[2]
    t = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / length2, 0, 1)
    distance = np.sqrt((dx - t * along[0]) ** 2 + (dy - t * along[1]) ** 2 + (dz - t * along[2]) ** 2)
    depth: Field = np.float32(radius[0]) + t * np.float32(radius[1] - radius[0]) - distance
    return depth


def smooth_noise(grid: Grid, cell_mm: float, random: np.random.Generator) -> Field:
    """Noise of unit order that varies over `cell_mm`: random values on a coarse lattice, raised-cosine between them."""
    values: Field | None = None
    weights = []
    for axis in (grid.x, grid.y, grid.z):
        place = (axis.ravel() - axis.ravel()[0]) / np.float32(cell_mm)
        count = int(place[-1]) + 2
        apart = np.minimum(np.abs(place[:, None] - np.arange(count, dtype=np.float32)), 1)
        weights.append((np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * apart)).astype(np.float32))
    values = random.standard_normal([w.shape[1] for w in weights], dtype=np.float32)
    for weight in weights:  # each step moves the axis it replaced to the end: after three the order is X, Y, Z again
        values = np.tensordot(values, weight, axes=(0, 1))
    return np.ascontiguousarray(values)


class Canvas:
    """HU (X, Y, Z) float32 and labels (X, Y, Z) uint8 under construction."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.hu = np.full(grid.shape, -1000, np.float32)
        self.labels = np.zeros(grid.shape, np.uint8)

    def paint(self, mask: Mask, hu: float | Field, label: int, part: tuple[slice, slice, slice] | None = None) -> None:
        """Set HU and label where `mask`; `part` says which voxels the mask covers."""
        where = part or (slice(None), slice(None), slice(None))
        np.copyto(self.hu[where], np.asarray(hu, np.float32), where=mask)
        np.copyto(self.labels[where], np.uint8(label), where=mask)

    def paint_tube(self, start: Point, end: Point, radius: tuple[float, float], hu: float, label: int) -> None:
        """A tapered tube of one tissue."""
        reach = max(radius) + 1
        low = tuple(min(a, b) - reach for a, b in zip(start, end, strict=True))
        high = tuple(max(a, b) + reach for a, b in zip(start, end, strict=True))
        part, grid = self.grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        self.paint(tube(grid, start, end, radius) > 0, hu, label, part)
