"""The axes of an NRRD volume: which three are spatial, how long they are, and where they lie in RAS+ millimetres.

Source: the NRRD format definition, sections 5 and 6. Where it leaves a choice, ITK's reading is taken.
"""

import re
from collections.abc import Sequence

import numpy as np

from volumes import assumptions
from volumes.codecs.text import integers, numbers, words_of
from volumes.volume import Affine, VolumeError, checked_affine

Signs = tuple[float, float, float]
SPACES: dict[str, Signs] = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
"""Signs that turn a space's coordinates to RAS."""
LPS = SPACES["lps"]
WITHOUT_ANATOMY = {"scanner-xyz", "3d-right-handed"}
WITH_TIME = {f"{name}-time": name for name in ("left-posterior-superior", "right-anterior-superior",
             "left-anterior-superior", "scanner-xyz", "3d-right-handed")} | {
    "lpst": "lps", "rast": "ras", "last": "las"}  # fmt: skip
MM_PER_UNIT = {
    unit: scale
    for scale, units in (
        (1e-6, "nm nanometer nanometers nanometre nanometres"),
        (1e-3, "um \u00b5m \u03bcm micron microns micrometer micrometers micrometre micrometres"),
        (1.0, "mm millimeter millimeters millimetre millimetres"),
        (10.0, "cm centimeter centimeters centimetre centimetres"),
        (1e3, "m meter meters metre metres"),
    )
    for unit in units.split()
}
SPATIAL_KINDS = {"domain", "space", "none", "???"}
MAX_DIMENSION = 16  # of the format
SERIES = "The file must hold one three-dimensional volume with one value per voxel."
Vector = list[float]


def axes_of(fields: dict[str, str], notes: list[str]) -> tuple[list[int], Affine]:
    """The sides of the three spatial axes, and the affine (4, 4); `notes` gains what is assumed.

    Raises:
        VolumeError: no three such axes, another one longer than 1, or no sound placement.
    """
    sizes = integers(fields.get("sizes", ""))
    if integers(fields.get("dimension", "")) != [len(sizes)] or len(sizes) > MAX_DIMENSION:
        raise VolumeError("The NRRD header's sizes are not as many as its dimensions.")
    directions = _directions(fields, len(sizes))
    kept = _spatial(sizes, _kinds(fields, len(sizes)), directions)
    if directions is not None:
        affine = _placed(fields, [directions[axis] or [] for axis in kept], notes)
    else:
        affine = _by_spacings(fields, [sizes[axis] for axis in kept], kept, len(sizes), notes)
    return [sizes[axis] for axis in kept], affine


def _kinds(fields: dict[str, str], count: int) -> list[str]:
    kinds = words_of(fields.get("kinds", "").lower()) or ["???"] * count
    if len(kinds) != count:
        raise VolumeError("The NRRD header's kinds are not as many as its dimensions.")
    return kinds


def _spatial(sizes: list[int], kinds: list[str], directions: Sequence[Vector | None] | None) -> list[int]:
    """Which axes are left when those of one sample that are not spatial are left out."""
    kept = [axis for axis in range(len(sizes)) if directions is None or directions[axis] is not None]
    if len(kept) > 3:
        kept = [axis for axis in kept if sizes[axis] != 1 or kinds[axis] in SPATIAL_KINDS]
    while len(kept) > 3 and sizes[kept[-1]] == 1:
        kept.pop()
    if len(kept) != 3 or any(size != 1 for axis, size in enumerate(sizes) if axis not in kept):
        raise VolumeError(SERIES)
    if any(kinds[axis] not in SPATIAL_KINDS for axis in kept):
        raise VolumeError(f"Every axis of the NRRD volume must be a spatial one. {SERIES}")
    return kept


def _space(fields: dict[str, str], notes: list[str]) -> Signs:
    """The signs of the space's coordinates. Raises: VolumeError, for one that is unknown or a mirror."""
    name = fields.get("space", "").lower()
    name = WITH_TIME.get(name, name)
    if name in SPACES:
        return SPACES[name]
    if name and name not in WITHOUT_ANATOMY:
        raise VolumeError("The NRRD space is not LPS, RAS, LAS or that of a scanner.")
    notes.append(assumptions.LPS)
    return LPS


def _coordinates(fields: dict[str, str]) -> int:
    """How many numbers a point of the space has. ITK writes a series, also of one volume, into four without a name."""
    said = integers(fields["spacedimension"]) if "spacedimension" in fields else []
    is_unnamed = "space" not in fields
    count = 4 if fields.get("space", "").lower() in WITH_TIME or (is_unnamed and said == [4]) else 3
    if said not in ([], [count]):
        raise VolumeError("The NRRD space must have three dimensions.")
    return count


def _directions(fields: dict[str, str], count: int) -> list[Vector | None] | None:
    """One vector for each axis, or None for an axis that has none; None where the header gives no directions."""
    if "spacedirections" not in fields:
        if ("space" in fields and "spacings" in fields) or ("space" not in fields and "spaceorigin" in fields):
            raise VolumeError("The NRRD header gives a place in a space, but not the directions of its axes.")
        return None
    found = _vectors(fields.get("spacedirections", ""), _coordinates(fields))
    if len(found) != count:
        raise VolumeError("The NRRD header does not give the direction of each axis.")
    return found


