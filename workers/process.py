"""The worker process without its device: settings, scratch folder, ties to the supervisor, the loop. No torch here."""

import argparse
import ctypes
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from contract.errors import GpuOutOfMemory, OutOfMemory, StoreFull, StoreUnavailable, VoxelsmithError
from jobs.connection import check_server, connect
from jobs.deliveries import Deliveries
from jobs.logs import configure
from jobs.overview import Overview
from jobs.settings import Settings
from jobs.transport import TASK
from workers.heartbeat import Pulse
from workers.loop import DEQUEUE_S, DeviceWorker, job_class
from workers.tasks import Tasks, Work

EXIT_NOT_YET = 75
"""The queue, a store or the bucket of models does not answer, or memory is short: worth another try later."""
EXIT_UNFIT = 78
"""This worker cannot work (device, models, the queue's settings): starting it again will not help."""
_PASSING = (GpuOutOfMemory, OutOfMemory, StoreFull, StoreUnavailable)
"""Of contract.errors, what may have passed at a later start."""
_PR_SET_PDEATHSIG = 1
log = logging.getLogger("voxelsmith.worker")


class UnfitWorker(Exception):  # noqa: N818 -- an outcome: the reason why this process cannot take jobs
    """The message is one clear line for the operator."""


class NotYet(Exception):  # noqa: N818 -- an outcome: as UnfitWorker, but a later start may go well
    """The message is one clear line for the operator."""


def run_worker(make_work: Callable[[Settings], Work], arguments: Sequence[str]) -> int:
    """The life of a worker process; its exit code.

    On its own it reads its settings from the environment. Under a supervisor (`--supervised FD`) it reads them from
    the first line of standard input, which then stays open for as long as the supervisor lives.
    """
    parser = argparse.ArgumentParser(description="A Voxelsmith worker: runs jobs on one device.")
    parser.add_argument(
        "--supervised", type=int, metavar="FD", help="tell the supervisor on this descriptor of each beat"
    )
    parser.add_argument("--scratch", type=Path, help="folder for temporary files; the supervisor's to remove")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if options.supervised is None:
        with tempfile.TemporaryDirectory(prefix="voxelsmith-") as scratch:
            return _serve(Settings(), make_work, Path(scratch), _beat_to_nobody, _follow_nobody)
    _die_with_parent()
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    return _serve(settings, make_work, options.scratch, _beat_to(options.supervised), _follow_parent)


def _serve(
    settings: Settings,
    make_work: Callable[[Settings], Work],
    scratch: Path,
    beat: Callable[[], None],
    follow: Callable[[Pulse], None],
) -> int:
    configure(settings.log_format)
    tempfile.tempdir = str(scratch)  # whatever any library leaves there goes with the process
    try:
        deliveries = Deliveries(connect(settings), settings)
        if not Overview(deliveries.redis, settings).ping():
            log.error("the queue does not answer")
            return EXIT_NOT_YET
        check_server(deliveries.redis, settings)
        work = make_work(settings)
    except (NotYet, *_PASSING) as err:
        log.error("the worker cannot start yet: %s", err)
        return EXIT_NOT_YET
    except (VoxelsmithError, UnfitWorker) as err:
        log.error("the worker cannot start: %s", err)
        return EXIT_UNFIT
    name = f"{settings.queue_prefix}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    # A client of its own that gives up quickly: a beat must not wait for another beat.
    hasty = connect(settings, retries=0, timeout_s=max(0.5, settings.lease_s / 3))
    pulse = Pulse(Deliveries(hasty, settings), name, beat)
    pulse.about = {"device": settings.device, "pid": os.getpid(), "host": socket.gethostname()} | work.about()
    log.info("ready on %s", settings.device)

    def leave(_signum: int, _frame: FrameType | None) -> None:
        """Until the loop has its own handlers there is nothing to hand back."""
        pulse.request_stop()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        pulse.start()
        follow(pulse)
        _loop(settings, Tasks(deliveries, pulse, work, name), pulse, name)
    except RedisError:
        log.error("the queue went away")
    finally:
        pulse.stop()
    return 0 if pulse.is_stopping else EXIT_NOT_YET


def _loop(settings: Settings, tasks: Tasks, pulse: Pulse, name: str) -> None:
    """RQ changes the timeouts of the client it is given, so that it has one of its own."""
    patient = connect(settings, timeout_s=DEQUEUE_S + 10)
    queue = Queue(settings.queue_prefix, connection=patient, serializer=JSONSerializer)
    DeviceWorker(queue, pulse, name, job_class({TASK: tasks.run})).work(logging_level="WARNING")


def _die_with_parent() -> None:
    """Linux ends this process with its supervisor, even if it hangs in C; elsewhere `_follow_parent` has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _follow_parent(pulse: Pulse) -> None:
    """Standard input ends when the supervisor does, however it ended."""

    def wait() -> None:
        # Not through sys.stdin: a thread that waits inside its buffer would break the interpreter's own exit.
        while os.read(0, 4096):
            continue
        log.error("the supervisor is gone")
        pulse.abandon(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _follow_nobody(_pulse: Pulse) -> None:
    """A worker on its own."""


def _beat_to_nobody() -> None:
    """A worker on its own."""


def _beat_to(descriptor: int) -> Callable[[], None]:
    os.set_blocking(descriptor, False)

    def beat() -> None:
        try:
            os.write(descriptor, b".")
        except (BlockingIOError, BrokenPipeError):  # the supervisor is busy, or gone and about to take us along
            return

    return beat
