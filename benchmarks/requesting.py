"""The client's side of a request: POST /generate until the last byte is here, against a service of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import Bystanders, ChildFailed, environment, worker_peak_bytes
from benchmarks.results import Plan, Request
from voxelsmith import Client
from voxelsmith.problems import ServiceUnavailable

START_S = 300.0
HOLD_S = 60
"""Longest that the service holds an answer (Prefer: wait)."""
NO_STAGE = frozenset({"queued", "total"})
Answer = tuple[float, dict[str, float], int]
"""Seconds from the POST to the last volume's last byte, its stages, and the volumes' bytes."""


def request(
    plan: Plan, scratch: Path, models: Path, model: str, size: int, precision: str, rounds: Mapping[int, int]
) -> list[Request]:
    """One Request per num_samples of `rounds`, which says how often each is asked for; one job at a time.

    Once each in ascending order, since the worker's peak only grows; then in turn, so that a machine that is faster at
    one time than at another is so for all of them.

    Raises: ChildFailed; voxelsmith.problems.
    """
    data = scratch / f"data-{model}-{precision}"
    with served(data, models / model, plan.device, precision, plan.threads) as (url, pid), Client(url) as client:
        _await(client)
        first_s = _once(client, model, 1)[0]
        answers: dict[int, list[Answer]] = {count: [] for count in sorted(rounds)}
        peaks: dict[int, int | None] = {}
        with Bystanders() as bystanders:
            for turn in range(max(rounds.values())):
                for count, told in answers.items():
                    if turn < rounds[count]:
                        told.append(_once(client, model, count))
                    if not turn:
                        peaks[count] = worker_peak_bytes(pid)
    return [
        Request(
            model,
            size,
            precision,
            count,
            first_s,
            seconds=[whole_s for whole_s, _, _ in told],
            stages=[stages for _, stages, _ in told],
            size_bytes=told[-1][2],
            worker_peak_bytes=peaks[count],
            other_cores=bystanders.cores,
        )
        for count, told in answers.items()
    ]


@contextmanager
def served(data: Path, models: Path, device: str, precision: str, threads: int) -> Iterator[tuple[str, int]]:
    """Address and process id of a process that serves (serving.py), for the time of the block. Raises: ChildFailed."""
    question = {"data": str(data), "models": str(models), "device": device, "precision": precision, "threads": threads}
    command = [sys.executable, "-P", "-m", "benchmarks.serving", json.dumps(question)]
    log = data.with_suffix(".log")
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment()
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        first = process.stdout.readline()
        if not first:
            process.wait()
            raise ChildFailed(f"the service did not start: {(log.read_text().splitlines() or ['no word'])[-1]}")
        try:
            yield json.loads(first)["url"], process.pid
        finally:
            process.stdin.close()


def _await(client: Client) -> None:
    """Until a worker is ready. Raises: ChildFailed."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            client.ready()
            return
        except ServiceUnavailable:
            time.sleep(0.05)
    raise ChildFailed(f"the service had no worker within {START_S:g} s")


def _once(client: Client, model: str, count: int) -> Answer:
    begun = time.perf_counter()
    job = client.generate(model=model, num_samples=count, seed=1, wait_s=HOLD_S).wait()
    answered = time.perf_counter()
    size_bytes = sum(len(client.read(str(entry["url"]), entry["sha256"])) for entry in job.results)
    done = time.perf_counter()
    timings: dict[str, float] = job.record["timings_s"]
    stages = {name: spent for name, spent in timings.items() if name not in NO_STAGE}
    stages["other"] = max(0.0, timings["total"] - sum(stages.values()))
    http_s = answered - begun - sum(stages.values())
    job.remove()
    return done - begun, stages | {"http": http_s, "download": done - answered}, size_bytes
