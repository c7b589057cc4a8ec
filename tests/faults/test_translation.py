"""A worker is killed in the middle of a translation: the next one starts it again and makes the same bytes."""

import hashlib
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from jobs.settings import Settings
from model_store.catalogue import Catalogue
from tests.support.models.tiny_megan import write_megan
from tests.support.processes import eventually
from tests.support.ready import await_ready
from voxelsmith import Client
from voxelsmith.local import Stack
from workers.bench import Bench
from workers.run import run
from workers.writing.folder_sink import FolderSink

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]


def test_a_translation_whose_worker_is_killed_gives_the_same_bytes(tmp_path: Path) -> None:
    write_megan(tmp_path / "models", "painter", levels=2, lr_size=32, width=8)
    random = np.random.default_rng(0)
    scan = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(random.integers(0, 900, (72, 64, 68)).astype(np.int16), np.eye(4)), scan)
    asked = {"model": "painter", "grid": "cube", "output": {"format": "nii"}}
    bench = Bench(Catalogue([tmp_path / "models"]), threads=1)
    run("translate", asked, scan, bench, FolderSink(tmp_path / "alone"))
    wanted = hashlib.sha256((tmp_path / "alone" / "000.nii").read_bytes()).hexdigest()
    settings = Settings(models_url=str(tmp_path / "models"), port=0, threads=1, lease_s=5.0)
    with Stack(tmp_path / "data", settings) as stack, Client(stack.url) as client:
        await_ready(stack.url)
        job = client.translate(scan, model="painter", grid="cube", output={"format": "nii"})
        eventually(lambda: is_midway(client.fetch_record(job.id)), 60)
        os.kill(worker_pid(), signal.SIGKILL)
        job.wait(timeout_s=150)
        assert job.record["attempts"] == 2
        assert [entry["sha256"] for entry in job.results] == [wanted]
        assert job.record["progress"]["left_s"] is None


def worker_pid() -> int:
    """Of this process's own child that is a worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            is_child = f"\nPPid:\t{os.getpid()}\n" in (path / "status").read_text()
            found += [int(path.name)] if is_child and b"workers.main" in (path / "cmdline").read_bytes() else []
    assert len(found) == 1
    return found[0]


def is_midway(record: dict[str, Any]) -> bool:
    """At the finest scale, with a time that is left."""
    left = record["progress"]["left_s"]
    return record["stage"] == "scale 3/3" and record["progress"]["done"] > 4 and left is not None and left > 0
