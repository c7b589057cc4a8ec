"""Size and digest of what is written, known without reading the file again."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from volumes.files import FileFormat, write
from volumes.hashed import HashedFile
from volumes.volume import Volume


@pytest.mark.parametrize("form", ["nii.gz", "nii", "nrrd", "mha", "npy", "dicom"])
def test_every_format_tells_the_size_and_digest_of_its_file(tmp_path: Path, form: FileFormat) -> None:
    array = np.arange(7 * 9 * 11, dtype=np.int16).reshape(7, 9, 11)
    path = tmp_path / f"a.{form}"
    size, digest = write(Volume(array, np.diag([1.0, -2, 3, 1])), path, format=form, provenance={"model": "m"})
    data = path.read_bytes()
    assert (size, digest) == (len(data), hashlib.sha256(data).hexdigest())
    if form == "npy":
        assert np.array_equal(np.load(path), array[:, ::-1])


def test_all_ways_of_writing_count(tmp_path: Path) -> None:
    with HashedFile(tmp_path / "a") as file:
        file.write(b"one")
        file.writelines([memoryview(b"two"), b"three"])
    assert (tmp_path / "a").read_bytes() == b"onetwothree"
    assert file.written == (11, hashlib.sha256(b"onetwothree").hexdigest())
