"""Windows, the network's range and stored values."""

import numpy as np
import pytest

from volumes.intensity import NotFiniteError, to_network_range, to_stored, to_unit, window_of
from volumes.volume import VolumeError

NETWORK = np.linspace(-1, 1, 5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)


def test_hounsfield_units_there_and_back() -> None:
    hu = np.arange(-1024, 601, dtype=np.int16).reshape(1, 1, -1)
    network = to_network_range(hu, -1024, 600, (-1, 1))
    assert network.dtype == np.float32
    assert (network.min(), network.max()) == (-1, 1)
    np.testing.assert_array_equal(to_stored(network, -1024, 600, (-1, 1), "int16"), hu)


def test_axes_in_memory_backwards_give_the_same_values() -> None:
    straight = to_stored(NETWORK, -1024, 600, (-1, 1), "int16")
    reversed_axes = NETWORK[::-1, :, ::-1]
    np.testing.assert_array_equal(to_stored(reversed_axes, -1024, 600, (-1, 1), "int16"), straight[::-1, :, ::-1])


def test_values_beyond_the_window_are_clipped_and_nan_is_low() -> None:
    values = np.array([-5000, -1024, 600, 9999, np.nan, np.inf, -np.inf, 3.4e38], np.float32)
    np.testing.assert_array_equal(
        to_network_range(values, -1024, 600, (-1, 1)), np.float32([-1, -1, 1, 1, -1, 1, -1, 1])
    )
    np.testing.assert_array_equal(to_unit(values, -1024, 600), np.float32([0, 0, 1, 1, 0, 1, 0, 1]))


def test_the_input_is_left_alone() -> None:
    values = NETWORK.copy()
    to_network_range(values, 0, 1, (-1, 1))
    to_stored(values, -1024, 600, (-1, 1), "float32")
    np.testing.assert_array_equal(values, NETWORK)


def test_integers_are_rounded_to_the_nearest_not_cut_off() -> None:
    wanted = np.array([[[-3.6, -0.4, 0.6, 2.4, 99.7]]], np.float32)
    network = wanted / 50 - 1  # [0, 100] is the stored range
    assert to_stored(network, 0, 100, (-1, 1), "int16").ravel().tolist() == [-4, 0, 1, 2, 100]


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint8", 0, 255), ("int16", -32768, 32767)])
def test_integers_are_clipped_to_their_type_and_float32_never(dtype: str, low: int, high: int) -> None:
    network = np.array([[[-60.0, 60.0]]], np.float32)
    assert to_stored(network, -1024, 600, (-1, 1), dtype).ravel().tolist() == [low, high]
    np.testing.assert_allclose(
        to_stored(network, -1024, 600, (-1, 1), "float32").ravel(), [-212 - 60 * 812, -212 + 60 * 812]
    )


def test_unit_mode_maps_the_network_range_to_zero_and_one() -> None:
    ends = np.array([[[-1.5, -1.0, 0.0, 1.0, 1.5]]], np.float32)
    np.testing.assert_allclose(
        to_stored(ends, 5, 9, (-1, 1), "float32", "unit").ravel(), [-0.25, 0, 0.5, 1, 1.25], atol=1e-6
    )
    assert to_stored(ends, 5, 9, (-1, 1), "uint8", "unit").ravel().tolist() == [0, 0, 128, 255, 255]
    assert to_stored(ends, 5, 9, (-1, 1), "int16", "unit").ravel().tolist() == [-8192, 0, 16384, 32767, 32767]


@pytest.mark.parametrize("view", [NETWORK, NETWORK.T, NETWORK[::-1, :, ::-1].transpose(1, 2, 0)])
def test_every_memory_order_gives_the_same_values(view) -> None:
    plain = to_stored(np.ascontiguousarray(view), -1024, 600, (-1, 1), "int16")
    np.testing.assert_array_equal(to_stored(view, -1024, 600, (-1, 1), "int16"), plain)


def test_large_volumes_go_slab_by_slab() -> None:
    large = np.random.default_rng(0).random((40, 300, 300), np.float32) * 2 - 1
    expected = np.rint(large * np.float32(812) + np.float32(-212))
    np.testing.assert_array_equal(to_stored(large, -1024, 600, (-1, 1), "int16"), expected)


def test_a_window_is_two_quantiles_of_the_finite_values() -> None:
    values = np.arange(1001, dtype=np.float32).reshape(7, 11, 13)
    assert window_of(values, (0.1, 0.9)) == pytest.approx((100, 900.1))  # the upper one of the values above the lowest
    values[0, 0, 0], values[0, 0, 1] = np.nan, np.inf
    assert window_of(values, (0, 1)) == (2, 1000)


def test_thinning_of_large_volumes_hardly_moves_the_window() -> None:
    large = np.random.default_rng(0).random((170, 180, 190), np.float32)
    np.testing.assert_allclose(window_of(large, (0.01, 0.997)), (0.01, 0.997), atol=2e-3)


def test_the_air_around_a_head_does_not_set_its_contrast() -> None:
    head = np.arange(1, 1001, dtype=np.float32).reshape(10, 10, 10)
    high = [window_of(np.pad(head, width), (0, 0.997))[1] for width in (1, 8)]
    assert high[0] == high[1] == pytest.approx(997, abs=0.1)


def test_a_scan_that_is_mostly_background_still_has_a_window() -> None:
    values = np.zeros((20, 20, 20), np.uint8)
    values[5, 5, 5] = 9
    assert window_of(values, (0, 0.99)) == (0, 9)


@pytest.mark.parametrize(
    ("values", "why"), [(np.ones((3, 3, 3)), "same value"), (np.full((3, 3, 3), np.nan), "finite")]
)
def test_a_scan_without_contrast_has_no_window(values, why: str) -> None:
    with pytest.raises(VolumeError, match=why):
        window_of(values, (0, 0.997))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_what_is_not_finite_is_refused_wherever_it_lies(wrong: float, dtype: str) -> None:
    network = np.zeros((130, 130, 130), np.float32)
    to_stored(network, -1024, 600, (-1, 1), dtype)
    network[-1, -1, -1] = wrong
    with pytest.raises(NotFiniteError):
        to_stored(network, -1024, 600, (-1, 1), dtype)
