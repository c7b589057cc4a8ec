"""Measuring processes: one started per measurement, and what the system says of processes' memory and load."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

PROC = Path("/proc")


class ChildFailed(Exception):  # noqa: N818 -- what happened
    """A measuring process ended without a reply; the message says which and its last words."""


def ask(module: str, question: Mapping[str, Any]) -> Any:
    """The reply of `python -m <module>` to a question, both JSON. Raises: ChildFailed."""
    command = [sys.executable, "-P", "-m", module, json.dumps(question)]
    done = subprocess.run(  # noqa: S603 -- our own modules
        command, capture_output=True, text=True, check=False, env=environment()
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ChildFailed(f"{module} ended with {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    """Of a process that finds these very benchmarks, which are not installed."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def answer(measure: Callable[..., Any]) -> None:
    """The other end of `ask`: the question of the command line as keywords, the reply to standard output."""
    sys.stdout.write(json.dumps(measure(**json.loads(sys.argv[1]))) + "\n")


def peak_bytes(pid: int | str = "self") -> int | None:
    """Resident memory of a process at its height; None where the system does not say of another one."""
    try:
        status = (PROC / str(pid) / "status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        if pid != "self":
            return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def worker_peak_bytes(ancestor: int) -> int | None:
    """The largest `peak_bytes` among the descendants of a process: in a stack, its worker's."""
    peaks = [peak for pid in descendants(ancestor) if (peak := peak_bytes(pid)) is not None]
    return max(peaks, default=None)


def descendants(ancestor: int) -> dict[int, float]:
    """Process ids below `ancestor` with the CPU seconds that they and their ended children took; {} without /proc."""
    parents, spent_s = {}, {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it ended meanwhile
            continue
        pid = int(path.parent.name)
        parents[pid], spent_s[pid] = int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    found, before = {ancestor}, 0
    while len(found) > before:
        before = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return {pid: spent_s[pid] for pid in found - {ancestor}}


class Bystanders:
    """How many cores processes that are not ours keep busy while the block runs: `cores`, None where unknown."""

    def __enter__(self) -> Self:
        self._began = (time.monotonic(), _busy_s(), _own_s())
        self.cores: float | None = None
        return self

    def __exit__(self, *_: object) -> None:
        began_s, busy_s, own_s = self._began
        now = _busy_s()
        if busy_s is not None and now is not None:
            others_s = (now - busy_s) - (_own_s() - own_s)
            self.cores = round(max(0.0, others_s / max(time.monotonic() - began_s, 1e-3)), 2)


def _busy_s() -> float | None:
    """Seconds that all cores together have been busy since the machine started."""
    try:
        fields = (PROC / "stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, hard, soft, *_ = map(int, fields)
    return (user + nice + system + hard + soft) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """CPU seconds of this process and of all that it started, running or ended."""
    spent = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent) + sum(descendants(os.getpid()).values())
