"""Which files of a data folder are trained on, and what is said of the others."""

import gzip
import logging
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.support.dicom_samples import archive, saved, slices
from tests.support.volume_samples import mgh, mha, nifti_1
from training.engine.data import Scans, prepare_folder, scans_in
from training.engine.errors import DataRefused
from training.engine.survey import survey
from volumes import assumptions
from volumes.scan import Preparation

HOW = Preparation(shape=(8, 8, 8), axes="SPL", spacing_mm=(1, 1, 1), window=(0, 200))
VOXELS = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10) % 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One volume in five formats, two of them in two files."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.nii").write_bytes(nifti_1(VOXELS))
    (data / "b.mgz").write_bytes(gzip.compress(mgh(VOXELS)))
    (data / "c.mha").write_bytes(mha(VOXELS))
    fields = {"CompressedData": "False", "drop": "CompressedDataSize", "ElementDataFile": "d.raw"}
    (data / "d.mhd").write_bytes(mha(VOXELS, b"", **fields))
    (data / "d.raw").write_bytes(VOXELS.tobytes(order="F"))
    nib.Nifti1Pair(VOXELS, np.eye(4)).to_filename(data / "e.img")
    return data


def _prepare(folder: Path, **more: object) -> Scans:
    return prepare_folder(folder, folder.parent / "cache", HOW, **more)


def test_every_format_that_is_read_is_found_each_scan_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert [path.name for path in scans_in(folder)] == ["a.nii", "b.mgz", "c.mha", "d.mhd", "e.hdr"]
    assert len(_prepare(folder).paths) == 5
    assert not caplog.records


def test_a_dicom_series_is_a_folder_or_an_archive_of_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "a" / "deep").mkdir(parents=True)
    (data / "b").mkdir()
    for k, image in enumerate(slices(VOXELS)):
        (data / "a" / "deep" / f"{k}.dcm").write_bytes(saved(image))
    archive(slices(VOXELS), data / "c.zip")
    first, second = (np.load(path) for path in _prepare(data).paths)
    np.testing.assert_array_equal(first, second)
    looked_at = survey(data, tmp_path / "cache")
    with pytest.MonkeyPatch.context() as patched:  # what is known is not converted again: no child could start
        patched.setattr(subprocess, "Popen", None)
        assert len(_prepare(data).paths) == 2
        assert survey(data, tmp_path / "cache") == looked_at
    (data / "d.dcm").write_bytes(saved(slices(VOXELS)[0]))
    with pytest.raises(DataRefused, match=r"d\.dcm: It is one image of a series.*in a folder of its own"):
        _prepare(data)


def test_what_is_no_scan_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("f.tif", "labels.csv", ".hidden", "notes.txt"):
        (folder / name).touch()
    _prepare(folder)
    (record,) = caplog.records
    assert "1 files" in record.getMessage()
    assert "f.tif" in record.getMessage()


def test_all_bad_scans_are_named_with_their_reasons_and_left_out_where_asked(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "d.raw").unlink()
    (folder / "f.nii").write_bytes(nifti_1(VOXELS)[:-9])
    (folder / "g.nii").write_bytes(nifti_1(np.zeros_like(VOXELS)))
    (folder / "labels.csv").write_text(
        "file,class\n" + "".join(f"{p.name},{int(p.name > 'c')}\n" for p in scans_in(folder))
    )
    with pytest.raises(DataRefused) as caught:
        _prepare(folder)
    for part in ("2 of 7 scans", "d.mhd: The file that holds the voxels is not beside", "f.nii: The file ends before"):
        assert part in str(caught.value)
    kept = _prepare(folder, classes=["mild", "severe"], skip_unreadable=True)
    assert len(kept.paths) == 5
    assert kept.labels == (0, 0, 1, 1, 1)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "f.nii" in record.getMessage()
    for path in folder.iterdir():
        if path.name not in ("f.nii", "labels.csv"):
            path.unlink()
    with pytest.raises(DataRefused, match="1 of 1 scans"):
        _prepare(folder, skip_unreadable=True)


def test_what_a_header_leaves_open_is_said_and_changes_what_was_prepared(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Left and right as nibabel has them: the prepared array is that of the same scan with its affine written out."""
    for path in folder.iterdir():
        path.unlink()
    (folder / "a.nii").write_bytes(nifti_1(VOXELS, sform=0))
    image = nib.load(folder / "a.nii")
    nib.Nifti1Image(VOXELS, image.affine).to_filename(folder / "b.nii")
    first, second = (np.load(path) for path in _prepare(folder).paths)
    np.testing.assert_array_equal(first, second)
    assert caplog.messages == [f"a.nii: {assumptions.NIFTI_PLACE}"]
