"""A latent that names a thorax phantom: each axis of z is a proportion of the body, and a class an extent of emphysema.

Of the phantoms' random numbers only the proportions are left to z. What squared error would blur to a mean is the same
in everybody: the tree of vessels and the places of the holes, which move with the lungs. So the volume is a smooth
function of z, and the classes of one z differ in the lungs alone: the holes of a milder class lie in those of a worse.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.phantoms.build import Build
from training.phantoms.canvas import Canvas, Field, Grid, Mask, Point
from training.phantoms.dataset import WINDOW
from training.phantoms.lung import EMPHYSEMA, Branch, branches, stamp
from training.phantoms.phantom import BLUR, SHAPE, SPACING_MM, blurred, draw_body
from training.phantoms.thorax import Label, draw_airways
from volumes.intensity import to_network_range
from volumes.orientation import to_network

NETWORK_AXES = "SPL"
EDGE_MM = tuple(n * step for n, step in zip(SHAPE, SPACING_MM, strict=True))
"""Of the volume along x, y and z."""
CLASSES = {"healthy": 0, "mild": 2, "moderate": 3, "severe": 4}
"""The model's classes, with the phantoms' severity."""
PROPORTIONS: dict[str, dict[str, tuple[float, float]]] = {
    "breath": {"dome_right": (-60, -14), "dome_left": (-74, -14), "chest_depth": (93, 3)},
    "chest-width": {"chest_width": (122, 9)},
    "chest-depth": {"chest_depth": (0, 6)},
    "height": {"apex": (114, 7)},
    "dome-difference": {"dome_right": (0, 4), "dome_left": (0, -4)},
    "fat": {"fat": (14, 7)},
    "muscle": {"muscle": (10.5, 2)},
    "heart": {"heart": (1.0, 0.12)},
    "heart-tilt": {"heart_tilt": (0, 0.1)},
    "mediastinum": {"mediastinum": (1.02, 0.14)},
    "kyphosis": {"kyphosis": (5.5, 3)},
    "rib-drop": {"rib_drop": (60, 8)},
    "bone-density": {"marrow": (205, 75)},
    "lung-density": {"lung": (-850, 18)},
}
"""By the name of an axis of z, what it adds to the build: a middle and how far the axis goes to either side of it."""
PLACES = ("size", "lift")
"""The last axes: the whole body's scale, and how high it lies."""
AXES = (*PROPORTIONS, *PLACES)
LATENT_DIM = len(AXES)
FIXED = {"rib_pitch": 27.0, "rib_phase": 0.0, "vertebra": 1.0, "vertebra_phase": 0.25, "noise": 0.0}
_SIZE, _LIFT_MM = 0.06, 9.0
_HOLE_HU, _HOLE_EDGE = -1000.0, 0.35
_THINNING_HU = 90.0
"""How much air the lung between the holes gains, times the share of holes."""
_CELLS_MM = ((36.0, 1.0), (17.0, 0.45))
"""Of the noise whose peaks are holes: sizes and weights."""
_TREES = (((40.0, -14.0, 14.0), 150, 7.0), ((34.0, -12.0, -12.0), 90, 6.4))
"""Roots of the vessels at x > 0, how many twigs they end in, and their radius in mm."""


def place_on(axis: float) -> float:
    """N(0, 1) -> uniform in (-1, 1)."""
    return math.erf(axis / math.sqrt(2))


def build_of(z: Tensor) -> Build:
    """(LATENT_DIM,) -> proportions."""
    values = {key: 0.0 for ranges in PROPORTIONS.values() for key in ranges} | FIXED
    for ranges, axis in zip(PROPORTIONS.values(), z.tolist(), strict=False):
        for key, (middle, reach) in ranges.items():
            values[key] += middle + reach * place_on(axis)
    return Build(**values)


@cache
def mean_build() -> Build:
    """That of z = 0."""
    return build_of(torch.zeros(LATENT_DIM))


@dataclass(frozen=True)
class Warp:
    """From the mean body to another one, or back: scales of x, of y, and of z above and below the lungs' roots."""

    x: float
    y: float
    above: float
    below: float

    @classmethod
    def to(cls, build: Build) -> "Warp":
        mean = mean_build()
        floors = [(b.dome_right + b.dome_left) / 2 - 20 for b in (build, mean)]
        return cls(
            build.chest_width / mean.chest_width,
            build.chest_depth / mean.chest_depth,
            build.apex / mean.apex,
            floors[0] / floors[1],
        )

    def point(self, at: Point) -> Point:
        return at[0] * self.x, at[1] * self.y, at[2] * (self.above if at[2] > 0 else self.below)

    def back(self, grid: Grid) -> tuple[Field, Field, Field]:
        """The mean body's coordinates along each axis (n,) of a grid of this body."""
        z = grid.z.ravel()
        heights = np.where(z > 0, z / np.float32(self.above), z / np.float32(self.below))
        return grid.x.ravel() / np.float32(self.x), grid.y.ravel() / np.float32(self.y), heights


