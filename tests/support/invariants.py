"""The four invariants of docs/reliability.md, as one assertion that every test of a fault ends with."""

import contextlib
import gc
import os
import re
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from contract.state import JobRecord, JobState
from jobs.events import START
from jobs.queue import JobQueue
from jobs.results.store import ResultStore
from tests.support.processes import eventually
from tests.support.ready import is_alive
from tests.support.sides import overview, records, scripts, transport, upkeep
from workers.supervisor import remove_orphaned_scratch

MARK = "FAULT_TEST"
"""Every process that a test starts inherits it, whoever its parent is later. (A Valkey writes its title over it.)"""
_KIND = re.compile(r"\[?\d+\]?$")
"""What numbers the sockets and pipes."""


class Invariants:
    """Notes what there is before a fault; `hold` asserts what there must be after the recovery from it."""

    def __init__(self, temp: Path) -> None:
        """`temp`: the folder for temporary files of this process and of those that it starts."""
        self.mark = uuid.uuid4().hex
        self.temp = temp
        _warm_up(temp)
        self._descriptors = descriptors()

    def hold(self, queue: JobQueue, accepted: Iterable[str], *, timeout_s: float = 60.0) -> list[JobRecord]:
        """Call it when all that the test started has ended; the records of the ids that were answered with 202.

        What a start of the service clears away may still be there, and is cleared away first.
        """
        records = sound_records(queue, accepted)
        self.left_nothing(queue, timeout_s)
        return records

    def left_nothing(self, queue: JobQueue, timeout_s: float = 60.0) -> None:
        """The fourth: no process, temp file or open descriptor is left of what the test did."""
        eventually(lambda: not self._processes() or None, timeout_s)
        remove_orphaned_scratch()  # of processes that are gone, and so is the sweep
        upkeep(queue).sweep()
        assert sorted(self.temp.rglob("*")) == []
        store = Path(queue.settings.store_url.removeprefix("file://"))
        assert list(store.glob(".tmp/*")) == []
        assert queue.results.list("uploads") == []
        queue.redis.connection_pool.disconnect()
        deadline = time.monotonic() + timeout_s
        while new := descriptors() - self._descriptors:
            assert time.monotonic() < deadline, f"descriptors that were not there before: {dict(new)}"
            time.sleep(0.1)

    def _processes(self) -> list[int]:
        """Processes that the test started, directly or not, and that run; a fixture's server does not count."""
        mark = f"{MARK}={self.mark}".encode()
        return [pid for pid in marked(mark) if is_alive(pid) and pid != os.getpid() and not is_fixture(pid)]


def sound_records(queue: JobQueue, accepted: Iterable[str]) -> list[JobRecord]:
    """Asserts the first three: what the records say, and what the store has of them."""
    everything = all_records(queue)
    accepted = list(accepted)
    assert set(accepted) <= everything.keys(), "a job that was accepted is gone"
    for record in everything.values():
        _assert_final_once(queue, record)
        _assert_published_once(queue, record)
        crashes = int(queue.redis.hget(scripts(queue).key("job", record.id), "crashes") or 0)
        assert crashes <= queue.settings.max_crashes
    eventually(lambda: transport(queue).waiting() == {})
    assert overview(queue).depth() == (0, 0)
    return [everything[job_id] for job_id in accepted]


def _assert_final_once(queue: JobQueue, record: JobRecord) -> None:
    assert record.state.is_terminal, f"{record.id} is {record.state}"
    assert record.ended_at is not None
    assert (record.error is not None) == (record.state is JobState.FAILED)
    events = queue.events.read({record.id: START}, 0.01)[record.id]
    assert [event.data for event in events if event.type == "end"] == [{"state": record.state.value}]


def _assert_published_once(queue: JobQueue, record: JobRecord) -> None:
    files = [*record.results, *record.files]
    names = {file.name for file in files}
    assert len(names) == len(files)
    for file in files:
        key = queue.results.result_key(record.id, file.name, file.sha256)
        assert queue.results.size(key) == file.size_bytes
        assert queue.results.verify(key, file.sha256), f"{key} is not what was published"
    if record.state is JobState.SUCCEEDED:
        stored = {key.rpartition("/")[2] for key in queue.results.list(f"results/{record.id}")}
        assert stored - {"manifest.json"} == names


def all_records(queue: JobQueue) -> dict[str, JobRecord]:
    """Every record, whoever asked for it."""
    found: dict[str, JobRecord] = {}
    cursor = None
    while True:
        page = queue.list(limit=200, cursor=cursor)
        found |= {record.id: record for record in page.items}
        if (cursor := page.next_cursor) is None:
            return found


def recover(queue: JobQueue, accepted: Iterable[str], timeout_s: float = 90.0) -> None:
    """Does what reapers do, without their patience for messages that may still come, until every job has ended."""
    waiting = list(accepted)

    deadline = time.monotonic() + timeout_s
    while not all(record and record.state.is_terminal for record in records(queue).get_many(waiting)):
        assert time.monotonic() < deadline, "not every job has ended in time"
        upkeep(queue).reap(patience_s=0.5)
        time.sleep(0.1)


def descriptors() -> Counter[str]:
    """Of this process, by what they are; without those of objects that only wait for the garbage collector."""
    gc.collect()
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[_KIND.sub("", str(entry.readlink()))] += 1
    return found


def _warm_up(temp: Path) -> None:
    """What the storage layer opens on its first use, it keeps."""
    folder = temp / "store"
    store, path = ResultStore(f"file://{folder}"), temp / "file"
    path.write_bytes(b"x")
    store.write("results/j/a", path)
    assert b"".join(store.open("results/j/a")) == b"x"
    store.list("results")
    path.unlink()
    shutil.rmtree(folder)


def marked(mark: bytes) -> list[int]:
    """Processes with that entry in the environment that they were started with."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # gone, or another user's
            continue
    return found


def is_fixture(pid: int) -> bool:
    """A Valkey that this process started and will end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone, before or after the file was opened
        return True
    return "valkey" in stat.partition(")")[0] and int(stat.rpartition(")")[2].split()[1]) == os.getpid()


def wait_until_gone(pid: int, timeout_s: float = 60.0) -> None:
    """Fails the test where a process stays."""
    deadline = time.monotonic() + timeout_s
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)
