"""The canvas: where an image lies over a scan, and the way back."""

import numpy as np
import pytest

from volumes.grids.canvas import foreground_box, lay_canvas, whole_box
from volumes.volume import VolumeError


def test_a_cube_is_stretched_ends_on_ends() -> None:
    canvas = lay_canvas(whole_box((50, 61, 58)), (1, 1, 3), "cube", 16, 2)
    assert canvas.shape == (64, 64, 64)
    assert canvas.spans == ((0, 49), (0, 60), (0, 57))
    back = canvas.positions_back((50, 61, 58))
    assert [(line[0], line[-1]) for line in back] == [(0, 63)] * 3


def test_true_proportions_have_voxels_as_long_on_each_axis() -> None:
    spacing, box = (1.0, 0.5, 3.0), whole_box((124, 320, 40))
    canvas = lay_canvas(box, spacing, "scan", 32, 2)
    assert max(canvas.shape) == 128
    assert all(side % 16 == 0 for side in canvas.shape)
    steps = [
        (last - first) / (side - 1) * mm
        for (first, last), side, mm in zip(canvas.spans, canvas.shape, spacing, strict=True)
    ]
    assert steps == pytest.approx([1.25] * 3)
    middles = [(first + last) / 2 for first, last in canvas.spans]
    assert middles == pytest.approx([61.5, 159.5, 19.5])
    # Nothing of the box is cut off but a part of the outermost voxels.
    for positions in canvas.positions_back((124, 320, 40)):
        assert not np.isnan(positions[1:-1]).any()


def test_a_small_scan_takes_fewer_doublings() -> None:
    assert lay_canvas(whole_box((50, 60, 40)), (1, 1, 1), "scan", 32, 3).doublings == 1
    assert lay_canvas(whole_box((70, 60, 40)), (1, 1, 1), "scan", 32, 3).doublings == 2
    assert lay_canvas(whole_box((512, 512, 300)), (1, 1, 1), "scan", 32, 3).doublings == 3
    assert lay_canvas(whole_box((50, 60, 40)), (1, 1, 1), "cube", 32, 3).doublings == 3


def test_every_scale_has_room_for_a_patch() -> None:
    canvas = lay_canvas(whole_box((200, 200, 3)), (1, 1, 1), "scan", 32, 2)
    assert canvas.shape[2] >> (canvas.doublings - 1) == 32


def test_a_box_within_the_scan_leaves_the_rest_out() -> None:
    array = np.zeros((60, 60, 60), dtype=np.int16)
    array[10:50, 20:40, 58] = 5
    box = foreground_box(array, 0)
    assert [(part.start, part.stop) for part in box] == [(7, 52), (17, 42), (55, 60)]
    back = lay_canvas(box, (1, 1, 1), "cube", 16, 2).positions_back((60, 60, 60))
    assert np.isnan(back[0][:7]).all()
    assert back[0][7] == 0
    assert back[0][51] == 63
    assert np.isnan(back[0][52:]).all()


def test_what_cannot_be_drawn_on_is_refused() -> None:
    with pytest.raises(VolumeError, match="single slice"):
        lay_canvas(whole_box((31, 20, 1)), (1, 1, 1), "scan", 32, 2)
    with pytest.raises(VolumeError, match="background"):
        foreground_box(np.zeros((4, 4, 4)), 0)
