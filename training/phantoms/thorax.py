"""The organs of the thorax phantom, drawn one after the other; later ones cover earlier ones."""

from enum import IntEnum
from itertools import pairwise

import numpy as np

from training.phantoms.build import Build
from training.phantoms.canvas import Canvas, Field, Grid, Mask, Point, blend, ellipsoid, tube


class Label(IntEnum):
    """What a voxel is. LUNG is air-filled lung, with its emphysema; vessels and airways within it have their own."""

    OUTSIDE = 0
    SOFT_TISSUE = 1
    LUNG = 2
    BONE = 3
    HEART = 4
    VESSEL = 5
    AIRWAY = 6
    FAT = 7
    ORGAN = 8
    GAS = 9


def radial_depth(grid: Grid, width: Field, depth: Field, middle: float, squareness: float = 0.0) -> Field:
    """Depth (mm, along the ray from the middle) inside a vertical cylinder whose ellipse varies with z.

    `squareness` in [0, 1] goes from an ellipse to a rounded rectangle.
    """
    x, y = grid.x, grid.y - np.float32(middle)
    u, v = (x / width) ** 2, (y / depth) ** 2
    reach = np.sqrt(u + v)
    if squareness:
        reach = np.float32(1 - squareness) * reach + np.float32(squareness) * np.sqrt(np.sqrt(u * u + v * v))
    away = np.sqrt(x * x + y * y)
    inside: Field = away / np.maximum(reach, np.float32(1e-3)) - away
    return inside


def draw_torso(canvas: Canvas, build: Build) -> Field:
    """Skin, fat, muscle, and the fat that fills the rib cage. Returns the depth inside the rib cage."""
    grid = canvas.grid
    width, depth, middle = build.cage(np.minimum(grid.z, np.float32(20)))
    wall = np.float32(10 + build.muscle)
    side = (
        wall
        + np.float32(build.fat + 6)
        + np.clip((grid.z - np.float32(40)) / np.float32(90), 0, 1) ** 2 * np.float32(12)
    )
    outer = radial_depth(grid, width + side, depth + wall + np.float32(build.fat), middle, 0.35)
    cage = radial_depth(grid, *build.cage(grid.z), 0.15)
    canvas.paint(outer > 0, 10, Label.SOFT_TISSUE)
    canvas.paint(outer > 2, -105, Label.FAT)
    canvas.paint(outer > np.float32(build.fat), 52, Label.SOFT_TISSUE)
    # Fat between the muscles, so that the chest wall is not one block.
    gap = np.abs(cage + np.float32(18) + np.float32(5) * np.sin(grid.z / np.float32(21))) < 2.2
    canvas.paint(gap & (outer > np.float32(build.fat + 2)), -80, Label.FAT)
    canvas.paint(cage > 0, -85, Label.FAT)
    return cage


def lung_depth(grid: Grid, build: Build, cage: Field) -> Field:
    """Depth inside the lungs: the cage without mediastinum, spine, diaphragm and what lies above the apices."""
    x, y, z = grid.x, grid.y, grid.z
    aside = np.abs(x)
    dome = np.where(x > 0, np.float32(build.dome_right), np.float32(build.dome_left))
    floor = dome - (aside - np.float32(62)) ** 2 / np.float32(75) - (y - np.float32(18)) ** 2 / np.float32(105)
    roof = np.float32(build.apex) - (
        (aside - np.float32(48)) ** 2 + np.float32(0.55) * (y + np.float32(8)) ** 2
    ) / np.float32(75)
    level = np.clip(z / np.float32(110), -1, 1)
    waist = np.float32(13 * build.mediastinum) + np.float32(17 * build.mediastinum) * np.exp(
        -(((y + np.float32(12)) / np.float32(38)) ** 2)
    ) * (1 + np.float32(0.35) * level)
    back = build.back(z)
    spine = np.sqrt(x * x + (y - back) ** 2) - np.float32(27 * build.vertebra)
    aorta = np.sqrt((x + np.float32(20)) ** 2 + (y - back - np.float32(24)) ** 2) - np.float32(15)
    heart = -heart_depth(grid, build) - np.float32(3)
    depth: Field = np.minimum(
        cage - np.float32(2), np.minimum((z - floor) * np.float32(0.7), (roof - z) * np.float32(0.7))
    )
    for other in (aside - waist, spine, np.where(z < 30, aorta, np.float32(99)), heart):
        depth = blend(depth, other, 9)
    return depth


