"""strace on a thread of a running process: kills, stops or fails it at the Nth call of a kind."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs.queue import JobQueue
from tests.support.processes import eventually
from tests.support.sides import overview

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@contextmanager
def injected(thread: int, call: str, what: str, when: int | str = 1) -> Iterator[subprocess.Popen[str]]:
    """For the time of the block a thread's `when`th `call` from now on meets `what`: signal=SIGKILL, error=EIO, ...

    The main thread of a process has its pid. Yields strace, which ends with the thread. A kill takes the whole process,
    at the entry of the call, which then never happens. Reading and waiting change nothing outside a process, so that
    the calls that do are all the points to be killed at.
    """
    options = ["-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}", "-o", "/dev/null"]
    tracer = subprocess.Popen(["strace", *options, "-p", str(thread)], stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        if "not permitted" in line:
            pytest.skip("strace may not attach to a process here")
        assert "attached" in line, line
        yield tracer
    finally:
        tracer.terminate()
        try:
            tracer.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.communicate()


def await_idle(queue: JobQueue) -> str:
    """The name of the one worker, once it waits for a job."""
    (worker,) = eventually(overview(queue).workers)
    eventually(lambda: is_idle(queue, worker.name))
    return worker.name


def is_idle(queue: JobQueue, worker: str) -> bool:
    return bool(queue.redis.hget(f"rq:worker:{worker}", "state") == b"idle")
