"""What fills the phantom's lungs: texture, emphysema and a tree of vessels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.phantoms.build import Build
from training.phantoms.canvas import Canvas, Field, Grid, Mask, Point, smooth_noise
from training.phantoms.thorax import Label, branch_depth

EMPHYSEMA = (0.0, 0.05, 0.12, 0.22, 0.36)
"""Share of the lung that is destroyed, by severity 0 to 4."""
Points = NDArray[np.float32]
Branch = tuple[Point, Point, tuple[float, float]]
"""Of a vessel: where it starts and ends, and its radii there in mm."""


def fill_lungs(canvas: Canvas, build: Build, lungs: Mask, severity: int, random: np.random.Generator) -> None:
    """Parenchyma, denser at the back where blood settles, with holes for `severity`, then arteries and veins."""
    grid = canvas.grid
    hu = np.float32(build.lung) - grid.y * np.float32(0.28) + smooth_noise(grid, 7, random) * np.float32(16)
    # Both noises are drawn for every severity, so that all else about a seed's person is the same.
    holes = smooth_noise(grid, 26, random) + np.float32(0.8) * smooth_noise(grid, 9, random)
    holes += grid.z * np.float32(0.006)  # centrilobular emphysema begins in the upper lobes
    if severity > 0:
        level = np.quantile(holes[lungs], 1 - EMPHYSEMA[severity])
        depth = np.clip((holes - np.float32(level)) / np.float32(0.12) + np.float32(0.5), 0, 1)
        hu += (np.float32(-995) - hu) * depth
    canvas.paint(lungs, hu, Label.LUNG)
    filled = np.zeros(grid.shape, np.float32)
    for side in (1.0, -1.0):
        inside = np.flatnonzero(lungs & (grid.x * np.float32(side) > 0))
        if inside.size == 0:
            continue
        for root, leaves, radius in (((side * 40, -14, 14), 480, 7.0), ((side * 34, -12, -12), 260, 6.4)):
            places = np.unravel_index(random.choice(inside, leaves), grid.shape)
            points = np.stack([a.ravel()[p] for a, p in zip((grid.x, grid.y, grid.z), places, strict=True)], axis=1)
            for branch in branches(root, points, radius, radius / leaves**0.36):
                stamp(grid, filled, *branch)
    filled *= lungs
    canvas.hu += (np.float32(42) - canvas.hu) * filled
    canvas.labels[filled > 0.5] = Label.VESSEL


def branches(start: Point, points: Points, radius: float, twig: float) -> Iterator[Branch]:
    """Vessels from `start` to all `points`: a stem toward their middle, there a fork into the two halves.

    Radii follow r = twig * leaves^0.36, between the powers of Murray and of area.
    """
    middle = points.mean(axis=0)
    if len(points) == 1:
        yield start, _point(middle), (radius, twig * 0.7)
        return
    a = np.array(start, np.float32)
    fork = _point(a + np.float32(0.5 if len(points) > 2 else 0.6) * (middle - a))
    yield start, fork, (radius, radius)
    axis = int(np.argmax(points.std(axis=0)))
    order = np.argsort(points[:, axis], kind="stable")
    for half in np.array_split(points[order], 2):
        yield from branches(fork, half, twig * len(half) ** 0.36, twig)


def stamp(grid: Grid, filled: Field, start: Point, end: Point, radius: tuple[float, float]) -> None:
    """Raise `filled`, the share of each voxel that vessels fill, by one of them."""
    if 8 * max(radius) < min(grid.spacing_mm):
        return  # too thin to show
    reach = max(radius) + max(grid.spacing_mm)
    low = (min(start[0], end[0]) - reach, min(start[1], end[1]) - reach, min(start[2], end[2]) - reach)
    high = (max(start[0], end[0]) + reach, max(start[1], end[1]) + reach, max(start[2], end[2]) + reach)
    part, near = grid.box(low, high)
    if 0 not in near.shape:
        np.maximum(filled[part], branch_depth(near, start, end, radius), out=filled[part])


def _point(values: Points) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
