"""Jobs whose volumes leave as DICOM series: the voxels and places of their NIfTI files, whatever the kind of job."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.errors import InvalidRequest
from contract.state import Manifest
from model_store.catalogue import Catalogue
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_tiny_hagan
from volumes import assumptions
from volumes.dicom.conversion import read_series
from volumes.dicom.members import Bounds
from volumes.files import read, write
from volumes.orientation import reorient
from volumes.volume import Volume
from workers.bench import Bench
from workers.run import replay, run
from workers.writing.folder_sink import FolderSink

DICOM: dict[str, Any] = {"format": "dicom", "preview": False}
NIFTI: dict[str, Any] = {"format": "nii", "preview": False}
TURNED = np.array([[-1.9, 0.0, 0.0, 40], [0.0, 0.0, 2.9, -50], [0.0, -0.9, 0.0, 10], [0, 0, 0, 1]])
SHEARED = TURNED + np.array([[0, 0.3, 0, 0]] + 3 * [[0, 0, 0, 0]])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_hagan(folder, "tiny")
    write_megan(folder, "translator")
    return Bench(Catalogue([folder]), threads=1)


def scan(folder: Path, affine: np.ndarray = TURNED) -> Path:
    x, y, z = np.ogrid[:40, :48, :36]
    ball = 800 * np.exp(-((x - 18.0) ** 2 + (y - 26.0) ** 2 + (z - 17.0) ** 2) / 60) - 900
    write(Volume(ball.astype(np.int16), affine), folder / "scan.nii", format="nii", provenance={})
    return folder / "scan.nii"


def volumes(folder: Path) -> list[Volume]:
    """Of a job's files, in RAS order."""
    found = []
    for path in sorted([*folder.glob("*.nii"), *folder.glob("*.dcm.zip")]):
        with path.open("rb") as file:
            is_series = path.suffix == ".zip"
            found.append(reorient(read_series(file, Bounds(10**6, 2**26)) if is_series else read(path)))
    return found


def done(kind: str, body: dict[str, Any], bench: Bench, folder: Path, path: Path | None = None) -> Manifest:
    return run(kind, {"model": "tiny"} | body, path, bench, FolderSink(folder))


def test_every_kind_of_job_gives_the_volumes_of_its_nifti_files(bench: Bench, tmp_path: Path) -> None:
    path = scan(tmp_path)
    encoded = done("encode", {}, bench, tmp_path / "latent", path)
    assert encoded.placement is not None
    of_scan = {"source": {"latent": encoded.latents[0]}, "placement": encoded.placement.model_dump(mode="json")}
    moved = {"op": "interpolate", "target": {"seed": 1}, "steps": 2}
    jobs = {
        "generate": ({"seed": 3, "output": {"grid": {"spacing_mm": [3, 2.5, 4]}}}, None, 1),
        "encode": ({"reconstruct": True}, path, 2),
        "edit": (of_scan | {"edit": moved}, None, 4),
        "translate": ({"model": "translator"}, path, 1),
    }
    for kind, (body, source, count) in jobs.items():
        made = {}
        for name, output in (("nii", NIFTI), ("dicom", DICOM)):
            asked = body | {"output": body.get("output", {}) | output}
            made[name] = done(kind, asked, bench, tmp_path / f"{kind}-{name}", source)
        assert [entry.name for entry in made["dicom"].results] == [f"{k:03d}.dcm.zip" for k in range(count)]
        assert {entry.media_type for entry in made["dicom"].results} == {"application/zip"}
        pairs = [volumes(tmp_path / f"{kind}-{name}") for name in ("nii", "dicom")]
        for nifti, series in zip(*pairs, strict=True):
            np.testing.assert_array_equal(series.array, nifti.array)
            np.testing.assert_allclose(series.affine, nifti.affine, atol=1e-4)


def test_a_replay_gives_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    body = {"seed": 3, "output": {"format": "dicom", "dtype": "float32", "intensity": "unit"}}
    made = done("generate", body, bench, tmp_path / "first")
    assert made.assumed == [assumptions.REAL_IN_16_BITS]
    record = json.loads((tmp_path / "first" / "provenance.json").read_text())
    again = replay(record, None, bench, FolderSink(tmp_path / "again"))
    assert [entry.sha256 for entry in again.results] == [entry.sha256 for entry in made.results]
    (volume,), (preview,) = volumes(tmp_path / "first"), (tmp_path / "first").glob("*.png")
    assert preview.name == "000.png"
    assert 0 <= volume.array.min() < volume.array.max() <= 1


def test_what_lies_on_a_sheared_scan_is_refused_but_on_a_grid_of_its_own(bench: Bench, tmp_path: Path) -> None:
    path, body = scan(tmp_path, SHEARED), {"model": "translator", "output": DICOM}
    with pytest.raises(InvalidRequest, match="right angles") as caught:
        done("translate", body, bench, tmp_path / "out", path)
    assert [pointer for pointer, _ in caught.value.errors] == ["/output/format"]
    placed = DICOM | {"grid": {"shape": [9, 8, 7], "affine": np.diag([3.0, 3, 3, 1]).tolist()}}
    assert done("translate", body | {"output": placed}, bench, tmp_path / "out", path).results[0].shape == [9, 8, 7]