def heart_depth(grid: Grid, build: Build) -> Field:
    """Depth inside the heart: an egg whose long axis points left, forward and down."""
    long = np.array([-0.78, 0.42 + build.heart_tilt, -0.46])
    long /= np.linalg.norm(long)
    dx, dy, dz = grid.x + np.float32(20), grid.y - np.float32(26), grid.z + np.float32(42)
    along = dx * np.float32(long[0]) + dy * np.float32(long[1]) + dz * np.float32(long[2])
    across2 = np.maximum(dx * dx + dy * dy + dz * dz - along * along, 0)
    thick = np.float32(44 * build.heart) * (1 - np.float32(0.12) * np.clip(along / np.float32(60), -1, 1))
    reach = np.sqrt((along / np.float32(62 * build.heart)) ** 2 + across2 / (thick * thick))
    depth: Field = (1 - reach) * np.float32(46 * build.heart)
    return depth


def draw_heart(canvas: Canvas, build: Build) -> None:
    """Heart, great vessels, gullet."""
    part, grid = canvas.grid.box((-110, -70, -130), (90, 100, 50))
    depth = heart_depth(grid, build)
    canvas.paint((depth > -3) & (canvas.labels[part] != Label.OUTSIDE), -75, Label.FAT, part)
    canvas.paint(depth > 0, 44, Label.HEART, part)
    back = float(build.back(0.0)) + 24
    arch: list[Point] = [(10, 14, -12), (15, 12, 30), (4, -6, 50), (-14, -26, 50), (-20, back, 30)]
    for start, end in pairwise(arch):
        canvas.paint_tube(start, end, (14, 13), 46, Label.HEART)
    canvas.paint_tube((-20, back, 30), (-12, back + 4, -180), (12, 11), 46, Label.HEART)
    canvas.paint_tube((-12, 26, -8), (-12, 4, 24), (14, 12), 44, Label.HEART)
    canvas.paint_tube((-12, 4, 24), (38, -10, 14), (11, 9), 44, Label.HEART)
    canvas.paint_tube((-12, 4, 24), (-42, -16, 22), (11, 9), 44, Label.HEART)
    canvas.paint_tube((26, 6, -20), (24, 4, 90), (10, 8), 42, Label.HEART)
    for x in (9.0, -4.0, -16.0):
        canvas.paint_tube((x * 0.7, -4, 52), (x * 1.8, -6, 150), (6, 5), 46, Label.HEART)
    canvas.paint_tube((-4, back - 4, -120), (-3, -38, 160), (6, 6), 36, Label.SOFT_TISSUE)


def draw_airways(canvas: Canvas) -> None:
    """Windpipe and the large bronchi: walls first, then the air in them."""
    branches: list[tuple[Point, Point, tuple[float, float]]] = [((0, -20, 170), (0, -27, 48), (9, 8.5))]
    for side in (1.0, -1.0):
        fork, hilum = (0.0, -27.0, 48.0), (side * 40, -26.0, 16.0 if side > 0 else 12.0)
        branches.append((fork, hilum, (7.5, 6)))
        branches += [
            (hilum, (side * 58, -40, -18), (5, 3.6)),
            (hilum, (side * 60, 4, -4), (4.2, 3)),
            (hilum, (side * 58, -22, 46), (4.4, 3)),
        ]
    for start, end, radius in branches:
        canvas.paint_tube(start, end, (radius[0] + 1.8, radius[1] + 1.4), 30, Label.SOFT_TISSUE)
    for start, end, radius in branches:
        canvas.paint_tube(start, end, radius, -985, Label.AIRWAY)