def holes_at(axes: tuple[Field, Field, Field]) -> Field:
    """Where emphysema begins, (X, Y, Z) at coordinates of the mean body: the higher, the milder the class with a hole.

    Centrilobular emphysema begins in the upper lobes.
    """
    random = np.random.default_rng(26)
    total = np.zeros([len(axis) for axis in axes], np.float32)
    for cell, weight in _CELLS_MM:
        count = 2 * round(220 / cell) + 1
        values = random.standard_normal((count, count, count), dtype=np.float32)
        for axis in axes:
            place = np.clip(axis / np.float32(cell) + np.float32(count // 2), 0, count - 1)
            apart = np.minimum(np.abs(place[:, None] - np.arange(count, dtype=np.float32)), 1)
            near = np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * apart)
            values = np.tensordot(values, near.astype(np.float32), axes=(0, 1))
        total += np.float32(weight) * values
    return total + (axes[2] * np.float32(0.006))[None, None, :]


@cache
def levels() -> tuple[float, ...]:
    """From which height on `holes_at` is a hole, by severity: so high that the mean lungs have EMPHYSEMA's shares."""
    grid = Grid.centred((64, 64, 64), tuple(edge / 64 for edge in EDGE_MM))  # type: ignore[arg-type]
    lungs = draw_body(Canvas(grid), mean_build())
    inside = holes_at(Warp.to(mean_build()).back(grid))[lungs]
    return tuple(float(np.quantile(inside, 1 - share)) if share else math.inf for share in EMPHYSEMA)


@cache
def _vessels() -> tuple[Branch, ...]:
    """The trees of the mean body."""
    random = np.random.default_rng(7)
    grid = Grid.centred((64, 64, 64), tuple(edge / 64 for edge in EDGE_MM))  # type: ignore[arg-type]
    lungs = draw_body(Canvas(grid), mean_build())
    found: list[Branch] = []
    for side in (1.0, -1.0):
        inside = np.flatnonzero(lungs & (grid.x * np.float32(side) > 0))
        for root, leaves, radius in _TREES:
            places = np.unravel_index(random.choice(inside, leaves), grid.shape)
            points = np.stack([a.ravel()[p] for a, p in zip((grid.x, grid.y, grid.z), places, strict=True)], axis=1)
            found += branches((side * root[0], *root[1:]), points, radius, radius / leaves**0.36)
    return tuple(found)


def hu_of(z: Tensor, severities: tuple[int, ...], size: int = SHAPE[0]) -> tuple[NDArray[np.float32], Mask]:
    """(LATENT_DIM,) -> HU (K, X, Y, Z) in RAS order of the body in each severity, and where its lungs are (X, Y, Z)."""
    build, at = build_of(z), dict(zip(PLACES, z.tolist()[len(PROPORTIONS) :], strict=True))
    scale = 1 + _SIZE * place_on(at["size"])
    a, b, c = (edge / size / scale for edge in EDGE_MM)
    grid = Grid.centred((size, size, size), (a, b, c))
    grid = Grid(grid.x, grid.y, grid.z - np.float32(_LIFT_MM * place_on(at["lift"])), grid.spacing_mm)
    canvas, warp = Canvas(grid), Warp.to(build)
    lungs = draw_body(canvas, build)
    canvas.paint(lungs, build.lung, Label.LUNG)
    draw_airways(canvas)
    lungs = canvas.labels == Label.LUNG
    vessels = np.zeros(grid.shape, np.float32)
    for start, end, radius in _vessels():
        stamp(grid, vessels, warp.point(start), warp.point(end), radius)
    vessels, holes = vessels[lungs], holes_at(warp.back(grid))[lungs]
    parenchyma = np.broadcast_to(np.float32(build.lung) - grid.y * np.float32(0.28), grid.shape)[lungs]
    made = []
    for severity in severities:
        depth = np.clip((holes - np.float32(levels()[severity])) / np.float32(_HOLE_EDGE) + np.float32(0.5), 0, 1)
        air = parenchyma - np.float32(_THINNING_HU * EMPHYSEMA[severity])
        air = air + (np.float32(_HOLE_HU) - air) * depth
        canvas.hu[lungs] = air + (np.float32(42) - air) * vessels
        made.append(blurred(canvas.hu, BLUR))
    return np.stack(made), lungs


def volumes_of(z: Tensor, size: int = SHAPE[0]) -> Tensor:
    """(LATENT_DIM,) -> (classes, S, S, S) in [-1, 1], the network's axes."""
    hu, _ = hu_of(z, tuple(CLASSES.values()), size)
    made = [to_network(to_network_range(one, *WINDOW, (-1.0, 1.0)), NETWORK_AXES) for one in hu]
    return torch.from_numpy(np.stack(made))
