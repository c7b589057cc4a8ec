"""Logs as JSON: every line is an object, knows its request and its job, and holds nothing that a client sent."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from contract.state import JobRecord, JobState
from jobs.logs import ACCESS, JOB, JsonLines, PlainLines
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.service_fixtures import Api, api, models, until  # noqa: F401
from workers.supervisor import Supervisor

ROOT = Path(__file__).parents[2]


Lines = Callable[[int], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the access log got, parsed, once it has so many lines: each is written after its answer has left."""
    stream, logger = io.StringIO(), logging.getLogger(ACCESS)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def told(count: int) -> list[dict[str, Any]]:
        until(lambda: stream.getvalue().count("\n") >= count)
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield told
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_request_and_its_job_are_found_by_either_id(api: Api, lines: Lines) -> None:
    answer = api.post("/generate", {"model": "tiny", "seed": 1}, **{"X-Request-ID": "mine.1"})
    job = answer.json()["id"]
    assert answer.headers["x-request-id"] == "mine.1"
    api.http.get(f"/jobs/{job}")
    api.http.get("/healthz")
    posted, got = lines(2)
    assert {**posted, "time": 0, "seconds": 0} == {
        "time": 0, "level": "info", "logger": ACCESS, "message": "POST /generate 202", "request": "mine.1", "job": job,
        "method": "POST", "route": "/generate", "status": 202, "seconds": 0,
    }  # fmt: skip
    assert (got["job"], got["route"], got["status"]) == (job, "/jobs/{job_id}", 200)
    assert re.fullmatch(r"[0-9a-f]{32}", got["request"])


def test_nothing_that_a_client_sends_is_logged(api: Api, lines: Lines) -> None:
    name = "doe-john"
    api.http.get(f"/jobs/{name}", headers={"X-Request-ID": f"{name} and a space"})
    api.http.get(f"/{name}?name={name}", headers={"Authorization": f"Bearer {name}"})
    api.http.request(name.upper(), "/jobs")
    api.post("/generate", {"model": name, "seed": 1})
    logged = lines(4)
    assert len(logged) == 4
    assert name not in json.dumps(logged).lower()
    assert not any("job" in line for line in logged)


def test_an_exceptions_text_and_paths_stay_out_of_json() -> None:
    try:
        raise ValueError("/home/someone/doe-john.nii cannot be read")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "job %s failed", ("a",), sys.exc_info())
    text = JsonLines().format(record)
    line = json.loads(text)
    assert line["error"] == "ValueError"
    assert re.fullmatch(r"jobs/test_logs\.py:\d+ test_an_exceptions_text_and_paths_stay_out_of_json", line["trace"][0])
    assert "doe-john" not in text
    assert str(ROOT) not in text


def test_a_plain_line_ends_with_its_ids() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "done", (), None)
    assert PlainLines("%(message)s").format(record) == "done"
    token = JOB.set("abc")
    try:
        assert PlainLines("%(message)s").format(record) == "done job=abc"
    finally:
        JOB.reset(token)


def test_every_line_of_an_api_process_is_json(settings: Settings) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "VOXELSMITH_PORT": "0",
        "VOXELSMITH_LOG_FORMAT": "json",
        "VOXELSMITH_REDIS_URL": settings.redis_url.get_secret_value(),
        "VOXELSMITH_STORE_URL": settings.store_url,
    }
    command = [sys.executable, "-m", "service.main"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        logged = []
        for text in process.stderr:
            logged.append(json.loads(text))
            if found := re.search(r"running on (http://\S+)", logged[-1]["message"]):
                assert httpx.get(f"{found[1]}/jobs", timeout=60).status_code == 200
                process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert [line["message"] for line in logged if line["logger"] == ACCESS] == ["GET /jobs 200"]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in logged)


def test_a_workers_lines_tell_the_job(
    queue: JobQueue,
    submit: Callable[..., JobRecord],
    play: Callable[..., AbstractContextManager[Supervisor]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    job = submit({"acts": ["raise"]}).id
    with play(log_format="json", lease_s=10.0):
        assert queue.wait(job, 90.0).state is JobState.FAILED
    logged = [json.loads(text) for text in capfd.readouterr().err.splitlines() if text.startswith('{"time"')]
    about = [line for line in logged if line.get("job") == job]
    assert f"job {job}: failed, internal_error" in [line["message"] for line in about]
    assert any("trace" in line for line in about)
