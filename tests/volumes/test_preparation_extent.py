"""Scans for models whose training data were cut before they were stretched, as the brains of the HA-GAN authors."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.ndimage import center_of_mass, zoom

from contract.requests import EncodeRequest
from model_store.card import ModelCard, PreprocessSpec, Provenance
from model_store.importers.hagan import make_card
from model_store.importers.hagan_sizes import Sizes
from volumes.grids.grid import Extent, grid_of, network_grid, resample
from volumes.orientation import reorient
from volumes.scan import Prepared, prepare
from volumes.volume import Volume
from workers.recipes import preparation

SIZE = 128
LIA = np.array([[-2, 0, 0, 127.0], [0, 0, 2, -128], [0, -2, 0, 128], [0, 0, 0, 1]])


def brains(**fields: object) -> ModelCard:
    parts = {"name": "brains", "axes": None, "spacing_mm": None, "intensity": None, "licence": "", "has_encoder": True,
             "provenance": Provenance(origin="imported"), "files": {"weights.safetensors": "0" * 64}}  # fmt: skip
    return make_card(Sizes(SIZE, 8, 0), "MR", [], parts | fields)


def conformed() -> Volume:
    """As FreeSurfer's norm.mgz: a cube of 256 mm, L I A, here with voxels of 2 mm; the brain is a box in it."""
    array = np.zeros((SIZE, SIZE, SIZE), np.uint8)
    array[28:100, 22:105, 24:104] = 110
    return Volume(array, LIA)


def as_in_training(array: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Axes (1, 2, 0), 20 mm off both ends of A1 and A2, blank planes of A0 dropped, resized to the cube."""
    cut = array.transpose(1, 2, 0)[:, 10:-10, 10:-10].astype(np.float32)
    cut = cut[(cut > 0).any((1, 2))]
    made: NDArray[np.float32] = zoom(cut, [SIZE / n for n in cut.shape], order=1, grid_mode=True, mode="nearest")
    return made / 70 - 1


def bounds(array: NDArray[np.float32]) -> NDArray[np.intp]:
    inside = np.argwhere(array > -0.5)
    return np.array([inside.min(0), inside.max(0)])


def prepared(card: ModelCard, scan: Volume) -> Prepared:
    return prepare(scan, preparation(card, EncodeRequest(model="brains")))


@pytest.mark.parametrize("codes", ["LIA", "RAS", "PSR"])
def test_a_brain_is_as_large_as_in_training(codes: str) -> None:
    scan = conformed()
    found = prepared(brains(), reorient(scan, codes)).array
    assert np.abs(bounds(found) - bounds(as_in_training(scan.array))).max() <= 1


def test_a_brain_lies_where_the_scan_has_it() -> None:
    """On the model's grid, and from there on the scan's own."""
    scan = conformed()
    seen = prepared(brains(), scan).seen
    back = resample(seen, grid_of(scan), -1.0)
    assert back.shape == scan.shape
    np.testing.assert_array_equal(back.affine, scan.affine)
    place = np.array(center_of_mass(scan.array))
    np.testing.assert_allclose(center_of_mass(back.array + 1), place, atol=0.05)
    mm = seen.affine[:3, :3] @ np.array(center_of_mass(seen.array + 1)) + seen.affine[:3, 3]
    np.testing.assert_allclose(mm, scan.affine[:3, :3] @ place + scan.affine[:3, 3], atol=0.1)


@pytest.mark.parametrize("extent", [(None, 30.0, 90.0), (20.0, None, None)])
def test_an_extent_is_cut_or_filled_up_about_the_middle(extent: Extent) -> None:
    """Network axes I, A, L of an oblique scan of 44 x 60 x 39 mm (S, A, R)."""
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * [3, 4, 2], (7, -5, 11)
    scan = Volume(np.zeros((13, 15, 22)), affine)
    grid = network_grid(scan, (8, 10, 12), "IAL", (1, 1, 1), "stretch", extent)
    sizes = [whole if mm is None else mm for mm, whole in zip(extent, (44.0, 60.0, 39.0), strict=True)]
    np.testing.assert_allclose(np.array(grid.spacing_mm) * grid.shape, sizes[::-1])
    middles = [place.affine @ [*((np.array(place.shape) - 1) / 2), 1] for place in (grid, grid_of(scan))]
    np.testing.assert_allclose(*middles)


def test_only_the_authors_own_brains_are_cut() -> None:
    assert brains().preprocess.extent_mm == (None, 216.0, 216.0)
    assert brains(axes="RAS").preprocess.extent_mm == (None, None, None)


def test_a_card_from_before_there_was_an_extent_has_none() -> None:
    old = brains(axes="RAS")
    fields = json.loads(old.model_dump_json())
    del fields["preprocess"]["extent_mm"]
    assert ModelCard.model_validate_json(json.dumps(fields)) == old


@pytest.mark.parametrize("extent", [(0.0, None, None), (None, float("inf"), None), (1.0, 2.0)])
def test_an_extent_that_no_box_has_is_refused(extent: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        PreprocessSpec.model_validate({"extent_mm": extent})
    with pytest.raises(ValidationError, match="stretch"):
        PreprocessSpec(placement="head", extent_mm=(None, 216.0, None))
