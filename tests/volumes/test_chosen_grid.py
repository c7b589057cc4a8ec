"""Volumes on a grid of the user's choice: what lies in them stays where it was."""

import numpy as np
import pytest

from volumes.grids.chosen_grid import by_shape, by_spacing, foreground
from volumes.grids.grid import grid_of, resample
from volumes.volume import Volume

AFFINE = np.array([[0.0, -1.2, 0, 40], [0.9, 0, 0, -30], [0, 0, 1.5, 7], [0, 0, 0, 1]])
"""Turned about z by a right angle, with unequal voxels."""
CENTRE_MM, WIDTH_MM = np.array([2.0, -6.0, 30.0]), 5.0


def _places(volume: Volume) -> np.ndarray:
    index = np.indices(volume.shape).reshape(3, -1)
    return (volume.affine[:3, :3] @ index + volume.affine[:3, 3:]).T


def _phantom() -> Volume:
    blank = Volume(np.zeros((48, 60, 40), dtype=np.float32), AFFINE)
    far = ((_places(blank) - CENTRE_MM) ** 2).sum(axis=1)
    return Volume(np.exp(-far / (2 * WIDTH_MM**2)).reshape(blank.shape).astype(np.float32), AFFINE)


def _centre_of_mass_mm(volume: Volume) -> np.ndarray:
    weights = volume.array.ravel().astype(np.float64)
    return (_places(volume) * weights[:, None]).sum(axis=0) / weights.sum()


@pytest.mark.parametrize("sizes", [(2.0, 2.0, 2.0), (0.7, 1.3, 3.1), (3.0, 3.0, 3.0)])
def test_a_structure_stays_where_it_is_at_another_spacing(sizes):
    phantom = _phantom()
    made = resample(phantom, by_spacing(grid_of(phantom), sizes), 0.0)
    assert made.spacing_mm == pytest.approx(sizes)
    assert np.abs(_centre_of_mass_mm(made) - CENTRE_MM).max() < 0.1 * min(sizes)


def test_a_shape_keeps_the_field_of_view_face_to_face():
    phantom = _phantom()
    made = resample(phantom, by_shape(grid_of(phantom), (17, 20, 33)), 0.0)
    assert made.shape == (17, 20, 33)
    for corner in ((0, 0, 0), (1, 1, 1)):
        faces = [
            volume.affine[:3, :3] @ (np.array(corner) * volume.shape - 0.5) + volume.affine[:3, 3]
            for volume in (phantom, made)
        ]
        assert faces[0] == pytest.approx(faces[1])
    assert np.abs(_centre_of_mass_mm(made) - CENTRE_MM).max() < 0.1 * min(made.spacing_mm)


def test_what_the_coarser_grid_cannot_hold_is_taken_out_first():
    stripes = np.zeros((64, 8, 8), dtype=np.float32)
    stripes[::2] = 1.0
    volume = Volume(stripes, np.eye(4))
    grid = by_spacing(grid_of(volume), (4.0, 1.0, 1.0))
    smooth, aliased = resample(volume, grid, 0.0), resample(volume, grid, 0.0, antialias=False)
    assert np.ptp(smooth.array[2:-2]) < 0.02
    assert smooth.array[2:-2].mean() == pytest.approx(0.5, abs=0.01)
    assert aliased.array.shape == smooth.array.shape


def test_a_crop_holds_the_foreground_at_its_place():
    phantom = _phantom()
    cut = foreground(phantom)
    assert all(a < b for a, b in zip(cut.shape, phantom.shape, strict=True))
    assert cut.array.sum() > 0.9 * phantom.array.sum()
    first = np.linalg.inv(phantom.affine) @ cut.affine[:, 3]
    x, y, z = np.round(first[:3]).astype(int)
    a, b, c = cut.shape
    np.testing.assert_array_equal(cut.array, phantom.array[x : x + a, y : y + b, z : z + c])


def test_a_volume_in_which_nothing_stands_out_is_kept_whole():
    volume = Volume(np.zeros((8, 9, 10), dtype=np.float32), np.eye(4))
    assert foreground(volume).shape == (8, 9, 10)
