"""The measure of detail on volumes whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from evaluation.distances.detail import band_share, detail_inside, detail_of

SPACING_MM = (2.0, 2.5, 2.0)


def wave(cycles_per_mm: float, axis: int = 0) -> NDArray[np.float32]:
    """A sinusoid along one axis of a cube of 110 mm."""
    shape = tuple(round(110 / step) for step in SPACING_MM)
    places = (np.arange(shape[axis]) + 0.5) * SPACING_MM[axis]
    along = np.sin(2 * np.pi * cycles_per_mm * places).reshape([-1 if k == axis else 1 for k in range(3)])
    return np.broadcast_to(0.5 + 0.4 * along, shape).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wave_inside_the_band_is_detail_and_one_outside_is_not(axis: int) -> None:
    assert band_share(wave(0.12, axis), SPACING_MM) > 0.99
    assert band_share(wave(0.04, axis), SPACING_MM) < 0.01


def test_waves_of_equal_power_in_and_below_the_band_share_equally() -> None:
    assert band_share(wave(0.12) + wave(0.04), SPACING_MM) == pytest.approx(0.5, abs=0.01)


def test_white_noise_has_the_bands_share_of_all_frequencies() -> None:
    """Of the frequencies up to 0.25 along each axis, a ball of that radius without its core."""
    noise = np.random.default_rng(0).random((55, 55, 55), dtype=np.float32)
    ball = 4 / 3 * np.pi * (0.25**3 - 0.08**3)
    assert band_share(noise, (2.0, 2.0, 2.0)) == pytest.approx(ball / 0.5**3, abs=0.01)


def test_blurring_takes_detail_away() -> None:
    noise = np.random.default_rng(0).random((100, 110, 100), dtype=np.float32)
    sharp, soft, softer = (detail_of(gaussian_filter(noise, s), SPACING_MM) for s in (0, 1.5, 3))
    assert sharp > soft > softer


def test_brightness_is_no_detail_and_what_lies_outside_the_cube_neither() -> None:
    volume = np.random.default_rng(0).random((100, 110, 100), dtype=np.float32)
    other = volume * 0.25
    other[:, :, :20] = 0.25 * np.random.default_rng(1).random((100, 110, 20))
    assert detail_of(other, SPACING_MM) == pytest.approx(detail_of(volume, SPACING_MM), rel=1e-5)


def test_an_empty_volume_has_none() -> None:
    assert detail_of(np.zeros((100, 110, 100), np.float32), SPACING_MM) == 0


def test_the_largest_cube_lies_inside_the_body_and_air_within_it_counts() -> None:
    places = np.stack(np.meshgrid(*[np.arange(80) - 40] * 3, indexing="ij"))
    body = (places**2).sum(0) < 36**2
    noise = np.random.default_rng(0).random(body.shape, dtype=np.float32)
    holey = np.where(body, 0.5 + 0.3 * noise, 0).astype(np.float32)
    holey[30:36, 30:36, 30:36] = 0
    smooth = np.where(body, 0.5 + 0.3 * gaussian_filter(noise, 3), 0).astype(np.float32)
    sharp, soft = (detail_inside(one, (2.0, 2.0, 2.0)) for one in (holey, smooth))
    assert sharp is not None
    assert soft is not None
    assert sharp > soft
    assert detail_inside(holey[36:40, 36:40, 36:40], (2.0, 2.0, 2.0)) is None
