"""Edges: the weight as the authors' code has it, Canny against its own definition, slabs against the whole."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from volumes.edges import Canny, connect, draw_edges, given_edges, with_mask
from volumes.volume import VolumeError

FIXTURE = Path(__file__).parents[3] / "shared" / "fixtures" / "megan" / "dev_magnitude.npz"


def scan(shape: tuple[int, int, int] = (40, 33, 37), seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2).astype(np.float32)


@pytest.mark.skipif(not FIXTURE.is_file(), reason="the authors' outputs lie beside the repository, not in it")
def test_an_edge_weighs_what_the_authors_weigh_it() -> None:
    truth = np.load(FIXTURE)
    # With no thresholds every local maximum is an edge; what is drawn there is the magnitude.
    edges = draw_edges(truth["volume"], Canny(low=0, high=0))
    at = edges > 0
    assert at.sum() > 500
    difference = np.floor(truth["magnitude"][at] * 255) - edges[at]
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01  # float32 on either side of a whole number


@pytest.mark.parametrize(("slab", "threads"), [(1, 1), (3, 2), (7, 1), (16, 2)])
def test_slabs_give_exactly_the_whole(slab: int, threads: int) -> None:
    array = scan()
    assert np.array_equal(draw_edges(array, slab=slab, threads=threads), draw_edges(array, slab=40))


def test_a_ball_has_one_shell_of_edges() -> None:
    x, y, z = np.mgrid[-20:21, -20:21, -20:21]
    radius = np.sqrt(x**2 + y**2 + z**2)
    edges = draw_edges((radius < 12.3).astype(np.int16) * 100)
    assert radius[edges > 0].min() > 10.8
    assert radius[edges > 0].max() < 13.8
    shell = 4 * np.pi * 12.3**2
    assert 0.8 * shell < (edges > 0).sum() < 1.6 * shell
    # Closed: no way of faces from the middle to the corner but through an edge.
    groups, _ = ndimage.label(edges == 0)
    assert groups[20, 20, 20] != groups[0, 0, 0]


def test_edges_do_not_depend_on_the_units() -> None:
    array = scan()
    assert (draw_edges(array * 500 - 100) != draw_edges(array)).mean() < 1e-3


def test_weak_edges_stay_where_they_touch_strong_ones() -> None:
    found = (np.random.default_rng(3).random((40, 12, 15)) < 0.12).astype(np.uint8)
    found[0, 0, 0] = found[21, 4, 4] = 2
    groups, _ = ndimage.label(found, np.ones((3, 3, 3)))
    wanted = np.isin(groups, np.unique(groups[found == 2])) & (found > 0)
    for depth in (1, 5, 40):
        grown = found.copy()
        connect(grown, depth)
        assert np.array_equal(grown == 2, wanted)


def test_a_chain_that_winds_through_the_slabs_is_followed() -> None:
    found = np.zeros((20, 9, 3), dtype=np.uint8)
    for row in range(0, 9, 2):
        found[:, row, 1] = 1
        found[0 if row % 4 else 19, min(row + 1, 8), 1] = 1
    found[0, 0, 1] = 2
    connect(found, 4)
    assert not (found == 1).any()


@pytest.mark.parametrize("array", [np.zeros((9, 9, 9)), np.full((9, 9, 9), 7.0), np.full((9, 9, 9), np.nan)])
def test_a_scan_without_edges_is_refused(array: np.ndarray) -> None:
    with pytest.raises(VolumeError, match="edges"):
        draw_edges(array)


def test_a_window_clips_what_is_beyond() -> None:
    array = scan()
    spoilt = array.copy()
    spoilt[5, 5, 5] = 1e6
    low, high = float(array.min()), float(array.max())
    assert (draw_edges(spoilt) > 0).sum() < 100
    assert (draw_edges(spoilt, window=(low, high)) != draw_edges(array)).mean() < 0.02


def test_pathologies_lie_over_the_edges_as_the_paper_places_them() -> None:
    edges = np.full((2, 3, 2), 100, dtype=np.uint8)
    labels = np.array([0, 1, 2, 3, 4, 0] * 2).reshape(2, 3, 2)
    assert with_mask(edges, labels).ravel().tolist()[:6] == [100, 100, 127, 191, 255, 100]
    for wrong in (labels[:1], labels + 1, labels - 1, labels + 0.5, np.full(labels.shape, np.nan)):
        with pytest.raises(VolumeError):
            with_mask(edges, wrong)


def test_given_edges_are_taken_as_they_are() -> None:
    array = np.array([[[0.0, 12.7, 255.0]]])
    assert given_edges(array).ravel().tolist() == [0, 12, 255]
    for wrong in (array * 0, array - 1, array * 2, np.full(array.shape, np.nan)):
        with pytest.raises(VolumeError):
            given_edges(wrong)
