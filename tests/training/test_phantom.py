"""The thorax phantom: its numbers are true, its anatomy is where it belongs, its seed is its identity."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from training.phantoms.canvas import Grid, smooth_noise
from training.phantoms.dataset import write_dataset
from training.phantoms.phantom import Phantom, thorax
from training.phantoms.thorax import Label
from volumes.files import read

SHAPE, SPACING_MM = (80, 64, 84), (5.0, 5.5, 4.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return thorax(7, SHAPE, SPACING_MM, severity=0)


def _centre_mm(phantom: Phantom, label: Label) -> np.ndarray:
    place = np.argwhere(phantom.labels == label).mean(axis=0)
    return (phantom.affine @ [*place, 1])[:3]


def test_volumes_are_those_of_the_labelled_voxels(phantom: Phantom) -> None:
    voxel_ml = 5.0 * 5.5 * 4.0 / 1000
    assert phantom.lung_volume_ml == pytest.approx((phantom.labels == Label.LUNG).sum() * voxel_ml)
    assert phantom.bone_volume_ml == pytest.approx((phantom.labels == Label.BONE).sum() * voxel_ml)
    assert phantom.array.shape == phantom.labels.shape == SHAPE
    assert phantom.array.dtype == np.int16


@pytest.mark.parametrize("seed", range(4))
def test_every_seed_is_a_plausible_adult(seed: int) -> None:
    phantom = thorax(seed, SHAPE, SPACING_MM)
    assert 2000 < phantom.lung_volume_ml < 7000
    assert 500 < phantom.bone_volume_ml < 1800
    assert set(np.unique(phantom.labels)) == set(Label)


def test_volume_does_not_depend_on_the_voxel_size() -> None:
    coarse, fine = thorax(1, SHAPE, SPACING_MM, 0), thorax(1, (133, 117, 112), (3.0, 3.0, 3.0), 0)
    assert coarse.lung_volume_ml == pytest.approx(fine.lung_volume_ml, rel=0.05)
    assert coarse.bone_volume_ml == pytest.approx(fine.bone_volume_ml, rel=0.15)


def test_tissues_have_their_hounsfield_units(phantom: Phantom) -> None:
    medians = {label: float(np.median(phantom.array[phantom.labels == label])) for label in Label}
    assert medians[Label.OUTSIDE] == pytest.approx(-1000, abs=10)
    assert -900 < medians[Label.LUNG] < -780
    assert -110 < medians[Label.FAT] < -50
    assert 20 < medians[Label.HEART] < 60
    assert medians[Label.BONE] > 150


def test_left_right_front_and_back_are_where_they_belong(phantom: Phantom) -> None:
    """RAS+: the heart is left (-x) and in front, liver right, spine behind, bone of both sides alike."""
    heart, bone, lung = (_centre_mm(phantom, label) for label in (Label.HEART, Label.BONE, Label.LUNG))
    assert heart[0] < -5
    assert heart[1] > bone[1]
    assert abs(bone[0]) < 5
    assert _centre_mm(phantom, Label.ORGAN)[0] > 5
    assert _centre_mm(phantom, Label.ORGAN)[2] < lung[2]
    assert _centre_mm(phantom, Label.GAS)[0] < -30


def test_body_lies_whole_inside_the_field_of_view_from_side_to_side(phantom: Phantom) -> None:
    inside = phantom.labels != Label.OUTSIDE
    assert not inside[0].any()
    assert not inside[-1].any()
    assert not inside[:, 0].any()
    assert not inside[:, -1].any()


def test_same_arguments_give_the_same_voxels(phantom: Phantom) -> None:
    again, other = thorax(7, SHAPE, SPACING_MM, severity=0), thorax(8, SHAPE, SPACING_MM, severity=0)
    assert np.array_equal(phantom.array, again.array)
    assert np.array_equal(phantom.labels, again.labels)
    assert (phantom.labels != other.labels).mean() > 0.03


def test_severity_makes_holes_in_the_lungs_and_changes_nothing_else() -> None:
    phantoms = [thorax(3, SHAPE, SPACING_MM, severity) for severity in range(5)]
    lung = phantoms[0].labels == Label.LUNG
    destroyed = [float((phantom.array[lung] < -950).mean()) for phantom in phantoms]
    assert destroyed[0] < 0.02
    assert all(later - earlier > 0.01 for earlier, later in pairwise(destroyed))
    assert [phantom.severity for phantom in phantoms] == [0, 1, 2, 3, 4]
    assert all(np.array_equal(phantom.labels, phantoms[0].labels) for phantom in phantoms)
    airy = np.isin(phantoms[0].labels, [Label.LUNG, Label.VESSEL, Label.AIRWAY])
    near = binary_dilation(airy, np.ones((3, 3, 3)))  # the scanner's blur carries a voxel over the edge
    assert np.array_equal(phantoms[4].array[~near], phantoms[0].array[~near])
    with pytest.raises(ValueError, match="severity"):
        thorax(3, SHAPE, SPACING_MM, 5)


def test_severity_is_drawn_from_the_seed() -> None:
    drawn = [thorax(seed, (16, 16, 16), (24, 24, 24)).severity for seed in range(40)]
    assert set(drawn) == {0, 1, 2, 3, 4}


def test_smooth_noise_is_smooth_and_keeps_the_axes_apart() -> None:
    grid = Grid.centred((30, 20, 10), (1.0, 2.0, 3.0))
    noise = smooth_noise(grid, 15, np.random.default_rng(0))
    assert noise.shape == (30, 20, 10)
    assert float(np.abs(np.diff(noise, axis=0)).max()) < 0.6
    assert float(noise.std()) > 0.2


def test_dataset_is_written_with_its_truth(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    rows = write_dataset(
        tmp_path / "set",
        3,
        seed=5,
        shape=(24, 20, 16),
        spacing_mm=(15, 18, 20),
        on_written=lambda *step: steps.append(step),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    with (tmp_path / "set" / "labels.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["file"] for line in lines] == ["thorax-00005.nii.gz", "thorax-00006.nii.gz", "thorax-00007.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "labels.csv",
        *(line["file"] for line in lines),
    ]
    for line, row in zip(lines, rows, strict=True):
        volume, phantom = read(tmp_path / "set" / line["file"]), thorax(int(line["seed"]), (24, 20, 16), (15, 18, 20))
        assert np.array_equal(volume.array, phantom.array)
        assert np.allclose(volume.affine, phantom.affine, atol=1e-4)
        assert (int(line["severity"]), float(line["lung_volume_ml"])) == (phantom.severity, row.lung_volume_ml)
