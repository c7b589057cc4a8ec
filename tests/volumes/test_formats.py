"""The table of formats: every row is what it says, so that a new row is tested with its reader and writer alone."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from contract.fields import OutputOptions
from service.openapi import scan_body
from tests.support.volume_samples import numbered, placement
from training.engine.data import scans_in
from volumes.dicom.conversion import read_series
from volumes.dicom.members import Bounds
from volumes.files import WRITERS, read, write
from volumes.formats import BY_NAME, FORMATS, READ, READABLE, WRITTEN, OutputType, VolumeFormat, is_readable
from volumes.orientation import reorient
from volumes.upload_check import READERS, check
from volumes.volume import Volume
from workers.writing.writer import MEDIA_TYPES

ROOT = Path(__file__).parents[2]
TURNED = placement(oblique=True)


def test_names_and_endings_are_nobody_elses() -> None:
    assert len(BY_NAME) == len(FORMATS)
    endings = [ending for row in FORMATS for ending in row.endings]
    assert len(set(endings)) == len(endings)
    assert all(row.endings[0] == f".{row.name}" for row in FORMATS if not row.is_series)


def test_each_reader_and_writer_has_a_row_and_each_row_its_own() -> None:
    assert {row.reader for row in READ if not row.is_series} == READERS.keys()
    assert {row.writer for row in WRITTEN} == WRITERS.keys()


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row.name)
def test_what_a_row_writes_its_own_reader_reads(row: VolumeFormat, tmp_path: Path) -> None:
    """Each type of voxel that it holds, at its place; the ending is one that training and the command line take."""
    for dtype in row.dtypes:
        path = tmp_path / f"{dtype}{row.endings[0]}"
        array = (numbered() % 100).astype(dtype)
        write(Volume(array, TURNED), path, format=row.name, provenance={"model": "m"})
        if row.reader is None:
            continue
        if row.is_series:
            with path.open("rb") as file:
                volume = reorient(read_series(file, Bounds(10**6, 2**26)))
        else:
            assert check(path).format == row.name
            volume = read(path)
        # In 16 bits real numbers are off by half a step.
        np.testing.assert_allclose(volume.array, array, rtol=0, atol=1e-3 if row.is_series else 0)
        np.testing.assert_allclose(volume.affine, TURNED, atol=1e-5)
    assert (row.reader is not None) == is_readable(path.name) == is_readable(path.name.upper())
    assert MEDIA_TYPES[row.name] == row.media_type


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_requests_take_what_is_written_in_types_that_it_holds(row: VolumeFormat) -> None:
    for dtype in get_args(OutputType):
        body = {"format": row.name, "dtype": dtype}
        if row.writer is not None and dtype in row.dtypes:
            assert OutputOptions.model_validate(body).format == row.name
        else:
            with pytest.raises(ValidationError):
                OutputOptions.model_validate(body)


def test_a_format_without_a_writer_is_not_written(tmp_path: Path) -> None:
    for name in ("jpg", *(row.name for row in FORMATS if row.writer is None)):
        with pytest.raises(ValueError, match="not written"):
            write(Volume(numbered(), TURNED), tmp_path / "x", format=name, provenance={})
    assert not (tmp_path / "x").exists()


def test_training_and_the_upload_take_the_endings_that_are_read(tmp_path: Path) -> None:
    for ending in (*READABLE, ".npy", ".txt"):
        (tmp_path / f"x{ending}").touch()
        (tmp_path / f"._x{ending}").touch()
    assert {path.name for path in scans_in(tmp_path)} == {f"x{ending}" for ending in READABLE}
    text = str(scan_body("EncodeRequest"))
    assert all(ending in text for ending in READABLE)


def test_the_table_needs_nothing_but_python() -> None:
    program = (
        "import sys\n"
        "for name in ('numpy', 'isal', 'nibabel', 'SimpleITK', 'torch', 'pydantic'): sys.modules[name] = None\n"
        "import volumes.formats\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
