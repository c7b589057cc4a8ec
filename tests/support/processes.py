"""Real processes for tests: a Valkey, supervised workers, and waiting for what they do."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from contract.state import JobRecord, JobState
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.sides import overview
from voxelsmith.queue_program import carried
from workers.supervisor import Supervisor

PLAY_WORKER = (sys.executable, "-m", "tests.support.play_worker")
"""A worker without torch whose jobs do what their payload says."""


class ValkeyProcess:
    """A Valkey on a Unix socket in a folder of its own, as the embedded one: log on, nothing evicted."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        arguments += ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        log = (self.folder / "valkey.log").open("ab")
        with log:
            command = [str(carried()[0]), *arguments, *self._options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        client = Redis(unix_socket_path=str(self.socket), retry=None)
        deadline = time.monotonic() + 60
        while True:
            try:
                client.ping()
                break
            except RedisConnectionError:
                assert time.monotonic() < deadline, "Valkey did not start"
                time.sleep(0.02)
        client.close()

    def stop(self) -> None:
        """SIGTERM, as an operator's restart begins."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """kill -9, as a power cut would be seen by its clients."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def supervised(settings: Settings, command: Sequence[str] = PLAY_WORKER, count: int = 1) -> Iterator[Supervisor]:
    """Worker processes under a supervisor in a thread of this process."""
    supervisor = Supervisor(settings, count, command)
    thread = threading.Thread(target=supervisor.run, name="supervisor")
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        thread.join()


def eventually(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """The condition's first true value; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def pid_of(queue: JobQueue) -> int:
    """Of the one worker that is alive."""
    workers = eventually(overview(queue).workers)
    return int(workers[0].about["pid"])


def is_frozen(pid: int) -> bool:
    """Whether a stop has reached all threads; a main thread that is traced also stops for a moment at each call."""
    others = [task for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)]
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in others]
    return bool(states) and set(states) == {"T"}


def running(queue: JobQueue, job: JobRecord) -> bool:
    return queue.get(job.id).state is JobState.RUNNING


def children(pid: int) -> list[int]:
    """Threads and processes that end meanwhile have none."""
    below = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                for child in map(int, (task / "children").read_text().split()):
                    below += [child, *children(child)]
    return below


def command_line(pid: int) -> str:
    """Empty where the process has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""
