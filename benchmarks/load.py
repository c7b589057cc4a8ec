"""The command: `python -m benchmarks.load` (`make load`): `voxelsmith serve` with a tiny model under many clients.

First the load for some minutes, then a soak of many jobs. Prints a table and writes benchmarks/results/load-part.json;
with --record it is load.json, and the table goes into docs/reliability.md.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.children import PROC, descendants, environment
from benchmarks.load_client import Told, drive
from benchmarks.table import put_between
from benchmarks.weights.random_hagan import write_hagan
from voxelsmith import Client
from workers.device.devices import cores

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
MODEL = "load-tiny"
STEPS = ("submit", "poll", "first event", "download", "remove", "job")
SAMPLE_S = 1.0
SETTLED = 0.2
"""The part of a phase after which its processes have what they keep."""
Sizes = dict[str, tuple[int, int]]
"""Resident bytes and descriptors of each kind of process."""


def main() -> int:
    """0, or 1 where a client met an error."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="voxelsmith-load-") as folder, served(Path(folder)) as (url, pid):
        with Client(url) as client:
            client.generate(model=MODEL, seed=1).wait(timeout_s=300)
        phases = {
            "load": measure(url, pid, options.clients, options.minutes * 60, None),
            "soak": measure(url, pid, options.soak_clients, None, options.soak),
        }
    report: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": cores(),
        "load_average": round(os.getloadavg()[0], 2),
        **phases,
    }
    name = "load" if options.record else "load-part"
    (HERE / "results" / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    text = table(report)
    sys.stdout.write(text + "\n")
    if options.record:
        put_between(DOCS / "reliability.md", "load", text)
    return 1 if any(phase["errors"] for phase in phases.values()) else 0


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """Address and pid of a `voxelsmith serve` on a tiny model, with what it logs in `folder / log`."""
    write_hagan(folder / "models", MODEL, 32, 4, 8)
    words = ["--models", str(folder / "models"), "serve", "--data", str(folder / "data"), "--port", "0"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own program
            [sys.executable, "-P", "-m", "voxelsmith", *words, "--threads", "1"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**environment(), "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise RuntimeError((folder / "log").read_text())
            yield found.group(), process.pid
        finally:
            process.terminate()
            process.communicate()


def measure(url: str, pid: int, clients: int, seconds: float | None, jobs: int | None) -> dict[str, Any]:
    """One phase: what its clients saw, and what the service's processes held meanwhile."""
    sizes: list[Sizes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            sizes.append(sizes_of(pid))

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    told = asyncio.run(drive(url, MODEL, clients, seconds, jobs))
    took_s = time.monotonic() - began
    over.set()
    watching.join()
    return {"clients": clients, "seconds": round(took_s, 1), **summary(told, took_s), "held": growth(sizes)}


def summary(told: Told, took_s: float) -> dict[str, Any]:
    """Percentiles of each step, and counts."""
    steps = {}
    for step in STEPS:
        seconds = told.seconds.get(step, [])
        if len(seconds) > 1:
            cuts = statistics.quantiles(seconds, n=100, method="inclusive")
            steps[step] = {"count": len(seconds), "p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
    return {
        "jobs": told.jobs,
        "jobs_per_s": round(told.jobs / took_s, 2),
        "errors": dict(told.errors),
        "sent_back": told.sent_back,
        "downloaded_bytes": told.downloaded_bytes,
        "steps_s": steps,
    }


def sizes_of(pid: int) -> Sizes:
    """Of the service's process ("api"), of Valkey and of the workers together."""
    found: Sizes = {}
    for one in (pid, *descendants(pid)):
        try:
            name = (PROC / str(one) / "cmdline").read_text()
            resident = int((PROC / str(one) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            descriptors = len(list((PROC / str(one) / "fd").iterdir()))
        except OSError:  # it ended meanwhile
            continue
        kind = "api" if one == pid else "valkey" if "valkey" in name else "worker"
        before = found.get(kind, (0, 0))
        found[kind] = (before[0] + resident, before[1] + descriptors)
    return found


def growth(sizes: list[Sizes]) -> dict[str, dict[str, int]]:
    """Medians of each kind once it had settled and at the end."""
    first = sizes[int(len(sizes) * SETTLED) :][: max(1, len(sizes) // 10)]
    last = sizes[-max(1, len(sizes) // 10) :]
    return {
        kind: {
            f"{name}_{when}": int(statistics.median(sample[kind][place] for sample in part if kind in sample))
            for place, name in enumerate(("bytes", "descriptors"))
            for when, part in (("settled", first), ("end", last))
        }
        for kind in ("api", "worker", "valkey")
        if any(kind in sample for sample in first) and any(kind in sample for sample in last)
    }


def table(report: dict[str, Any]) -> str:
    """Markdown: what was asked, the percentiles, the growth."""
    lines = [f"{report['date']}, {report['cores']} cores shared by service and clients, load {report['load_average']}."]
    for name in ("load", "soak"):
        phase = report[name]
        errors = sum(phase["errors"].values())
        lines += [
            "",
            f"**{name}**: {phase['clients']} clients for {phase['seconds']:.0f} s, {phase['jobs']} jobs "
            f"({phase['jobs_per_s']} per second), {phase['downloaded_bytes'] / 1e6:.0f} MB fetched and hashed, "
            f"{errors} errors, {phase['sent_back']} times told to come back.",
            "",
            "| step | count | p50 | p95 | p99 |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {step} | {row['count']} | {_ms(row['p50'])} | {_ms(row['p95'])} | {_ms(row['p99'])} |"
            for step, row in phase["steps_s"].items()
        ]
        lines += [
            "",
            "| process | MB settled | MB at the end | descriptors settled | at the end |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {kind} | {row['bytes_settled'] / 1e6:.0f} | {row['bytes_end'] / 1e6:.0f} "
            f"| {row['descriptors_settled']} | {row['descriptors_end']} |"
            for kind, row in phase["held"].items()
        ]
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drives voxelsmith serve with many clients.")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the load [5]")
    parser.add_argument("--clients", type=int, default=200, help="of the load [200]")
    parser.add_argument("--soak", type=int, default=2000, metavar="JOBS", help="of the soak [2000]")
    parser.add_argument("--soak-clients", type=int, default=20, help="of the soak [20]")
    parser.add_argument("--record", action="store_true", help="put the table into docs/reliability.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
