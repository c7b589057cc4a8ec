"""translate: from a scan to a volume on its own grid, whatever way the scan lies."""

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage

from contract.errors import InvalidRequest, JobCanceled, UnreadableVolume, VerbNotSupported
from contract.requests import TranslateRequest
from contract.state import Manifest
from model_store.card import TranslatorCard
from model_store.catalogue import Catalogue
from model_store.networks.lines import interpolation, planes
from model_store.translator import Drawing, Slab
from tests.support.models.megan_files import chain, generator_state
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_tiny_hagan
from volumes.orientation import reorient
from volumes.volume import Volume
from workers.bench import Bench
from workers.run import Clock, replay, run
from workers.steps.translation import Returning, sketched
from workers.writing.folder_sink import FolderSink

DRAWING = Drawing(lr_size=32, doublings=1, sigma=1.4, low=0.1, high=0.2)
OBLIQUE = np.array([[-1.9, 0.3, 0.1, 40], [0.2, 0.4, 2.9, -50], [0.4, -0.9, 0.2, 10], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_megan(folder, "tiny")
    write_tiny_hagan(folder, "generator")
    return folder


@pytest.fixture
def bench(models: Path) -> Bench:
    return Bench(Catalogue([models]), threads=1)


@pytest.fixture(scope="module")
def card(models: Path) -> TranslatorCard:
    card = Catalogue([models]).card("tiny")
    assert isinstance(card, TranslatorCard)
    return card


def head(shape: tuple[int, int, int] = (40, 48, 36)) -> np.ndarray:
    """A ball with a smaller one in it, off the middle."""
    x, y, z = np.ogrid[tuple(slice(0, side) for side in shape)]
    radius = np.sqrt((x - 18.0) ** 2 + (y - 26.0) ** 2 + (z - 17.0) ** 2)
    return ((radius < 14) * 300 + (radius < 6) * 400).astype(np.int16)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 2.5, 1]) if affine is None else affine), path)
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return save(tmp_path / "scan.nii.gz", head())


def translate(bench: Bench, scan: Path | None, out: Path, mask: Path | None = None, **body: Any) -> Manifest:
    return run("translate", {"model": "tiny"} | body, scan, bench, FolderSink(out), mask_path=mask)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SPL"])
@pytest.mark.parametrize("grid", ["scan", "cube"])
def test_an_image_that_is_the_drawing_comes_back_where_it_was(card: TranslatorCard, axes: str, grid: str) -> None:
    """On an oblique, anisotropic, flipped grid: the way there and the way back are each other's inverse."""
    noise = np.random.default_rng(0).random((50, 64, 41))
    smooth = ndimage.gaussian_filter(noise, 4)
    drawn = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    scan = Volume(drawn, OBLIQUE)
    turned = card.model_copy(update={"axes": axes, "grid": grid})
    request = TranslateRequest(model="tiny", edges="given")
    sketch = sketched(request, turned, replace(DRAWING, doublings=2), scan, None)
    lines = tuple(
        interpolation(torch.linspace(*span, side, dtype=torch.float64), edge)
        for span, side, edge in zip(sketch.guide.spans, sketch.guide.shape, sketch.guide.drawn.shape, strict=True)
    )
    result = np.full(scan.shape, -1, dtype=np.float32)
    returning = Returning(reorient(Volume(result, OBLIQUE), axes).array, sketch.canvas, -1.0)
    for start in range(0, sketch.guide.shape[0], 20):
        last = min(start + 20, sketch.guide.shape[0])
        image = planes(sketch.guide.drawn, lines, start, last) / 127.5 - 1  # type: ignore[arg-type]
        returning.take(Slab(start, image))
    inside = tuple(slice(2, -2) for _ in range(3))
    apart = np.abs((result + 1) * 127.5 - drawn)[inside]
    assert apart.max() < 8
    assert apart.mean() < 1.5


def test_the_result_lies_on_the_scans_own_grid(bench: Bench, tmp_path: Path) -> None:
    scan = save(tmp_path / "oblique.nii.gz", head(), OBLIQUE)
    manifest = translate(bench, scan, tmp_path / "out")
    (entry,) = manifest.results
    image = nibabel.load(tmp_path / "out" / entry.name)
    assert image.shape == (40, 48, 36)
    np.testing.assert_allclose(image.affine, nibabel.load(scan).affine, atol=1e-5)
    assert b"synthetic" in image.header["descrip"].tobytes()
    assert (entry.latent, entry.scan_sha256) == (None, hashlib.sha256(scan.read_bytes()).hexdigest())
    assert {file.name for file in manifest.files} == {"000.png", "provenance.json"}
    values = np.asarray(image.dataobj)
    assert values.min() >= 0
    assert values.max() <= 255
    assert values.std() > 1


def test_given_edges_in_a_cube_give_the_authors_chain(bench: Bench, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).random((32, 32, 32))
    edges = np.where(noise > 0.9, noise * 255, 0).astype(np.uint8)
    scan = save(tmp_path / "edges.nii.gz", edges, np.eye(4))
    out = {"dtype": "float32", "format": "nii"}
    translate(bench, scan, tmp_path / "out", edges="given", grid="cube", output=out)
    wanted = chain([generator_state(0), generator_state(1)], torch.from_numpy(edges), (32, 32, 32), 4, 1)
    got = voxels(tmp_path / "out" / "000.nii") / 127.5 - 1
    assert np.abs(got - wanted.numpy()).max() < 1e-3


