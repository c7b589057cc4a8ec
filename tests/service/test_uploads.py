"""POST /encode: scans that come along, scans that are named, and what stays behind when something goes wrong."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import contextlib
import errno
import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import nibabel
import numpy as np
import pytest

from contract.errors import StoreFull, StoreUnavailable
from contract.requests import EncodeRequest
from contract.state import JobRecord, JobState
from jobs.keys import ANYBODY
from jobs.ownership import OwnJobs
from jobs.submission import Submission
from service.admission.submission import submit
from service.admission.uploads import Original, Scan, stored
from service.dependencies import PostFields
from service.http import body
from service.http.multipart import Spool
from tests.support.service_fixtures import Api, api, models, until  # noqa: F401
from tests.support.sides import deliveries
from volumes.reader_limits import MAX_TRAILING_BYTES

HOSTILE_NAMES = ["../../etc/passwd", 'a"; x="b', "a\r\nX-Evil: 1", "\u202egnp.nii", "", "x" * 3000, "%00.nii"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    rng = np.random.default_rng(0)
    nibabel.save(nibabel.Nifti1Image(rng.normal(0, 50, (9, 8, 7)).astype(np.int16), np.diag([2, 3, 4, 1.0])), path)
    return path.read_bytes()


def encode(server: Api, scan: bytes, name: str = "scan.nii.gz", **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", {})
    parts = {
        "volume": (name, scan, "application/octet-stream"),
        "request": (None, json.dumps({"model": "tiny", **fields}), "application/json"),
    }
    return server.http.post("/encode", files=parts, headers=headers)


def open_files() -> int:
    """Descriptors of this process but for Unix sockets, as many connections to the queue stay as calls met, and those
    that are no file: the storage layer opens three of them on its first use, whichever test that is in, for good."""
    unix = {f"socket:[{line.split()[6]}]" for line in Path("/proc/self/net/unix").read_text().splitlines()[1:]}
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            place = str(entry.readlink())
            count += place not in unix and not place.startswith("anon_inode:")
    return count


def test_an_upload_lies_in_the_store_under_its_job(api: Api, scan: bytes) -> None:
    answer = encode(api, scan, reconstruct=True)
    assert answer.status_code == 202, answer.text
    record = answer.json()
    assert (record["kind"], record["request"]["reconstruct"]) == ("encode", True)
    assert "upload" not in record["request"]
    key = f"uploads/{record['id']}/scan"
    assert api.stored("uploads") == [key]
    assert b"".join(api.queue.results.open(key)) == scan
    upload = {"key": key, "sha256": hashlib.sha256(scan).hexdigest()}
    assert deliveries(api.queue).claim(record["id"], 1, "test").payload["upload"] == upload


def test_the_parts_may_come_in_any_order_and_without_types(api: Api, scan: bytes) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="request"\r\n\r\n{"model": "tiny"}\r\n'
    body += b"--B\r\ncontent-disposition: form-data; name=volume\r\n\r\n" + scan + b"\r\n--B--\r\n"
    answer = api.http.post("/encode", content=body, headers={"Content-Type": 'Multipart/form-data; boundary="B"'})
    assert answer.status_code == 202, answer.text
    assert b"".join(api.queue.results.open(api.stored("uploads")[0])) == scan


@pytest.fixture(params=["has one offset", "is missing"])
def dev_fd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/fd/N as on macOS, where to open it is dup(N), or as on a Linux without /proc."""
    as_here: Callable[..., Any] = Path.open

    def as_there(path: Path, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        match = re.fullmatch(r"/dev/fd/(\d+)", str(path))
        if match is None:
            return as_here(path, mode, buffering, *rest, **named)
        if request.param == "is missing":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return os.fdopen(os.dup(int(match[1])), mode, buffering, *rest, **named)

    monkeypatch.setattr(Path, "open", as_there)


@pytest.mark.usefixtures("dev_fd")
def test_an_upload_is_read_where_descriptors_have_no_paths_as_on_linux(api: Api, scan: bytes) -> None:
    for sent in (scan, gzip.decompress(scan)):
        answer = encode(api, sent)
        assert answer.status_code == 202, answer.text
        assert b"".join(api.queue.results.open(f"uploads/{answer.json()['id']}/scan")) == sent
    assert encode(api, scan[:-9]).json()["code"] == "unreadable_volume"


def test_a_scan_that_does_not_reach_the_store_as_it_came_is_refused(api: Api, tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"flipped")
    original = Original(tmp_path / "scan", 7, hashlib.sha256(b"as sent").hexdigest(), StoreUnavailable("not as sent"))
    with pytest.raises(StoreUnavailable, match="not as sent"), stored(original, "0" * 32, api.queue):
        pytest.fail("it was taken")
    assert api.stored("uploads") == []


def test_a_scan_that_cannot_be_removed_does_not_take_back_an_accepted_job(api: Api, scan: bytes) -> None:
    """Of two posts with one key that come at once, the second one finds the job of the first when it is submitted."""

    class AtOnce(OwnJobs):
        def made_before(self, *_: Any, **__: Any) -> None:
            return None

        def submit(self, job: Submission) -> JobRecord:
            record = super().submit(job)
            folder = Path(api.settings.store_url.removeprefix("file://")) / "uploads" / job.job_id
            shutil.rmtree(folder)
            folder.write_text("in the way")
            return record

    fields = PostFields(wait_s=None, idempotency_key="k")
    first = encode(api, scan, headers={"Idempotency-Key": "k"}).json()["id"]
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(scan)
        sent = Scan(file, len(scan), hashlib.sha256(scan).hexdigest())
        again = submit(EncodeRequest(model="tiny"), api.services, AtOnce(api.queue, ANYBODY), fields, sent)
    assert again.record.id == first


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_file_name_is_only_a_label(api: Api, scan: bytes, name: str) -> None:
    answer = encode(api, scan, name)
    assert answer.status_code == 202, answer.text
    assert api.stored("uploads") == [f"uploads/{answer.json()['id']}/scan"]
    assert "Evil" not in str(answer.headers)
    if len(name) > 5:
        assert name not in answer.text


def test_a_refused_scan_leaves_nothing(api: Api, scan: bytes) -> None:
    plain = gzip.decompress(scan)
    api.http.get("/jobs")
    encode(api, b"x")
    before = open_files()
    cut, longer = (scan[:-9], plain[:-1]), (scan + bytes(MAX_TRAILING_BYTES + 1), plain + bytes(MAX_TRAILING_BYTES + 1))
    for damaged in (*cut, *longer, b"\x00" * 400, b"NRRD0005\n", scan[:-8] + b"\0" * 8):
        answer = encode(api, damaged)
        assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_volume"), answer.text
    assert api.stored("uploads") == []
    assert api.http.get("/jobs").json()["items"] == []
    until(lambda: open_files() <= before)


def test_parallel_uploads_with_one_key_keep_one_scan(api: Api, scan: bytes) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: encode(api, scan, headers={"Idempotency-Key": "k"}), range(8)))
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 1
    assert api.stored("uploads") == [f"uploads/{ids.pop()}/scan"]