def draw_abdomen(canvas: Canvas, build: Build, cage: Field, lungs: Mask) -> None:
    """Liver, spleen, stomach with its gas: what the diaphragm covers."""
    part, grid = canvas.grid.box((-170, -140, -400), (170, 140, -20))
    if 0 in grid.shape:
        return
    dome = np.where(grid.x > 0, np.float32(build.dome_right), np.float32(build.dome_left))
    aside = np.abs(grid.x)
    floor = dome - (aside - np.float32(62)) ** 2 / np.float32(75) - (grid.y - np.float32(18)) ** 2 / np.float32(105)
    below = (cage[part] > 3) & ~lungs[part] & (grid.z < floor - 3) & (canvas.labels[part] != Label.HEART)
    canvas.paint(below, -95, Label.FAT, part)
    away = np.sqrt(grid.x**2 + (grid.y - build.back(grid.z)) ** 2)
    border = np.float32(-14) + np.float32(0.35) * (grid.z - np.float32(build.dome_left))
    liver = blend(np.minimum(cage[part] - 5, floor - 4 - grid.z), blend(grid.x - border, away - np.float32(34), 12), 10)
    canvas.paint(below & (liver > 0), 60, Label.ORGAN, part)
    spleen = ellipsoid(grid, (-88, -40, build.dome_left - 42), (32, 40, 44))
    canvas.paint(below & (spleen > 0), 50, Label.ORGAN, part)
    stomach = ellipsoid(grid, (-62, 22, build.dome_left - 38), (40, 36, 32))
    canvas.paint(below & (stomach > 0), 22, Label.ORGAN, part)
    canvas.paint(below & (stomach > 4) & (grid.y > 34), -960, Label.GAS, part)


def draw_spine(canvas: Canvas, build: Build) -> None:
    """Vertebral bodies and discs, the arch around the canal, spinous and transverse processes."""
    part, grid = canvas.grid.box((-50, -160, -400), (50, 0, 400))
    pitch = np.float32(23 * build.vertebra)
    phase = grid.z / pitch + np.float32(build.vertebra_phase)
    off = (phase - np.round(phase)) * pitch
    y, aside, s = grid.y - build.back(grid.z), np.abs(grid.x), build.vertebra
    body = np.float32(16.5 * s) - np.sqrt(grid.x**2 + (y * np.float32(1.15)) ** 2)
    disc = np.abs(off) > pitch * np.float32(0.41)
    rim = (body < 2.2) | (np.abs(off) > pitch * np.float32(0.33))
    canvas.paint((body > 0) & disc, 85, Label.SOFT_TISSUE, part)
    canvas.paint((body > 0) & ~disc, build.marrow, Label.BONE, part)
    canvas.paint((body > 0) & ~disc & rim, build.marrow + 330, Label.BONE, part)
    canal = np.sqrt((grid.x / np.float32(1.15)) ** 2 + (y + np.float32(22 * s)) ** 2)
    arch = (canal < 12.5) & (canal > 8) & (body <= 0) & ((np.abs(off) < pitch * np.float32(0.36)) | (aside > 7))
    canvas.paint(arch, 480, Label.BONE, part)
    canvas.paint((canal <= 8) & (body <= 0), 32, Label.SOFT_TISSUE, part)
    slant = off + np.float32(0.55) * (-y - np.float32(30))
    spinous = (aside < 3.2) & (y < -33) & (y > np.float32(-48 * s)) & (np.abs(slant) < 5.5)
    outward = (
        (aside > 9) & (aside < 36) & (np.abs(y + np.float32(19) + aside * np.float32(0.22)) < 4.5) & (np.abs(off) < 5)
    )
    canvas.paint((spinous | outward) & (canvas.labels[part] != Label.OUTSIDE), 420, Label.BONE, part)


def draw_ribs(canvas: Canvas, build: Build, cage: Field) -> None:
    """Eleven pairs of slanting hoops in the chest wall, ending in cartilage; only the shell's voxels are computed."""
    grid = canvas.grid
    place = np.nonzero((cage < 1) & (cage > -13))
    x, y, z = grid.x.ravel()[place[0]], grid.y.ravel()[place[1]], grid.z.ravel()[place[2]]
    width, depth, middle = (np.broadcast_to(a, grid.shape[2:]) for a in _cage_at(build, grid))
    angle = np.arctan2(np.abs(x) / width[place[2]], -(y - middle[place[2]]) / depth[place[2]]) / np.float32(np.pi)
    slope = np.clip(angle / np.float32(0.72), 0, 1)
    fall = np.float32(build.rib_drop) * slope * slope * (3 - 2 * slope)
    rise = np.float32(46) * np.clip(angle - np.float32(0.74), 0, 1)
    number = (np.float32(build.apex + 2 + build.rib_phase) - z - fall + rise * 1.5) / np.float32(build.rib_pitch)
    nearest = np.clip(np.round(number), 0, 10)
    off = (number - nearest) * np.float32(build.rib_pitch)
    ring = np.sqrt(
        (off * np.float32(0.85) / np.float32(6.2)) ** 2 + ((cage[place] + np.float32(6)) / np.float32(4.2)) ** 2
    )
    end = np.float32(0.80) - np.float32(0.07) * np.maximum(nearest - 6, 0)
    hoop = (ring < 1) & (angle > 0.10) & (angle < end + np.float32(0.13) * (nearest < 8))
    bone = hoop & (angle < end)
    values = np.where(bone, np.where(ring > 0.62, np.float32(640), np.float32(build.marrow)), np.float32(95))
    chosen = tuple(axis[hoop] for axis in place)
    canvas.hu[chosen] = values[hoop]
    canvas.labels[chosen] = np.where(bone, Label.BONE, Label.SOFT_TISSUE)[hoop]