def test_the_same_scan_gives_the_same_bytes_and_can_be_replayed(bench: Bench, scan: Path, tmp_path: Path) -> None:
    translate(bench, scan, tmp_path / "a")
    translate(bench, scan, tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    told = json.loads((tmp_path / "a" / "provenance.json").read_text())
    replay(told, scan, bench, FolderSink(tmp_path / "c"))
    assert digests(tmp_path / "a") == digests(tmp_path / "c")
    with pytest.raises(InvalidRequest, match="none was given"):
        replay(told, None, bench, FolderSink(tmp_path / "d"))


def test_a_mask_places_pathologies_and_belongs_to_the_replay(bench: Bench, scan: Path, tmp_path: Path) -> None:
    labels = np.zeros((40, 48, 36), dtype=np.uint8)
    labels[14:20, 20:28, 12:20] = 4
    mask = save(tmp_path / "mask.nii.gz", labels)
    translate(bench, scan, tmp_path / "plain")
    translate(bench, scan, tmp_path / "ill", mask)
    assert (voxels(tmp_path / "plain" / "000.nii.gz") != voxels(tmp_path / "ill" / "000.nii.gz")).mean() > 0.05
    told = json.loads((tmp_path / "ill" / "provenance.json").read_text())
    assert told["mask"]["sha256"] == hashlib.sha256(mask.read_bytes()).hexdigest()
    replay(told, scan, bench, FolderSink(tmp_path / "again"), mask)
    assert digests(tmp_path / "ill") == digests(tmp_path / "again")
    for wrong in (None, scan):
        with pytest.raises(InvalidRequest, match="mask"):
            replay(told, scan, bench, FolderSink(tmp_path / "no"), wrong)


def test_what_cannot_be_translated_is_refused_with_its_reason(bench: Bench, scan: Path, tmp_path: Path) -> None:
    flat = save(tmp_path / "flat.nii.gz", np.full((40, 40, 40), 7, dtype=np.int16))
    small = save(tmp_path / "small.nii.gz", head()[10:30, 16:36, 8:28])
    ramp = save(tmp_path / "wide.nii.gz", head())
    bad = save(tmp_path / "bad.nii.gz", np.full((40, 48, 36), 5, dtype=np.uint8))
    off = save(
        tmp_path / "off.nii.gz", np.zeros((40, 48, 36), dtype=np.uint8), np.diag([2, 2, 2.5, 1.0]) + 0.5 * np.eye(4)
    )
    cases: list[tuple[Path, Path | None, dict[str, Any], str]] = [
        (flat, None, {}, "same value everywhere"),
        (small, None, {}, "smaller than a patch"),
        (ramp, None, {"edges": "given"}, "from 0 to 255"),
        (off, None, {"edges": "given"}, "it is 0 everywhere"),
        (scan, off, {}, "does not lie on the scan's grid"),
        (scan, small, {}, "does not lie on the scan's grid"),
        (scan, bad, {}, "whole numbers from 0 to 4"),
    ]
    for path, mask, body, word in cases:
        with pytest.raises(UnreadableVolume, match=word):
            translate(bench, path, tmp_path / "out", mask, **body)
    with pytest.raises(InvalidRequest, match="needs a volume"):
        translate(bench, None, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_verbs_are_kept_apart(bench: Bench, scan: Path, tmp_path: Path) -> None:
    with pytest.raises(VerbNotSupported, match="can generate"):
        translate(bench, scan, tmp_path / "out", model="generator")
    with pytest.raises(VerbNotSupported, match="can translate"):
        run("generate", {"model": "tiny"}, None, bench, FolderSink(tmp_path / "out"))


class CancelingSink(FolderSink):
    """Wants the job stopped as soon as patches are being made."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seen: list[tuple[str, int, int]] = []

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:  # noqa: ARG002
        self.seen.append((name, done, total))
        if name == "scale 2/2" and done:
            raise JobCanceled


def test_a_translation_stops_between_two_batches(bench: Bench, scan: Path, tmp_path: Path) -> None:
    sink = CancelingSink(tmp_path / "out")
    with pytest.raises(JobCanceled):
        run("translate", {"model": "tiny", "grid": "cube"}, scan, bench, sink)
    assert [name for name, _, _ in sink.seen][:3] == ["load", "edges", "scale 1/2"]
    assert sink.seen[-1] == ("scale 2/2", 2, 2)
    assert not list((tmp_path / "out").iterdir())


def test_the_time_left_comes_from_the_work_of_all_scales() -> None:
    clock = Clock()
    clock.enter("scale 1/2")
    assert [clock.left_s(share) for share in (None, 0.1, 0.1)] == [None, None, None]
    time.sleep(0.6)
    clock.enter("scale 2/2")
    assert clock.left_s(0.1) is None  # nothing was made since
    assert clock.left_s(0.4) == pytest.approx(1.2, rel=0.2)
    assert clock.left_s(1.0) == 0.0


def test_a_window_of_the_card_is_what_the_edges_see(card: TranslatorCard) -> None:
    array = head().astype(np.float32)
    spoilt = array.copy()
    spoilt[30, 40, 30] = 1e5
    request = TranslateRequest(model="tiny", grid="cube")
    windowed = card.model_copy(update={"input_window": (0.0, 700.0)})
    plain, clipped = (
        sketched(request, which, DRAWING, Volume(spoilt, np.eye(4)), None).guide.drawn for which in (card, windowed)
    )
    assert int((plain > 0).sum()) < 100
    assert int((clipped > 0).sum()) > 500
