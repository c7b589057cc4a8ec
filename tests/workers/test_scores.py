"""Volumes held against the scans of their model's reference, and samples drawn again while they are unlikely."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from contract.errors import InvalidRequest, JobCanceled, ModelBroken, NoLikelySample
from contract.state import Manifest
from evaluation.samples import Made
from latents.sample import gaussian
from model_store.card import REFERENCE, ModelCard
from model_store.catalogue import Catalogue, read_card
from model_store.features.attachment import put_reference
from model_store.features.network import features_of
from model_store.features.reference import Reference, read, reference_of
from model_store.features.shipped import shipped_network
from model_store.load import load
from tests.support.models.references import about
from tests.support.models.tiny_models import write_card, write_tiny_hagan
from volumes.orientation import from_network
from workers.bench import Bench
from workers.run import replay, run
from workers.steps.redrawing import MOST_DRAWS, draws
from workers.steps.scoring import Scorer
from workers.writing.folder_sink import FolderSink

SCANS = range(100, 108)
"""Seeds of the volumes that stand for the scans."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCard, Reference]:
    """A model, and a reference of its own samples."""
    folder = tmp_path_factory.mktemp("scored")
    card = write_tiny_hagan(folder, "tiny", classes=(), encoder=False)
    network, model = shipped_network("distortion"), load(folder / "tiny", card)
    samples = Made(card, lambda: model, len(SCANS), SCANS[0], None, None)
    rows = [features_of(network, torch.from_numpy(one.make().unit.copy())[None, None])[0].numpy() for one in samples]
    return card, reference_of(np.stack(rows).astype(np.float64), about(card))


@pytest.fixture
def bench(tmp_path: Path, own: tuple[ModelCard, Reference]) -> Bench:
    write_tiny_hagan(tmp_path / "models", "tiny", classes=(), encoder=False)
    put_reference(tmp_path / "models" / "tiny", own[1])
    return Bench(Catalogue([tmp_path / "models"]), threads=1)


def made(bench: Bench, folder: Path, kind: Any = "generate", **body: Any) -> Manifest:
    return run(kind, {"model": "tiny", "output": {"preview": False}, **body}, None, bench, FolderSink(folder))


def test_a_sample_has_its_realism_and_its_nearest_scan_where_that_is_asked_for(
    bench: Bench, own: tuple[ModelCard, Reference], tmp_path: Path
) -> None:
    index = int(own[1].radii.argmin())  # of the balls that count
    copy, fresh = made(bench, tmp_path / "a", seeds=[SCANS[index], 5], score=True).results
    assert copy.nearest is not None
    assert fresh.nearest is not None
    assert (copy.nearest.index, copy.nearest.is_nearer) == (index, True)
    assert copy.nearest.distance < 0.01 < fresh.nearest.distance
    assert copy.realism is not None
    assert fresh.realism is not None
    assert copy.realism > 50 > 2 > fresh.realism > 0
    # By default volumes have none, and the bytes are the same.
    plain = made(bench, tmp_path / "b", seeds=[SCANS[index], 5]).results
    assert [(one.realism, one.nearest) for one in plain] == [(None, None)] * 2
    assert [one.sha256 for one in plain] == [copy.sha256, fresh.sha256]


@pytest.mark.parametrize("shape", [(128, 64, 192), (64, 64, 64), (96, 64, 80), (32, 64, 32)])
def test_a_score_is_that_of_the_whole_volume_cut_off_and_brought_to_the_networks_grid(
    own: tuple[ModelCard, Reference], shape: tuple[int, int, int]
) -> None:
    card, reference = own
    low, high = card.intensity.network_range
    array = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * (high - low)
    found = Scorer(card, reference, torch.device("cpu")).score(array.clone())
    unit = from_network(((array - low) / (high - low)).clamp(0, 1).numpy(), card.axes)
    features = features_of(shipped_network("distortion"), torch.from_numpy(unit.copy())[None, None])[0]
    wanted = reference.score(features.numpy().astype(np.float64))
    assert found.index == wanted.index
    assert (found.realism, found.distance) == pytest.approx((wanted.realism, wanted.distance), rel=1e-4)


def test_each_stop_of_an_edit_has_its_own(bench: Bench, tmp_path: Path) -> None:
    way = {"op": "interpolate", "target": {"seed": SCANS[0]}, "steps": 2}
    stops = made(bench, tmp_path, "edit", source={"seed": 5}, edit=way, score=True).results
    assert [one.nearest.index for one in stops if one.nearest is not None][-1] == 0
    assert len({one.realism for one in stops}) == 2


def test_unlikely_samples_are_drawn_again_by_seeds_that_the_record_names(bench: Bench, tmp_path: Path) -> None:
    first = made(bench, tmp_path / "first", seed=0, num_samples=3, score=True).results
    least = float(np.median([one.realism for one in first if one.realism is not None]))
    found = made(bench, tmp_path / "likely", seed=0, num_samples=3, reject_below=least)
    for k, (one, was) in enumerate(zip(found.results, first, strict=True)):
        assert one.realism is not None
        assert one.realism >= least
        assert one.seeds_tried == list(draws(k))[: len(one.seeds_tried or ())]
        assert one.latent == {"seed": (one.seeds_tried or [])[-1]}
        assert (one.sha256 == was.sha256) == (len(one.seeds_tried or ()) == 1)
    assert any(len(one.seeds_tried or ()) > 1 for one in found.results)
    # Alone a sample is the same, and a replay gives the same bytes.
    alone = made(bench, tmp_path / "alone", seed=1, reject_below=least).results
    assert alone[0].sha256 == found.results[1].sha256
    told = json.loads((tmp_path / "likely" / "provenance.json").read_bytes())
    again = replay(told, None, bench, FolderSink(tmp_path / "again"))
    assert again.results == found.results
    (tmp_path / "models" / "tiny" / REFERENCE).unlink()
    write_card(tmp_path / "models" / "tiny", read_card(tmp_path / "models" / "tiny").model_copy(
        update={"files": {"weights.safetensors": ""}}))  # fmt: skip
    with pytest.raises(InvalidRequest, match="reference"):
        replay(told, None, bench, FolderSink(tmp_path / "third"))


