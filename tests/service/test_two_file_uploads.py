"""Scans in two files, sent as two parts of one name: joined, and never looked for."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import gzip
import hashlib
from pathlib import Path

import httpx2 as httpx
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from tests.support.service_fixtures import Api, api, models  # noqa: F401
from volumes.files import read
from volumes.two_files import as_one_file

VOXELS = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
ENDINGS = {"hdr": "img", "mhd": "raw", "nhdr": "raw"}


def pair(folder: Path, ending: str) -> tuple[Path, Path]:
    if ending == "hdr":
        nibabel.Nifti1Pair(VOXELS, np.diag([2, 3, 4, 1.0])).to_filename(folder / "x.img")
    else:
        sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T)), str(folder / f"x.{ending}"))
    return folder / f"x.{ending}", folder / f"x.{ENDINGS[ending]}"


def encode(server: Api, *parts: bytes) -> httpx.Response:
    named = [("volume", (f"../{k}", part, "application/octet-stream")) for k, part in enumerate(parts)]
    request = ("request", (None, '{"model": "tiny"}', "application/json"))
    return server.http.post("/encode", files=[*named, request])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_header_and_its_voxels_are_one_scan(api: Api, tmp_path: Path, ending: str, order: int) -> None:
    header, voxels = pair(tmp_path, ending)
    answer = encode(api, *(path.read_bytes() for path in (header, voxels)[::order]))
    assert answer.status_code == 202, answer.text
    stored = b"".join(api.queue.results.open(f"uploads/{answer.json()['id']}/scan"))
    with as_one_file(header) as one:
        assert hashlib.sha256(stored).digest() == hashlib.sha256(one.read_bytes()).digest()
        np.testing.assert_array_equal(read(one).array, VOXELS)
    assert api.services.transfers.acquire(blocking=False)
    api.services.transfers.release()


def test_what_is_no_pair_is_refused_and_nothing_stays(api: Api, tmp_path: Path) -> None:
    header, voxels = (path.read_bytes() for path in pair(tmp_path, "hdr"))
    nibabel.save(nibabel.Nifti1Image(VOXELS, np.eye(4)), tmp_path / "whole.nii.gz")
    whole = (tmp_path / "whole.nii.gz").read_bytes()
    before = list(api.queue.results.list("uploads"))
    for parts, code in {
        (whole, whole): "unreadable_volume",
        (voxels, voxels): "unreadable_volume",
        (b"", b""): "unreadable_volume",
        (header, voxels[:100]): "unreadable_volume",
        (header, voxels, voxels): "invalid_request",
        (header, gzip.compress(voxels)[:-20]): "unreadable_volume",
    }.items():
        answer = encode(api, *parts)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    alone = encode(api, header).json()
    assert "two parts named volume" in str(alone)
    assert list(api.queue.results.list("uploads")) == before


def test_a_pair_takes_as_many_places_as_files(api: Api, tmp_path: Path) -> None:
    """Without places for its second file and the joined one it is told to come later, and gives back what it took."""
    header, voxels = (path.read_bytes() for path in pair(tmp_path, "nhdr"))
    taken = 0
    while api.services.transfers.acquire(blocking=False):
        taken += 1
    try:
        for free in (1, 2):
            for _ in range(free):
                api.services.transfers.release()
            assert encode(api, header, voxels).status_code == 503
            for _ in range(free):
                assert api.services.transfers.acquire(blocking=False)
    finally:
        for _ in range(taken):
            api.services.transfers.release()
    assert encode(api, header, voxels).status_code == 202
