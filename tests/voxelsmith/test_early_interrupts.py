"""A Ctrl-C while libraries load ends the program without a traceback, and meets no worker."""

import os
import subprocess
import sys

import pytest

from contract.state import JobState
from jobs.queue import JobQueue
from tests.support.invariants import sound_records
from tests.support.processes import pid_of

PROGRAM = (
    "import os, signal, sys; sys.argv[:1] = [{name!r}]; import voxelsmith; "
    "print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL); "
    "from voxelsmith.cli import app; app(['--version'], standalone_mode=False); "
    "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
)


@pytest.mark.parametrize(("name", "while_loading"), [("/usr/bin/voxelsmith", "True"), ("/a/script.py", "False")])
def test_only_the_program_ends_at_once_while_it_loads(name: str, while_loading: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(name=name)], capture_output=True, text=True, check=True)
    first, _, last = done.stdout.splitlines()
    assert (first, last) == (while_loading, "True")


def test_a_worker_is_in_a_group_of_its_own(queue: JobQueue, play: object, submit: object) -> None:
    with play():  # type: ignore[operator]
        job = submit({"acts": ["sleep:1", "keep:000.nii.gz"]})  # type: ignore[operator]
        assert os.getpgid(pid_of(queue)) != os.getpgid(0)
        assert queue.wait(job.id, 60).state is JobState.SUCCEEDED
    sound_records(queue, [job.id])
