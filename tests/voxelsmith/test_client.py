"""The Python client against the whole service, and against a server that does what ours should not."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import errno
import gzip
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import nibabel
import numpy as np
import pytest
from PIL import Image

from tests.support.odd_server import Answers, answering
from tests.support.service_fixtures import Api, api, models  # noqa: F401
from voxelsmith import Client, problems
from voxelsmith.local import Stack


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url) as client:
        yield client


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A ball in a box with unequal sides."""
    x, y, z = np.ogrid[:20, :24, :28]
    array = (((x - 10) ** 2 + (y - 12) ** 2 + (z - 14) ** 2) < 64).astype(np.int16) * 400 - 800
    path = tmp_path / "scan.nii.gz"
    nibabel.Nifti1Image(array, np.diag([3.0, 3.0, 3.0, 1.0])).to_filename(path)
    return path


def test_generate_gives_a_nibabel_image(client: Client) -> None:
    job = client.generate(model="tiny", seed=42)
    job.wait()
    image = job.volume(0)
    assert isinstance(image, nibabel.Nifti1Image)
    assert image.shape == tuple(job.results[0]["shape"])
    assert job.preview(0).startswith(b"\x89PNG")
    assert nibabel.aff2axcodes(image.affine)


def test_a_sample_is_the_same_alone_and_in_a_batch(client: Client) -> None:
    batch = client.generate(model="tiny", seed=7, num_samples=3, output={"format": "nii"})
    alone = client.generate(model="tiny", seed=9, output={"format": "nii"})
    assert np.array_equal(np.asarray(batch.volume(2).dataobj), np.asarray(alone.volume(0).dataobj))


def test_encode_gives_latents_without_an_explicit_wait(client: Client, scan: Path) -> None:
    latents = client.encode(scan, model="tiny").latents
    assert latents.shape == (1, 8)
    assert latents.dtype == np.float64


def test_reconstruct_gives_both_grids_and_metrics(client: Client, scan: Path) -> None:
    job = client.encode(str(scan), model="tiny", reconstruct=True, preprocess={"window": [-800, -400]})
    assert {"psnr", "ssim", "mae"} <= set(job.metrics)
    shapes = [tuple(entry["shape"]) for entry in job.results]
    assert (20, 24, 28) in shapes


def test_latents_go_back_in_as_numpy(client: Client) -> None:
    latents = np.zeros((2, 8), np.float32)
    job = client.generate(model="tiny", latents=latents, output={"format": "nii", "preview": False})
    assert np.array_equal(np.asarray(job.volume(0).dataobj), np.asarray(job.volume(1).dataobj))


def test_numpy_scalars_and_arrays_may_stand_anywhere_in_a_request(client: Client, scan: Path) -> None:
    plain = client.generate(model="tiny", seed=3, num_samples=2, truncation=0.5).wait()
    counted = {"seed": np.int64(3), "num_samples": np.uint8(2), "truncation": np.float32(0.5)}
    assert client.generate(model="tiny", **counted).wait().record["request"] == plain.record["request"]
    walk = {"op": "interpolate", "target": {"latent": np.zeros(8, np.float32), "space": "z"}, "steps": np.int16(2)}
    assert len(client.edit(model="tiny", source={"seed": np.int64(1)}, edit=walk).wait().results) == 2
    window = {"window": np.array([-800, -400])}
    assert client.encode(scan, model="tiny", reconstruct=np.True_, preprocess=window).wait().metrics
    client.fit_direction("tiny", {"method": "sefa", "name_prefix": "counted", "count": np.int64(1)}).wait()
    with pytest.raises(TypeError, match="set"):
        client.generate(model="tiny", output={"format": {"nii"}})


def test_edit_starts_from_an_earlier_job(client: Client, scan: Path) -> None:
    encoded = client.encode(scan, model="tiny").wait()
    walk = {"op": "interpolate", "target": {"seed": 1}, "steps": 2}
    job = client.edit(model="tiny", source={"job": encoded.id}, edit=walk).wait()
    assert [entry["label"] for entry in job.results] == [
        *("step=1/2", "step=1/2 scan-grid", "step=2/2", "step=2/2 scan-grid")
    ]