def test_a_key_with_another_scan_is_refused_and_leaves_nothing(api: Api, scan: bytes) -> None:
    first = encode(api, scan, headers={"Idempotency-Key": "k"}).json()["id"]
    answer = encode(api, gzip.compress(gzip.decompress(scan), 1), headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    assert api.stored("uploads") == [f"uploads/{first}/scan"]


@pytest.mark.fault
def test_a_client_that_leaves_in_mid_upload_leaves_nothing(api: Api, scan: bytes) -> None:
    api.http.get("/healthz")
    before = open_files()
    for length in (0, 50, 5000):
        with socket.create_connection(("127.0.0.1", api.port)) as line:
            line.sendall(
                b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
                b"Content-Length: 100000\r\n\r\n" + b'--B\r\nContent-Disposition: form-data; name="volume"\r\n\r\n'
                + b"x" * length
            )  # fmt: skip
    until(lambda: open_files() <= before)
    assert api.stored("uploads") == []
    assert 'status="500"' not in api.http.get("/metrics").text


def test_an_upload_above_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port)) as line:
        line.sendall(
            b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            b"Content-Length: 999999999999999\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_result_can_be_encoded_again(api: Api, scan: bytes) -> None:
    made = api.submit()
    api.finish(made, {"000.nii.gz": scan, "001.npy": b"x"})
    answer = api.post("/encode", {"model": "tiny", "source": {"job": made, "index": 0}})
    assert answer.status_code == 202, answer.text
    record = answer.json()
    assert record["request"]["source"] == {"job": made, "index": 0}
    payload = deliveries(api.queue).claim(record["id"], 1, "test").payload
    assert payload["source"] is None
    # A copy of its own: the first job may go.
    assert api.http.delete(f"/jobs/{made}").status_code == 204
    assert b"".join(api.queue.results.open(payload["upload"]["key"])) == scan


@pytest.mark.parametrize("source", [{"seed": 4}, {"latent": [0.5] * 8, "space": "z"}])
def test_a_sample_that_is_still_to_be_made_can_be_encoded(api: Api, source: dict[str, Any]) -> None:
    answer = api.post("/encode", {"model": "tiny", "source": source})
    assert answer.status_code == 202, answer.text
    payload = deliveries(api.queue).claim(answer.json()["id"], 1, "test").payload
    assert payload["source"] == source
    assert "upload" not in payload


def test_a_result_that_cannot_be_encoded_is_told_so(api: Api, scan: bytes) -> None:
    made = api.submit()
    source = {"job": made, "index": 0}
    answer = api.post("/encode", {"model": "tiny", "source": source})
    assert (answer.status_code, answer.json()["code"]) == (409, "result_not_ready")
    api.finish(made, {"000.npy": b"x"})
    answer = api.post("/encode", {"model": "tiny", "source": source})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/source")
    answer = api.post("/encode", {"model": "tiny", "source": {"job": made, "index": 9}})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_result")
    assert api.stored("uploads") == []


# -- job sources of edits and fits

MOVE = {"op": "move", "direction": "shipped-one", "strengths": [-1, 1]}


def payload_of(server: Api, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    return deliveries(server.queue).claim(answer.json()["id"], 1, "test").payload


def test_an_edit_of_a_job_carries_the_seed_or_latent_that_the_job_used(api: Api) -> None:
    latent = {"latent": [0.5] * 8, "space": "z"}
    made = api.submit()
    api.finish(made, {"000.nii.gz": b"x", "001.nii.gz": b"y"}, latents=[{"seed": 7}, latent])
    source = {"job": made, "index": 1}
    answer = api.post("/edit", {"model": "tiny", "source": {"job": made}, "edit": MOVE})
    assert answer.json()["request"]["source"] == {"job": made, "index": 0}
    assert payload_of(api, answer)["source"] == {"seed": 7}
    change = {"op": "interpolate", "target": source, "steps": 3}
    payload = payload_of(api, api.post("/edit", {"model": "tiny", "source": {"seed": 1}, "edit": change}))
    assert payload["edit"]["target"] == latent
    assert "direction" not in payload


def test_an_edit_of_an_encoded_scan_carries_its_latent(api: Api, scan: bytes) -> None:
    made = encode(api, scan).json()["id"]
    body = {"model": "tiny", "source": {"job": made}, "edit": MOVE}
    assert api.post("/edit", body).json()["code"] == "result_not_ready"
    api.finish(made, encoded=[[0.25] * 8])
    assert payload_of(api, api.post("/edit", body))["source"] == {"latent": [0.25] * 8, "space": "z"}
    body["source"] = {"job": made, "index": 1}
    assert api.post("/edit", body).json()["code"] == "unknown_result"


def test_an_edit_of_a_job_of_another_model_is_refused(api: Api) -> None:
    made = api.post("/generate", {"model": "tiny-ct", "seed": 1}).json()["id"]
    api.finish(made, {"000.nii.gz": b"x"})
    answer = api.post("/edit", {"model": "tiny", "source": {"job": made}, "edit": MOVE})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/source/job")


def test_an_edit_of_a_failed_or_removed_job_is_refused(api: Api) -> None:
    made = api.submit()
    api.finish(made, state=JobState.FAILED)
    body = {"model": "tiny", "source": {"job": made}, "edit": MOVE}
    assert api.post("/edit", body).status_code == 404
    api.http.delete(f"/jobs/{made}")
    assert api.post("/edit", body).json()["code"] == "unknown_job"


def test_a_fit_carries_the_latents_of_the_jobs_it_names(api: Api) -> None:
    made = api.submit()
    api.finish(made, {f"{k:03d}.nii.gz": b"x" for k in range(4)})
    samples = [{"source": {"job": made, "index": k}, "value": float(k)} for k in range(4)]
    body = {"method": "regression", "name": "mine", "attribute": "size", "samples": samples}
    answer = api.post("/models/tiny/directions", body)
    assert answer.json()["kind"] == "fit_direction"
    payload = payload_of(api, answer)
    assert [sample["source"] for sample in payload["fit"]["samples"]] == [{"seed": k} for k in range(4)]


def test_the_store_being_full_is_told(api: Api, scan: bytes, tmp_path: Path) -> None:
    folder = Path(api.settings.store_url.removeprefix("file://"))
    (folder / "uploads").write_text("in the way")
    answer = encode(api, scan)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert str(folder) not in answer.text


@pytest.mark.parametrize(
    ("path", "kind"), [("/generate", "application/json"), ("/encode", "multipart/form-data; boundary=B")]
)
def test_a_body_that_does_not_come_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch, path: str, kind: str) -> None:
    monkeypatch.setattr(body, "PATIENCE_S", 0.3)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n--B\r\n"
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as line:
        line.sendall(head.encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_an_upload_without_a_place_for_temporary_files_is_told_so(
    api: Api, scan: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        answer = encode(api, scan)
    assert (answer.status_code, answer.json()["code"]) == (507, "store_full")
    assert "gone" not in answer.text


def test_an_upload_that_finds_no_room_is_told_so() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(StoreFull):
        Spool(full).write(b"voxels")
