"""A worker process whose jobs do what their payload's `acts` say, with all the machinery around them being real.

Each act is one word: step, keep:NAME, sleep:S, kill, freeze (stop until SIGCONT), hang (in C, deaf to Python), raise,
lost (the device), litter (a temp file left behind), mark (leaves a file in `marks` that names the process),
await:NAME (until there is a file of that name in `marks`), once:ACT (not if done before; leaves a file in `marks`).
"""

import ctypes
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from contract.state import JobKind, Manifest, ResultFile
from jobs.settings import Settings
from workers.process import run_worker
from workers.tasks import DeviceLost
from workers.writing.queue_sink import QueueSink


class PlayWork:
    """Acts instead of inference; no torch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[str, int] = {}

    def about(self) -> dict[str, Any]:
        return {"models": self._models}

    def __call__(
        self, _kind: JobKind, payload: dict[str, Any], scan: Path | None, sink: QueueSink, _mask: Path | None = None
    ) -> Manifest:
        acts = payload["acts"]
        self._models = {payload.get("model", ""): 1}  # as if there were room for one
        if scan is not None:
            acts = [f"keep:{scan.read_text()}", *acts]
        for index, act in enumerate(acts):
            sink.stage("forward", index, len(acts))
            _play(act, index, payload, sink)
        made = sink.manifest()
        return made.model_copy(update={"metrics": {"pid": os.getpid()}, "timings_s": {"forward": 0.5}})


def _play(act: str, index: int, payload: dict[str, Any], sink: QueueSink) -> None:
    word, _, value = act.partition(":")
    if word == "once":
        mark = Path(payload["marks"]) / str(index)
        if mark.exists():
            return
        mark.touch()
        _play(value, index, payload, sink)
    elif word == "keep":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / value
            path.write_text(f"bytes of {value}")
            sink.keep(path, result(value, index))
    elif word == "sleep":
        time.sleep(float(value))
    elif word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif word == "hang":
        _hang()
    elif word == "raise":
        raise RuntimeError("a secret path /home/someone")
    elif word == "lost":
        raise DeviceLost
    elif word == "mark":
        with (Path(payload["marks"]) / str(index)).open("a") as file:
            file.write(f"{os.getpid()}\n")
    elif word == "await":
        while not (Path(payload["marks"]) / value).exists():
            time.sleep(0.02)
    elif word == "litter":
        tempfile.mkstemp()


def result(name: str, index: int) -> ResultFile:
    """An entry as the work makes it, before the sink has stored it."""
    media_type = "application/gzip"
    return ResultFile(name=name, index=index, media_type=media_type, size_bytes=0, sha256="", shape=[2, 3, 4])


def _hang() -> None:
    """Locks one mutex twice: no signal handler and no exception of Python's gets through."""
    libc = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


if __name__ == "__main__":
    # Tests attach strace to it; a kernel with Yama lets only an ancestor do so unless it is asked.
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
    sys.exit(run_worker(PlayWork, sys.argv[1:]))