class Stopping(FolderSink):
    """A run that is told to stop when it has kept so many volumes."""

    stop_at = 2

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:
        if len(self.results) >= self.stop_at:
            raise JobCanceled
        super().stage(name, done, total, left_s)


@pytest.mark.slow
def test_a_stopped_job_goes_on_after_the_samples_that_it_has_found(bench: Bench, tmp_path: Path) -> None:
    body = {"model": "tiny", "seed": 0, "num_samples": 5, "reject_below": 0.9, "truncation": 0.7}
    whole = run("generate", body, None, bench, FolderSink(tmp_path / "whole"))
    with pytest.raises(JobCanceled):
        run("generate", body, None, bench, Stopping(tmp_path / "stopped", has_notes=True))
    assert 2 <= sum(path.name.endswith(".nii.gz") for path in (tmp_path / "stopped").iterdir()) < 5
    gone_on = run("generate", body, None, bench, FolderSink(tmp_path / "stopped", has_notes=True))
    assert gone_on == whole.model_copy(update={"timings_s": gone_on.timings_s})


@pytest.mark.slow
def test_where_no_draw_is_likely_the_job_fails_with_the_best(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(NoLikelySample, match=f"None of {MOST_DRAWS} draws of sample 0 .* the best has "):
        made(bench, tmp_path / "out", seed=0, reject_below=9.0)


def test_a_request_that_needs_a_reference_fits_no_model_without_one(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    bench = Bench(Catalogue([tmp_path / "models"]), threads=1)
    for body in ({"seed": 1, "reject_below": 0.5}, {"seed": 1, "score": True}):
        with pytest.raises(InvalidRequest) as caught:
            made(bench, tmp_path / "out", **body)
        assert caught.value.errors[0][0] == f"/{list(body)[-1]}"
    with pytest.raises(InvalidRequest, match="not valid"):
        made(bench, tmp_path / "out", latents=[[0.0] * 8], reject_below=0.5)


def put(folder: Path, reference: Reference) -> Bench:
    write_tiny_hagan(folder, "tiny", classes=(), encoder=False)
    put_reference(folder / "tiny", reference)
    return Bench(Catalogue([folder]), threads=1)


def test_a_reference_of_features_that_are_not_there_any_more_is_told_and_the_model_served(
    own: tuple[ModelCard, Reference], tmp_path: Path
) -> None:
    stale = Reference(about(own[0], features_sha256="0" * 64), own[1].features, own[1].radii, own[1].gaps)
    bench = put(tmp_path / "models", stale)
    found = made(bench, tmp_path / "out", seed=1, score=True)
    assert found.results[0].realism is None
    assert "no realism" in found.warnings[0]
    with pytest.raises(InvalidRequest, match="cannot be rejected"):
        made(bench, tmp_path / "out", seed=1, reject_below=0.1)


@pytest.mark.parametrize("damage", ["other weights", "one scan", "another type", "no metadata", "cut"])
def test_a_folder_whose_reference_does_not_fit_is_broken(
    own: tuple[ModelCard, Reference], tmp_path: Path, damage: str
) -> None:
    card, sound = own
    bench = put(tmp_path / "models", sound)
    path = tmp_path / "models" / "tiny" / REFERENCE
    told = about(card, model_sha256="0" * 64) if damage == "other weights" else about(card)
    count = 1 if damage == "one scan" else len(SCANS)
    arrays = {"features": sound.features[:count].astype(np.float32 if damage == "another type" else np.float16)}
    arrays |= {name: getattr(sound, name)[:count].astype(np.float32) for name in ("radii", "gaps")}
    save_file(arrays, path, metadata={} if damage == "no metadata" else {"reference": told.model_dump_json()})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    write_card(tmp_path / "models" / "tiny", read_card(tmp_path / "models" / "tiny"))
    with pytest.raises(ModelBroken, match=REFERENCE):
        made(bench, tmp_path / "out", seed=1)
    assert REFERENCE in bench.catalogue.broken()["tiny"]


def test_a_reference_is_written_whole_beside_a_card_that_names_its_digest(
    own: tuple[ModelCard, Reference], tmp_path: Path
) -> None:
    put(tmp_path, own[1])
    put_reference(tmp_path / "tiny", own[1])  # a second time
    card = read_card(tmp_path / "tiny")
    path = tmp_path / "tiny" / REFERENCE
    assert isinstance(card, ModelCard)
    assert card.files[REFERENCE] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o644
    assert {file.name for file in path.parent.iterdir()} == {"card.json", REFERENCE, "weights.safetensors"}
    found = read(path, card)
    assert (found.about, found.features.shape) == (own[1].about, (len(SCANS), 64))
    np.testing.assert_array_equal(found.features, own[1].features)
    many = reference_of(np.random.default_rng(0).normal(size=(2100, 4)), about(card))
    assert many.features.shape == (2000, 4)
    for rows in (np.zeros((7, 4)), np.full((9, 4), 1e6)):
        with pytest.raises(ValueError, match=r"scans|float16"):
            reference_of(rows, about(card))


def test_what_is_tried_for_a_sample_is_its_own() -> None:
    tried = [seed for own in range(64) for seed in draws(own)]
    assert len(set(tried)) == len(tried) == 64 * MOST_DRAWS
    assert max(tried) < 2**53
    assert gaussian(tried[1], 4).isfinite().all()
