"""An edit of a scan's latent lies on the scan: on the model's grid over it, and on its own grid with its affine."""

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from contract.requests import EditRequest, EncodeRequest
from contract.state import Placement
from model_store.card import PreprocessSpec
from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.recipes import encode
from volumes.volume import Volume
from voxelsmith import Client
from voxelsmith.local import Stack
from workers.bench import Bench
from workers.recipes import RECIPES, Job
from workers.steps.recipe_events import Event, Finding, Finished, Product, Stage

AFFINE = np.array([[0.0, -1.5, 0.1, 40.0], [1.2, 0.0, 0.0, -33.0], [0.0, 0.0, -2.0, 21.0], [0.0, 0.0, 0.0, 1.0]])
"""Axes exchanged and turned about, voxels of three sizes, a little shear."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_hagan(folder, "tiny", preprocess=PreprocessSpec(window=(-1024.0, 600.0)))
    return Bench(Catalogue([folder]), threads=1)


@pytest.fixture(scope="module")
def scan() -> Volume:
    values = np.random.default_rng(0).uniform(-1000, 500, (24, 30, 18)).astype(np.float32)
    return Volume(values, AFFINE)


def products(events: Iterator[Event] | list[Event]) -> list[Product]:
    return [event for event in events if isinstance(event, Product)]


def placed(bench: Bench, scan: Volume) -> tuple[list[Product], list[float], Placement]:
    """The reconstructions of a scan, its latent, and where it is."""
    events = list(encode(EncodeRequest(model="tiny", reconstruct=True), scan, bench))
    findings = [event for event in events if isinstance(event, Finding)]
    latent = next(finding.latents for finding in findings if finding.latents)[0].values.tolist()
    return products(events), latent, next(finding.placement for finding in findings if finding.placement)


def halfway(latent: list[float]) -> EditRequest:
    end = {"latent": [-value for value in latent], "space": "z"}
    edit = {"op": "interpolate", "target": end, "steps": 2}
    return EditRequest.model_validate({"model": "tiny", "source": {"latent": latent, "space": "z"}, "edit": edit})


def test_an_edit_that_changes_nothing_is_the_reconstruction_on_both_grids(bench: Bench, scan: Volume) -> None:
    (on_model, on_scan), latent, placement = placed(bench, scan)
    request = halfway(latent)
    first, first_on_scan, last, last_on_scan = products(RECIPES["edit"](Job(request, bench, placement=placement)))
    for edited, wanted in ((first, on_model), (first_on_scan, on_scan)):
        assert np.array_equal(edited.volume.affine, wanted.volume.affine)
        assert np.array_equal(np.asarray(edited.volume.array), np.asarray(wanted.volume.array))
    assert np.array_equal(last_on_scan.volume.affine, AFFINE)
    assert last_on_scan.volume.shape == scan.shape
    assert not np.array_equal(np.asarray(last.volume.array), np.asarray(first.volume.array))
    assert [product.label for product in (first, first_on_scan)] == ["step=1/2", "step=1/2 scan-grid"]


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_a_rerun_goes_on_in_the_middle_of_a_pair(bench: Bench, scan: Volume, finished: int) -> None:
    _, latent, placement = placed(bench, scan)
    whole = products(RECIPES["edit"](Job(halfway(latent), bench, placement=placement)))
    events = list(RECIPES["edit"](Job(halfway(latent), bench, placement=placement, finished=finished)))
    again = products(events)
    assert sum(isinstance(event, Finished) for event in events) == finished
    assert [product.label for product in again] == [product.label for product in whole[finished:]]
    for made, wanted in zip(again, whole[finished:], strict=True):
        assert np.array_equal(np.asarray(made.volume.array), np.asarray(wanted.volume.array))
    assert all(event.total == 4 for event in events if isinstance(event, Stage) and event.name != "load")


def test_the_service_lays_edits_of_an_encoded_scan_on_the_scan(stack: Stack, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.random.default_rng(1).uniform(0, 100, (20, 26, 16)).astype(np.float32), None)
    image.header.set_zooms((1.5, 1.2, 2.0))
    image.set_sform(np.array([[-1.5, 0, 0, 12], [0, 1.2, 0, -9], [0, 0, 2.0, 30], [0, 0, 0, 1.0]]), 1)
    path = tmp_path / "scan.nii.gz"
    nibabel.save(image, path)
    with Client(stack.url) as client:
        encoded = client.encode(path, model="tiny")
        encoded.wait()
        edit = {"op": "interpolate", "target": {"seed": 5}, "steps": 2}
        edited = client.edit(model="tiny", source={"job": encoded.id}, edit=edit)
        record = edited.wait().record
        assert (record["volumes"], record["progress"]["total"]) == (4, 4)
        own = edited.volume(1)
        assert np.allclose(own.affine, nibabel.load(path).affine)
        assert own.shape == image.shape
        third = client.edit(model="tiny", source={"job": edited.id, "index": 2}, edit=edit)
        assert third.wait().record["placement"] == encoded.wait().record["placement"]
        nowhere = client.edit(model="tiny", source={"seed": 5}, edit=edit)
        assert (nowhere.wait().record["volumes"], nowhere.record["placement"]) == (2, None)
