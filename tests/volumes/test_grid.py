"""Resampling is geometry: to the model's grid and back, in any orientation, with HA-GAN's preprocessing on the way."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.support.volume_samples import ALL_CODES, numbered, placement, turned
from volumes.grids.grid import (
    HEADROOM_MM,
    Grid,
    from_network,
    grid_of,
    network_grid,
    own_grid,
    reorient,
    resample,
    to_network,
)
from volumes.volume import Volume, VolumeError

SIDES = (14, 18, 11)


def ramp(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """A value linear in the patient's millimetres, different along R, A and S."""
    index = np.indices(shape).reshape(3, -1)
    mm = affine[:3, :3] @ index + affine[:3, 3:]
    return (np.array([1.0, -0.5, 0.25]) @ mm).reshape(shape)


def scan(codes: str, oblique: bool) -> Volume:
    affine = placement(oblique)
    return turned(ramp(affine, SIDES).astype("f4"), affine, codes)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_values_stay_at_their_millimetres_there_and_back(codes: str) -> None:
    given = scan(codes, oblique=True)
    grid = network_grid(given, (24, 20, 28), "IAL", (1, 1, 1), "stretch")
    there = resample(given, grid, background=-1000, antialias=False)
    inside = (slice(2, -2),) * 3
    np.testing.assert_allclose(there.array[inside], ramp(grid.affine, grid.shape)[inside], atol=2e-3)
    back = resample(there, grid_of(given), background=-1000, antialias=False)
    assert back.shape == given.shape
    np.testing.assert_allclose(back.array[inside], given.array[inside], atol=2e-3)
    np.testing.assert_array_equal(back.affine, given.affine)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_left_in_the_scan_is_left_in_the_result(codes: str) -> None:
    """A bright corner at the patient's left, front and top goes through a network that only copies."""
    array = np.zeros((16, 20, 12), np.int16)
    array[:6, 12:, 8:] = 100
    given = turned(array, placement(oblique=True), codes)
    for axes in ("IAL", "SPL", "RAS"):
        grid = network_grid(given, (10, 12, 14), axes, (1, 1, 1), "stretch")
        seen = to_network(resample(given, grid, 0).array, axes)
        corner = tuple(0 if code in "LAS" else -1 for code in axes.translate(str.maketrans("RLAPSI", "LRPAIS")))
        assert seen[corner] == 100
        assert (seen > 50).sum() < 0.2 * seen.size
        result = Volume(from_network(seen, axes), grid.affine)
        back = resample(result, grid_of(given), 0)
        assert np.corrcoef(back.array.ravel(), given.array.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_stretch_covers_the_field_of_view_from_face_to_face(codes: str) -> None:
    given = scan(codes, oblique=True)
    grid = network_grid(given, (8, 9, 10), "SPL", (1, 1, 1), "stretch")
    assert grid.shape == (10, 9, 8)
    canonical = reorient(given)
    for corner in np.ndindex(2, 2, 2):
        ours = grid.affine @ np.append(np.array(corner) * grid.shape - 0.5, 1)
        theirs = canonical.affine @ np.append(np.array(corner) * canonical.shape - 0.5, 1)
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_stretch_is_the_authors_resize() -> None:
    """Anti-aliased linear resize with the background beyond the border, evaluated with scipy's zoom alone."""
    given = Volume(np.random.default_rng(1).random((24, 13, 30)).astype("f4"), np.diag([1.0, 2.0, 3.0, 1.0]))
    sides = (12, 26, 20)
    sigmas = [max(0.0, (old / new - 1) / 2) for old, new in zip(given.shape, sides, strict=True)]
    smooth = ndimage.gaussian_filter(given.array, sigmas, mode="constant", cval=-1)
    factors = [new / old for old, new in zip(given.shape, sides, strict=True)]
    expected = ndimage.zoom(smooth, factors, order=1, mode="grid-constant", cval=-1, grid_mode=True)
    grid = network_grid(given, sides, "RAS", (1, 1, 1), "stretch")
    np.testing.assert_allclose(resample(given, grid, -1, border="fade").array, expected, atol=1e-5)


def test_the_same_grid_gives_the_same_values() -> None:
    given = turned(numbered(), placement(oblique=True), "SLP")
    again = resample(given, grid_of(given), 0)
    assert again.array.dtype == np.float32
    np.testing.assert_allclose(again.array, given.array, atol=1e-9)


def test_sheared_scans_are_resampled_too() -> None:
    affine = placement(oblique=False)
    affine[0, 1] = 0.4
    given = Volume(ramp(affine, SIDES).astype("f4"), affine)
    grid = own_grid((5, 5, 5), "RAS", (0.4, 0.5, 0.6))
    middle = affine @ np.append((np.array(SIDES) - 1) / 2, 1)
    shifted = grid.affine.copy()
    shifted[:3, 3] += middle[:3]
    at = Grid(grid.shape, shifted)
    np.testing.assert_allclose(resample(given, at, -9).array, ramp(at.affine, at.shape), atol=1e-3)


def test_outside_the_field_of_view_is_background_and_the_rim_follows_the_border() -> None:
    given = Volume(np.full((6, 6, 6), 10, np.int16), np.eye(4))
    line = Grid((4, 1, 1), np.array([[0.4, 0, 0, -1.2], [0, 1, 0, 2], [0, 0, 1, 2], [0, 0, 0, 1.0]]))  # x -1.2 .. 0
    clamp = resample(given, line, -2, antialias=False).array.ravel()
    fade = resample(given, line, -2, antialias=False, border="fade").array.ravel()
    np.testing.assert_allclose(clamp, [-2, -2, 10, 10])
    np.testing.assert_allclose(fade, [-2, 0.4, 5.2, 10], atol=1e-5)


def test_values_that_are_not_finite_count_as_background() -> None:
    array = np.full((4, 4, 4), 7, np.float32)
    array[0, 0, 0], array[1, 1, 1], array[2, 2, 2] = np.nan, np.inf, -np.inf
    again = resample(Volume(array, np.eye(4)), Grid((4, 4, 4), np.eye(4)), -1).array
    assert (again[0, 0, 0], again[1, 1, 1], again[2, 2, 2], again[3, 3, 3]) == (-1, -1, -1, 7)


def test_shrinking_keeps_the_mean_of_fine_detail() -> None:
    checker = (np.indices((32, 32, 32)).sum(0) % 2 * 100).astype("u1")
    given = Volume(checker, np.eye(4))
    grid = network_grid(given, (8, 8, 8), "RAS", (1, 1, 1), "stretch")
    assert np.abs(resample(given, grid, 0).array[1:-1, 1:-1, 1:-1] - 50).max() < 2


def test_a_model_without_a_scan_has_a_grid_of_its_own_size() -> None:
    grid = own_grid((4, 6, 8), "IAL", (2.0, 1.5, 0.5))
    assert grid.shape == (8, 6, 4)
    assert grid.spacing_mm == (0.5, 1.5, 2.0)
    np.testing.assert_allclose(grid.affine @ np.append((np.array(grid.shape) - 1) / 2, 1), [0, 0, 0, 1])


def phantom_head(codes: str, noise: float) -> Volume:
    """A brain in a thin scalp, 120 x 140 x 150 mm about (10, -5, 20), with noise and a bright frame beside it."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -80, -100, -90
    mm = np.moveaxis(np.indices((90, 100, 100)), 0, -1) * 2.0 + affine[:3, 3]
    radius = np.linalg.norm((mm - (10, -5, 20)) / (60, 70, 75), axis=-1)
    array = 200.0 * (radius < 0.85) + 250.0 * ((radius > 0.94) & (radius < 1))
    array[2:4, 2:4, 40:] = 400  # a rod that reaches above the head
    array += np.random.default_rng(0).normal(0, noise, array.shape)
    return turned(array.astype("f4"), affine, codes)


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PIR"])
@pytest.mark.parametrize("noise", [0.0, 15.0])
def test_the_head_is_placed_by_its_vertex_and_its_middle(codes: str, noise: float) -> None:
    grid = network_grid(phantom_head(codes, noise), (40, 48, 42), "IAL", (5.0, 5.0, 5.0), "head")
    assert grid.shape == (42, 48, 40)
    faces = [grid.affine @ [-0.5, -0.5, -0.5, 1], grid.affine @ [41.5, 47.5, 39.5, 1]]
    np.testing.assert_allclose(np.mean(faces, axis=0)[:2], [10, -5], atol=3)
    assert faces[1][2] - HEADROOM_MM == pytest.approx(95, abs=3)
    np.testing.assert_allclose(faces[1] - faces[0], [210, 240, 200, 0])


def test_no_head_in_a_constant_scan() -> None:
    with pytest.raises(VolumeError, match="same value"):
        network_grid(Volume(np.ones((9, 9, 9)), np.eye(4)), (8, 8, 8), "RAS", (1, 1, 1), "head")
