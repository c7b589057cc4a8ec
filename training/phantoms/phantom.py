"""A procedural thorax in HU, with known lung and bone volume and a severity of emphysema: labelled data without limit.

Not a person: simple solids with smooth random variation, meant for tests and for experiments whose truth must be known.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.build import Build
from training.phantoms.canvas import Canvas, Field, Grid, Mask
from training.phantoms.lung import EMPHYSEMA, fill_lungs
from training.phantoms.thorax import (
    Label,
    draw_abdomen,
    draw_airways,
    draw_girdle,
    draw_heart,
    draw_ribs,
    draw_spine,
    draw_torso,
    lung_depth,
)

SEVERITIES = len(EMPHYSEMA)
SHAPE = (128, 128, 128)
SPACING_MM = (3.1, 3.1, 2.6)
BLUR = 0.7
"""The scanner's: the weight of a voxel's own value along each axis."""


@dataclass(frozen=True)
class Phantom:
    """One thorax: `array` int16 HU and `labels` uint8 (see Label), both (X, Y, Z) in RAS+; `affine` voxel -> mm."""

    array: NDArray[np.int16]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    lung_volume_ml: float
    """Voxels labelled LUNG: air-filled lung without its vessels and airways."""
    bone_volume_ml: float
    """Voxels labelled BONE."""
    severity: int
    """0 (healthy) to 4: share of destroyed lung, EMPHYSEMA[severity]."""


def thorax(
    seed: int,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    severity: int | None = None,
) -> Phantom:
    """The thorax of a seed: the same arguments give the same voxels.

    Args:
        severity: 0 to 4; drawn from the seed where None. It changes the holes in the lungs and nothing else.
    """
    if severity is not None and not 0 <= severity < SEVERITIES:
        raise ValueError(f"expected a severity of 0 to {SEVERITIES - 1}, got {severity}")
    random = np.random.default_rng(seed)
    drawn = int(random.integers(SEVERITIES))
    severity = drawn if severity is None else severity
    build = Build.draw(random)
    canvas = Canvas(Grid.centred(shape, spacing_mm))
    fill_lungs(canvas, build, draw_body(canvas, build), severity, random)
    draw_airways(canvas)
    hu = _scan(canvas.hu, build.noise, random)
    voxel_ml = math.prod(spacing_mm) / 1000
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape, spacing_mm, strict=True)]
    return Phantom(
        array=np.clip(np.rint(hu), -1024, 3071).astype(np.int16),
        labels=canvas.labels,
        affine=affine,
        lung_volume_ml=int(np.count_nonzero(canvas.labels == Label.LUNG)) * voxel_ml,
        bone_volume_ml=int(np.count_nonzero(canvas.labels == Label.BONE)) * voxel_ml,
        severity=severity,
    )


def draw_body(canvas: Canvas, build: Build) -> Mask:
    """All but the airways and what fills the lungs. Returns where the lungs are."""
    cage = draw_torso(canvas, build)
    lungs = lung_depth(canvas.grid, build, cage) > 0
    draw_abdomen(canvas, build, cage, lungs)
    draw_heart(canvas, build)
    draw_ribs(canvas, build, cage)
    draw_girdle(canvas, build)
    draw_spine(canvas, build)
    return lungs


def _scan(hu: Field, noise: float, random: np.random.Generator) -> Field:
    """The scanner's blur (3 voxels along each axis) and its noise, a little correlated."""
    grain = blurred(random.standard_normal(hu.shape, dtype=np.float32), 0.6)
    taken: Field = blurred(hu, BLUR) + grain * np.float32(noise * 1.9)
    return taken


def blurred(array: Field, centre: float) -> Field:
    """Weights (1 - centre) / 2, centre, (1 - centre) / 2 along each axis; edges repeat."""
    side, middle = np.float32((1 - centre) / 2), np.float32(centre)
    for axis in range(3):
        moved = np.moveaxis(array, axis, 0)
        out = moved * middle
        out[1:] += moved[:-1] * side
        out[:-1] += moved[1:] * side
        out[0] += moved[0] * side
        out[-1] += moved[-1] * side
        array = np.moveaxis(out, 0, axis)
    return np.ascontiguousarray(array)