def test_directions_are_fitted_and_removed(client: Client) -> None:
    client.fit_direction("tiny", {"method": "sefa", "name_prefix": "by-client", "count": 1}).wait()
    assert "by-client-1" in {entry["name"] for entry in client.directions("tiny")}
    client.remove_direction("tiny", "by-client-1")
    with pytest.raises(problems.NotFound):
        client.remove_direction("tiny", "by-client-1")


def test_download_saves_every_file_under_its_name(client: Client, tmp_path: Path) -> None:
    paths = client.generate(model="tiny", seed=1, output={"format": "mha"}).download(tmp_path / "out")
    assert {path.name for path in paths} == {"000.mha", "000.png", "latents.npy", "provenance.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}


def test_volume_of_another_format_points_to_download(client: Client) -> None:
    job = client.generate(model="tiny", seed=1, output={"format": "nrrd"})
    with pytest.raises(problems.NoSuchResult, match="download"):
        job.volume(0)
    with pytest.raises(problems.NoSuchResult, match="has 1 results"):
        job.volume(1)


def test_events_lead_to_the_end_and_resume(client: Client) -> None:
    job = client.generate(model="tiny", seed=1, num_samples=2)
    events = list(job.events())
    assert events[-1][1] == "end"
    assert events[-1][2]["state"] == "succeeded"
    assert sum(kind == "result" for _, kind, _ in events) == 2
    middle = events[len(events) // 2][0]
    assert [entry[0] for entry in job.events(after=middle)] == [entry[0] for entry in events[len(events) // 2 + 1 :]]


def test_the_same_key_gives_the_same_job(client: Client) -> None:
    first = client.generate(model="tiny", seed=1, idempotency_key="client-test")
    assert client.generate(model="tiny", seed=1, idempotency_key="client-test").id == first.id
    with pytest.raises(problems.Unprocessable) as caught:
        client.generate(model="tiny", seed=2, idempotency_key="client-test")
    assert caught.value.code == "idempotency_conflict"


def test_jobs_are_paged_newest_first_and_removed(client: Client) -> None:
    made = [client.generate(model="tiny", seed=k, wait_s=30).wait().id for k in range(3)]
    listed = [job.id for job in client.jobs(limit=1)]
    assert [job_id for job_id in listed if job_id in made] == made[::-1]
    client.job(made[0]).remove()
    with pytest.raises(problems.NotFound):
        client.job(made[0])


def test_a_cancel_that_meets_the_end_of_the_job_keeps_what_it_made(api: Api) -> None:
    with Client(f"http://127.0.0.1:{api.port}") as client:
        job = client.generate(model="tiny", seed=1)

        def finish_once(response: httpx.Response) -> None:
            client._http.event_hooks["response"] = []
            api.finish(job.id, {"000.nii.gz": b"made"})

        client._http.event_hooks["response"] = [finish_once]  # after the client's look at the job
        assert job.cancel().state == "succeeded"
        assert client.read(job.refresh().results[0]["url"]) == b"made"
        other = client.generate(model="tiny", seed=1)
        assert other.cancel().state == "canceled"
        assert other.cancel().state == "canceled"


def test_refusals_have_a_class_a_code_and_pointers(client: Client) -> None:
    with pytest.raises(problems.NotFound) as missing:
        client.generate(model="none-such", seed=1)
    assert (missing.value.status, missing.value.code) == (404, "unknown_model")
    with pytest.raises(problems.Unprocessable) as wrong:
        client.generate(model="tiny", seed=-1)
    assert [pointer for pointer, _ in wrong.value.errors] == ["/seed"]
    with pytest.raises(problems.Unprocessable):
        client.encode(Path(__file__), model="tiny")


def test_a_file_that_is_not_there_is_a_file_error(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.encode(tmp_path / "none.nii", model="tiny")
    with pytest.raises(ValueError, match="either"):
        client.encode(model="tiny")


def test_every_http_code_has_one_class() -> None:
    codes = {400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 416, 422, 429, 431, 500, 503, 507}
    assert codes <= set(problems.PROBLEMS)
    for status, cls in problems.PROBLEMS.items():
        err = problems.problem_of(status, {"code": "c", "detail": "d", "errors": [{"pointer": "/p", "detail": "x"}]})
        assert (type(err), err.status, err.code, err.errors) == (cls, status, "c", [("/p", "x")])
    assert problems.problem_of(502, "a proxy's page").detail == "HTTP 502"
    assert type(problems.problem_of(418, None)) is problems.HttpProblem


def test_a_notebook_shows_a_job_by_its_previews(client: Client) -> None:
    job = client.generate(model="tiny", seed=1, num_samples=2)
    assert job._repr_png_() is None  # no notebook waits for it
    assert job.wait().caption(1) == "seed-2.nii.gz"
    sheet, one = (job._repr_png_() or b"" for job in (job, client.generate(model="tiny", seed=1).wait()))
    assert sheet.startswith(b"\x89PNG")
    assert Image.open(io.BytesIO(sheet)).width > Image.open(io.BytesIO(one)).width
    hidden = client.generate(model="tiny", seed=1, output={"preview": False})
    assert hidden.wait()._repr_png_() is None
    with pytest.raises(problems.NoNotebook, match="preview"):
        job.show()
    with pytest.raises(problems.NoSuchResult):
        hidden.show(0)


# -- servers that answer what ours should not ------------------------------------------------------------------------


@contextmanager
def serving(answers: Answers) -> Iterator[Client]:
    """A client of a server that answers each GET with `answers(path)`."""
    with answering(answers) as port, Client(f"http://127.0.0.1:{port}") as client:
        yield client


def record(state: str, **fields: Any) -> bytes:
    return json.dumps({"id": "a", "kind": "generate", "state": state, "results": [], **fields}).encode()


def sequence(*answers: tuple[int, bytes]) -> Answers:
    """One answer after the other; the last one for ever."""
    left = list(answers)
    return lambda _path: left.pop(0) if len(left) > 1 else left[0]


def test_an_unknown_state_with_an_end_time_is_terminal() -> None:
    later = sequence((200, record("paused")), (200, record("aborted", ended_at="2030-01-01T00:00:00Z")))
    with serving(later) as client:
        job = client.job("a")
        assert not job.is_done
        assert job.wait(timeout_s=60).state == "aborted"


def test_a_failed_job_raises_its_code() -> None:
    failed = record("failed", ended_at="2030-01-01T00:00:00Z", error={"code": "gpu_out_of_memory", "detail": "full"})
    with serving(sequence((200, failed))) as client, pytest.raises(problems.JobFailed, match="full") as caught:
        client.job("a").wait()
    assert caught.value.code == "gpu_out_of_memory"


def test_wait_ends_at_its_timeout() -> None:
    with serving(sequence((200, record("queued")))) as client, pytest.raises(problems.JobNotDone):
        client.job("a").wait(timeout_s=0.2)


def test_wait_bears_a_server_that_is_away_for_a_moment() -> None:
    answers = sequence((200, record("running")), (503, b"{}"), (503, b"starting"), (200, record("succeeded")))
    with serving(answers) as client:
        assert client.job("a").wait(timeout_s=60).state == "succeeded"


def test_damaged_bytes_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    entry = {"name": "000.nii.gz", "index": 0, "url": "/jobs/a/results/000.nii.gz", "sha256": "0" * 64}

    def answers(path: str) -> tuple[int, bytes]:
        return 200, gzip.compress(b"other") if path.endswith(".gz") else record("succeeded", results=[entry])

    with serving(answers) as client:
        job = client.job("a")
        with pytest.raises(problems.DamagedDownload):
            job.volume(0)
        with pytest.raises(problems.DamagedDownload):
            job.download(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_takes_the_place_of_a_file_under_the_umask_and_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)  # as on exFAT
    (tmp_path / "000.nii.gz").write_bytes(b"of an earlier job")
    usual = os.umask(0o077)
    try:
        with serving(lambda _path: (200, b"new")) as client:
            client.save("/x", tmp_path / "000.nii.gz")
    finally:
        os.umask(usual)
    (saved,) = tmp_path.iterdir()
    assert saved.read_bytes() == b"new"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_a_download_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "000.nii.gz").write_bytes(b"of an earlier job")
    with serving(lambda _path: (200, b"new")) as client, pytest.raises(problems.DamagedDownload):
        client.save("/x", tmp_path / "000.nii.gz", "0" * 64)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"of an earlier job"


@pytest.mark.parametrize("url", ["http://[::1", "http://here:port", "http://\0"])
def test_an_address_that_is_none_is_one_clear_error(url: str) -> None:
    with pytest.raises(problems.BadAddress, match="not a URL"):
        Client(url)


@pytest.mark.parametrize("key", ["clé", "a\nb", "a b", "\udc80"])
def test_a_key_that_no_header_takes_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(problems.BadKey) as caught:
        Client(api_key=key)
    assert key not in str(caught.value)


def test_nobody_there_is_one_clear_error() -> None:
    for url in ("http://127.0.0.1:9", "127.0.0.1", f"http://{'a' * 300}"):
        with Client(url) as client, pytest.raises(problems.ServerUnreachable, match="no answer from"):
            client.models()


# -- proxies ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


ELSEWHERE = "http://voxelsmith.invalid:8000"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_that_the_environment_names_is_asked(bare: pytest.MonkeyPatch, name: str) -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return 200, record("queued")

    with serving(answer) as proxy:
        bare.setenv(name, str(proxy._http.base_url))
        with Client(ELSEWHERE) as client:
            assert client.job("a").state == "queued"
    assert asked == [f"{ELSEWHERE}/jobs/a"]


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_this_machine_is_asked_without_a_proxy(bare: pytest.MonkeyPatch, name: str) -> None:
    bare.setenv(name, "http://127.0.0.1:9")
    with serving(lambda _path: (200, record("queued"))) as client:
        for host in ("127.0.0.1", "localhost"):
            with Client(str(client._http.base_url.copy_with(host=host))) as own:
                assert own.job("a").state == "queued"


def test_a_host_of_no_proxy_is_asked_directly(bare: pytest.MonkeyPatch) -> None:
    with serving(lambda _path: (200, record("queued"))) as proxy:
        bare.setenv("http_proxy", str(proxy._http.base_url))
        bare.setenv("no_proxy", "voxelsmith.invalid")
        with Client(ELSEWHERE) as client, pytest.raises(problems.ServerUnreachable):
            client.job("a")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "gopher://secret@127.0.0.1:9", "http://[::1"])
def test_a_proxy_of_another_kind_is_one_clear_error_and_nothing_to_this_machine(
    bare: pytest.MonkeyPatch, proxy: str
) -> None:
    bare.setenv("all_proxy", proxy)
    with pytest.raises(problems.BadAddress, match="the proxy that the environment names") as caught:
        Client(ELSEWHERE)
    assert "secret" not in str(caught.value)
    with serving(lambda _path: (200, record("queued"))) as client:
        assert client.job("a").state == "queued"


# -- latents ---------------------------------------------------------------------------------------------------------


def test_one_latent_is_taken_as_it_is(client: Client) -> None:
    vector = np.linspace(-1, 1, 8)
    alone = client.generate(model="tiny", latents=vector, output={"format": "nii"})
    listed = client.generate(model="tiny", latents=vector[np.newaxis], output={"format": "nii"})
    assert np.array_equal(np.asarray(alone.volume(0).dataobj), np.asarray(listed.volume(0).dataobj))


def test_the_client_is_at_home_beside_files_that_are_called_as_the_other_rooms(tmp_path: Path) -> None:
    for name in ("jobs", "service", "workers", "training", "latents"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user')")
    command = [sys.executable, "-c", "from voxelsmith import Client; Client('http://127.0.0.1:9').close()"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
