"""Variants of a mask of pathologies: as figure 10 of MEGAN's paper has them."""

import numpy as np
import pytest

from volumes.pathologies import mirrored, resized
from volumes.volume import Volume

LAS = np.diag([-2.0, 2.0, 3.0, 1.0])


def mask() -> Volume:
    """A box of 20 x 10 x 10 with another tissue inside it, and a single voxel elsewhere."""
    labels = np.zeros((50, 40, 30), dtype=np.uint8)
    labels[8:28, 10:20, 10:20] = 1
    labels[14:22, 13:17, 13:17] = 4
    labels[45, 35, 25] = 2
    return Volume(labels, LAS)


def extent(labels: np.ndarray) -> list[tuple[int, int]]:
    return [(int(at.min()), int(at.max()) + 1) for at in np.nonzero(labels)]


@pytest.mark.parametrize(("factor", "long", "short"), [(0.85, 17, 9), (1.0, 20, 10), (1.15, 23, 11)])
def test_pathologies_change_their_size_about_their_own_middle(factor: float, long: int, short: int) -> None:
    made = resized(mask(), factor).array
    assert made[45, 35, 25] == 2
    made[45, 35, 25] = 0
    (low, high), *others = extent(made)
    assert abs(high - low - long) <= 1
    assert low + high == 36
    for low, high in others:
        assert abs(high - low - short) <= 1
        assert low + high == 30
    assert set(np.unique(made)) == {0, 1, 4}
    assert (made == 4).sum() / (mask().array == 4).sum() == pytest.approx(factor**3, rel=0.25)
    if factor == 1:
        made[45, 35, 25] = 2
        assert np.array_equal(made, mask().array)


def test_a_pathology_comes_to_the_other_half_of_what_the_scan_shows() -> None:
    head = np.zeros((50, 40, 30), dtype=np.int16)
    head[4:44, 5:35, 3:27] = 100
    scan = Volume(head, LAS)
    other = mirrored(mask(), scan)
    other.array[2] = 0  # the single voxel, which lies beyond the head
    assert extent(other.array)[0] == (20, 40)
    assert np.array_equal(other.array[20:40], mask().array[27:7:-1])
    with pytest.raises(ValueError, match="does not lie"):
        mirrored(mask(), Volume(head[1:], LAS))
    with pytest.raises(ValueError, match="above 0"):
        resized(mask(), 0.0)
