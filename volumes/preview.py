"""A picture of a volume: its three middle planes in radiological convention, in true proportion."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from volumes.intensity import Range, to_unit
from volumes.orientation import reorient
from volumes.volume import Array, Volume

LETTER_GREY = 170
PLANES = (("L", "P", ("R", "L", "A", "P")), ("L", "I", ("R", "L", "S", "I")), ("P", "I", ("A", "P", "S", "I")))
"""Axial, coronal, sagittal: the directions to the right and down, and the letters at left, right, top and bottom."""


def three_planes(volume: Volume, window: Range, size: int = 256) -> bytes:
    """PNG of axial | coronal | sagittal middle planes, each `size` x `size`, at one scale of mm per pixel.

    The patient's right is on the left of the axial and coronal planes, the face is on the left of the sagittal one.
    Values from window[0] to window[1] run from black to white.
    """
    extents = [side * step for side, step in zip(volume.shape, volume.spacing_mm, strict=True)]
    pixels_per_mm = size / max(extents)
    picture = Image.new("L", (3 * size, size))
    for number, (right, down, letters) in enumerate(PLANES):
        plane, steps = _middle_plane(volume, right, down)
        height, width = (
            max(1, round(side * step * pixels_per_mm)) for side, step in zip(plane.shape, steps, strict=True)
        )
        grey = Image.fromarray(_greys(plane, window)).resize((width, height), Image.Resampling.BICUBIC)
        panel = Image.new("L", (size, size))
        panel.paste(grey, ((size - width) // 2, (size - height) // 2))
        _letter(panel, letters)
        picture.paste(panel, (number * size, 0))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _middle_plane(volume: Volume, right: str, down: str) -> tuple[Array, tuple[float, float]]:
    """The plane (rows, columns) through the middle of the third axis, and the mm per row and per column."""
    third = next(code for code in "LPI" if code not in (right, down))
    turned = reorient(volume, down + right + third)
    return turned.array[:, :, turned.shape[2] // 2], turned.spacing_mm[:2]


def _greys(plane: Array, window: Range) -> NDArray[np.uint8]:
    low, high = window if window[0] < window[1] else (window[0], window[0] + 1)
    return np.rint(to_unit(plane, low, high) * 255).astype(np.uint8)


def _letter(panel: Image.Image, letters: tuple[str, str, str, str]) -> None:
    """Write the directions at the left, right, top and bottom edges."""
    size = panel.width
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(max(8, size // 18))
    edge, middle = max(1, size // 64), size // 2
    places = (
        ((edge, middle), "lm"), ((size - edge, middle), "rm"), ((middle, edge), "mt"), ((middle, size - edge), "mb")
    )  # fmt: skip
    for letter, (place, anchor) in zip(letters, places, strict=True):
        draw.text(place, letter, LETTER_GREY, font, anchor, stroke_width=1, stroke_fill=0)