def _cage_at(build: Build, grid: Grid) -> tuple[Field, Field, Field]:
    width, depth, middle = build.cage(grid.z)
    return width.ravel(), depth.ravel(), np.full(grid.shape[2], middle, np.float32)


def draw_girdle(canvas: Canvas, build: Build) -> None:
    """Breastbone, collar bones, shoulder blades."""
    part, grid = canvas.grid.box((-30, 0, -70), (30, 140, 88))
    _, depth, middle = build.cage(grid.z)
    front = grid.y - depth - np.float32(middle + 7)
    broad = np.float32(15) + np.float32(11) * np.clip((grid.z - np.float32(35)) / np.float32(40), 0, 1)
    plate = np.minimum(np.float32(5.5) - np.abs(front), broad - np.abs(grid.x))
    canvas.paint((plate > 0) & (np.abs(grid.z - 40) > 1.5), build.marrow + 300, Label.BONE, part)
    canvas.paint((plate > 2) & (np.abs(grid.z - 40) > 1.5), build.marrow, Label.BONE, part)
    for side in (1.0, -1.0):
        start: Point = (side * 20, float(middle + build.chest_depth * 0.72), 92)
        canvas.paint_tube(start, (side * 70, 48, 104), (7, 6), 560, Label.BONE)
        canvas.paint_tube((side * 70, 48, 104), (side * 132, 2, 122), (6, 6), 560, Label.BONE)
        _draw_blade(canvas, build, side)


def _draw_blade(canvas: Canvas, build: Build, side: float) -> None:
    """A shoulder blade: a thin bent triangle on the back of the cage, its spine a ridge."""
    centre = np.array([side * 0.76 * build.chest_width, -0.74 * build.chest_depth - 13, 62], np.float32)
    part, grid = canvas.grid.box(
        (float(centre[0]) - 60, float(centre[1]) - 50, -40), (float(centre[0]) + 60, float(centre[1]) + 60, 160)
    )
    dx, dy, dz = grid.x - centre[0], grid.y - centre[1], grid.z - centre[2]
    across = (dx * np.float32(side) * np.float32(0.80)) + dy * np.float32(0.60)
    normal = -(dx * np.float32(side)) * np.float32(0.60) + dy * np.float32(0.80) + across**2 / np.float32(260)
    half = np.clip(np.float32(30) + dz * np.float32(0.30), 3, 46)
    sheet = np.minimum(
        np.float32(2.6) + np.float32(3) * (np.abs(across) > half - 6) - np.abs(normal), half - np.abs(across)
    )
    sheet = np.minimum(sheet, np.float32(70) - np.abs(dz))
    canvas.paint((sheet > 0) & (canvas.labels[part] != Label.OUTSIDE), 430, Label.BONE, part)
    hook: Point = (float(centre[0]) - side * 20, float(centre[1]) - 22, 92)
    tip: Point = (float(centre[0]) + side * 42, float(centre[1]) + 18, 116)
    canvas.paint_tube(hook, tip, (4.5, 7), 430, Label.BONE)


def branch_depth(grid: Grid, start: Point, end: Point, radius: tuple[float, float]) -> Field:
    """Share of each voxel that a vessel fills, in [0, 1]: thin ones fade instead of breaking up."""
    step = np.float32(min(grid.spacing_mm))
    share = np.clip(tube(grid, start, end, radius) / step + np.float32(0.5), 0, 1)
    filled: Field = share * np.float32(min(1.0, (2.2 * max(radius) / float(step)) ** 2))
    return filled