def _vectors(text: str, count: int) -> list[Vector | None]:
    """ "(1,0,0) none (0,1,0)" -> its vectors, of which the first three coordinates count. One of NaN alone is none."""
    words_of(text)
    if not re.fullmatch(r"(?:(?:\([^()]*\)|none)\s*)+", text):
        raise VolumeError("A direction or the origin in the NRRD header is malformed.")
    parts = re.findall(r"\([^()]*\)|none", text)
    words = [part[1:-1].replace(",", " ") for part in parts]
    are_none = [part == "none" or {*word.lower().split()} == {"nan"} for part, word in zip(parts, words, strict=True)]
    return [None if is_none else numbers(word, count)[:3] for is_none, word in zip(are_none, words, strict=True)]


def _placed(fields: dict[str, str], vectors: list[Vector], notes: list[str]) -> Affine:
    """Directions and origin in a space."""
    signs = _space(fields, notes)
    world = np.eye(4)
    world[:3, :3] = np.transpose(vectors)
    origin = _origin(fields)
    if origin is None:
        notes.append(assumptions.ORIGIN)
    world[:3, 3] = origin or [0.0] * 3
    units = re.findall(r'"([^"]*)"', " ".join(words_of(fields.get("spaceunits", ""))))
    scales = [_unit_mm(unit) for unit in units[:3]]
    if len(scales) == 3:
        world[:3] *= np.reshape(scales, (3, 1))
    elif scales:
        raise VolumeError("The NRRD header does not give the unit of each axis.")
    return checked_affine(np.diag([*signs, 1.0]) @ world)


def _origin(fields: dict[str, str]) -> Vector | None:
    """The first voxel's place in the space, where it is given."""
    return _vectors(fields["spaceorigin"], _coordinates(fields))[0] if "spaceorigin" in fields else None


def _unit_mm(unit: str) -> float:
    if unit.lower() not in MM_PER_UNIT and unit not in ("", "???", "none"):
        raise VolumeError("The NRRD header's unit of length is unknown.")
    return MM_PER_UNIT.get(unit.lower(), 1.0)


def _by_spacings(fields: dict[str, str], sides: list[int], kept: list[int], count: int, notes: list[str]) -> Affine:
    """Voxel sizes along LPS and, where they are given, the ends of the axes, as ITK takes them without a space.

    Where a space is named without directions, its origin counts.
    """
    sizes, lows, highs = (
        [_each(fields.get(name), count)[axis] for axis in kept] for name in ("spacings", "axismins", "axismaxs")
    )
    centers = words_of(fields.get("centers", "").lower()) or ["???"] * count
    if len(centers) != count:
        raise VolumeError("The NRRD header's centerings are not as many as its dimensions.")
    are_nodes = [centers[axis] == "node" for axis in kept]
    world = np.eye(4)
    for axis, (size, low, high, is_node) in enumerate(zip(sizes, lows, highs, are_nodes, strict=True)):
        if size is None and low is not None and high is not None and sides[axis] > is_node:
            size = (high - low) / (sides[axis] - is_node)
            notes.append(assumptions.AXIS_ENDS)
        elif size is None:
            notes.append(assumptions.VOXEL_SIZE)
        world[axis, axis] = 1.0 if size is None else size
        world[axis, 3] = (low or 0.0) + (0.0 if is_node else world[axis, axis] / 2)
    world[:3] *= _axis_unit_mm(fields, kept, count)
    affine, origin = np.diag([*LPS, 1.0]) @ world, _origin(fields)
    notes.append(assumptions.LPS)
    if origin is not None:
        affine[:3, 3] = np.multiply(_space(fields, notes), origin)
    elif None in lows or assumptions.VOXEL_SIZE in notes:
        affine[:3, 3] = 0.0
        notes.append(assumptions.ORIGIN)
    notes[:] = dict.fromkeys(notes)
    return checked_affine(affine)


def _each(text: str | None, count: int) -> list[float | None]:
    """A number for each axis, None for "nan" and where the field is absent."""
    words = ["nan"] * count if text is None else words_of(text)
    if len(words) != count:
        raise VolumeError("A header field does not hold the numbers that its meaning needs.")
    return [None if word.lower() == "nan" else numbers(word, 1)[0] for word in words]


def _axis_unit_mm(fields: dict[str, str], kept: list[int], count: int) -> Affine:
    """Millimetres per unit of the three axes (3, 1), where the field "units" names one of length."""
    units = re.findall(r'"([^"]*)"', " ".join(words_of(fields.get("units", "")))) or [""] * count
    if len(units) != count:
        raise VolumeError("The NRRD header does not give the unit of each axis.")
    return np.reshape([MM_PER_UNIT.get(units[axis].lower(), 1.0) for axis in kept], (3, 1))
