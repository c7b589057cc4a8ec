"""Previews: radiological convention, right way up, true proportion, from any orientation."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support.volume_samples import ALL_CODES, turned
from volumes.preview import three_planes
from volumes.volume import Volume

SIZE = 128


def picture(volume: Volume, window: tuple[float, float] = (0, 100)) -> list[np.ndarray]:
    """The three panels of the PNG as arrays (rows, columns)."""
    image = Image.open(io.BytesIO(three_planes(volume, window, SIZE)))
    assert (image.format, image.mode, image.size) == ("PNG", "L", (3 * SIZE, SIZE))
    return np.split(np.asarray(image), 3, axis=1)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_the_octant_at_the_patients_right_front_and_top_is_where_radiologists_look_for_it(codes: str) -> None:
    array = np.full((20, 30, 40), 40, np.int16)  # 80 x 60 x 80 mm
    array[9:, 14:, 19:] = 100  # right, anterior, superior, the middle planes in it
    affine = np.diag([4.0, 2.0, 2.0, 1.0])
    axial, coronal, sagittal = picture(turned(array, affine, codes))
    above, below = (slice(30, 40), slice(88, 98))
    left, right = (slice(30, 40), slice(88, 98))
    assert axial[above, left].mean() > 220 > 120 > axial[below, right].mean()
    assert coronal[above, left].mean() > 220 > 120 > coronal[below, left].mean()
    assert axial[above, right].mean() < 120 > coronal[above, right].mean()
    assert sagittal[above, left].mean() > 220 > 120 > sagittal[above, right].mean()


def test_proportions_are_millimetres() -> None:
    axial, coronal, sagittal = picture(Volume(np.full((50, 10, 20), 100, np.uint8), np.diag([1.0, 2.5, 5.0, 1.0])))
    for panel, width, height in ((axial, 50, 25), (coronal, 50, 100), (sagittal, 25, 100)):
        lit = np.argwhere(panel > 200)
        extent = (np.ptp(lit, axis=0) + 1) * 100 / SIZE  # rows, columns in mm
        np.testing.assert_allclose(extent, (height, width), atol=1.0)


def test_the_window_runs_from_black_to_white_and_the_bytes_are_the_same_each_time() -> None:
    array = np.zeros((8, 8, 8), np.float32)
    array[4:] = 50
    array[0, 0, 0] = np.nan
    volume = Volume(array, np.eye(4))
    axial = picture(volume, (0, 50))[0]
    assert axial[30:40, 30].max() == 255  # the patient's right is on the left
    assert axial[30:40, 90].min() == 0
    assert three_planes(volume, (0, 50)) == three_planes(volume, (0, 50))
    assert three_planes(volume, (7, 7))  # an empty window still makes a picture
