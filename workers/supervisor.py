"""The supervisor: one worker process per device, watched, restarted, taken along at its end. Never imports torch."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from pydantic import SecretStr, ValidationError

from contract.errors import VoxelsmithError
from jobs.connection import connect
from jobs.logs import configure
from jobs.reaper import Reaper
from jobs.results.durable_files import FOREIGN_AGE_S, here
from jobs.settings import Settings
from jobs.stop_wish import StopWish
from jobs.upkeep import Upkeep
from workers.device.devices import check_device, cores, devices

WORKER_COMMAND = (sys.executable, "-P", "-m", "workers.main")
"""-P: not what happens to lie in the folder that we were started in, were it named as one of our rooms."""
_EXIT_UNFIT = 78
"""As of workers.process: starting it again will not help."""
_START_LIMIT_S = 600.0
"""For importing torch, loading and warming up, before the first beat."""
_MAX_BACK_OFF_S = 30.0
_STABLE_S = 60.0
"""A worker that lived this long is restarted at once."""
_KILL_S = 5.0
"""A process in a system call that hangs, of a driver or a network file system, ends only with that."""
_SURROUNDINGS = {"GOMP_SPINCOUNT": "1000"}
"""Of a worker, where nobody says otherwise. torch's threads wait for one another by turning in a loop, 300,000 times,
on cores that other processes and the thread they wait for may need; after fewer turns they sleep (docs/performance.md,
"Beside other work")."""
_SITE = ("site-packages", "dist-packages")
"""Where installed packages lie: on the path of every Python anyway, and behind its own library."""
_TICK_S = 0.1
_SCRATCH_PREFIX = "voxelsmith-worker-"
log = logging.getLogger("voxelsmith.supervisor")


@dataclass
class Seat:
    """The place of one worker: the device it works on, and the process that sits there now."""

    settings: Settings
    process: subprocess.Popen[bytes] | None = None
    scratch: Path | None = None
    beat_fd: int = -1
    started: float = 0.0
    heard: float | None = None
    """When the last beat came; None before the first."""
    failures: int = 0
    due: float = 0.0
    """When to start the next process."""
    is_unfit: bool = False
    is_killed: bool = False
    is_hindered: bool = False
    """The system refused to start the last process."""


@dataclass
class Supervisor:
    """Runs until stop() or until no worker can work. run() and its thread must live as long as the workers:
    Linux ends a worker when the thread that started it ends."""

    settings: Settings
    count: int = 1
    """Workers per device (only the CPU takes more than one)."""
    command: Sequence[str] = WORKER_COMMAND
    seats: list[Seat] = field(default_factory=list)
    _stopping: StopWish = field(default_factory=StopWish)

    def __post_init__(self) -> None:
        for device in devices(self.settings.device):
            update: dict[str, object] = {"device": device}
            if not self.settings.threads and (self.count > 1 or cores() < (os.cpu_count() or 1)):
                update["threads"] = max(1, cores() // self.count)
            self.seats += [Seat(self.settings.model_copy(update=update)) for _ in range(self.count)]

    def stop(self) -> None:
        """Asks run() to let the workers finish or hand back, and return. Safe from any thread or signal handler."""
        self._stopping.set()

    def kill(self) -> None:
        """Ends the workers at once, after stop(): for an end that does not wait for the sample in hand."""
        for seat in self.seats:
            process = seat.process
            if process is not None:
                _kill(process)

    def run(self) -> int:
        """Supervises; the exit code: 0 when stopped, 1 when no worker can work."""
        remove_orphaned_scratch()
        if self.settings.device == "all" and {seat.settings.device for seat in self.seats} == {"cpu"}:
            log.warning("no driver lists a GPU here: working on the CPU")
        redis = connect(self.settings)
        reaper = Reaper(Upkeep(redis, self.settings))
        reaper.start()
        try:
            while not self._stopping.wait(_TICK_S):
                for seat in self.seats:
                    self._look_after(seat, time.monotonic())
                if all(seat.is_unfit for seat in self.seats):
                    return 1
            return 0
        finally:
            self._end_all()
            reaper.stop()
            redis.close()  # RQ remembers every client that ever queued something, for the life of the process

    def _look_after(self, seat: Seat, now: float) -> None:
        if seat.is_unfit:
            return
        if seat.process is None:
            if now >= seat.due:
                self._start(seat, now)
            return
        if _drain(seat.beat_fd):
            seat.heard = now
        code = seat.process.poll()
        if code is not None:
            self._bury(seat, code, now)
        elif not seat.is_killed and now - (seat.heard or seat.started + _START_LIMIT_S) > self.settings.lease_s:
            log.error("worker %d on %s is silent: killing it", seat.process.pid, seat.settings.device)
            seat.process.kill()
            seat.is_killed = True

    def _start(self, seat: Seat, now: float) -> None:
        try:
            process = self._open(seat)
        except OSError as err:
            _clear(seat)
            seat.failures += 1
            back_off_s = _put_off(seat, now)
            if not seat.is_hindered:
                told = "no worker can be started on %s: %s; trying again in %g s, and then at least every %g s"
                log.error(told, seat.settings.device, err.strerror, back_off_s, _MAX_BACK_OFF_S)
            seat.is_hindered = True
            return
        seat.started, seat.heard, seat.is_killed, seat.is_hindered = now, None, False, False
        assert process.stdin is not None
        try:
            # The pipe stays open: its end tells the worker that we are gone.
            process.stdin.write(settings_line(seat.settings))
            process.stdin.flush()
        except BrokenPipeError:
            log.warning("worker %d ended at once", process.pid)

    def _open(self, seat: Seat) -> "subprocess.Popen[bytes]":
        """The seat's next process. Raises: OSError where the system has no room for one more or for its files."""
        seat.scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH_PREFIX}{here()}.{os.getpid()}."))
        seat.beat_fd, theirs = os.pipe()
        try:
            os.set_blocking(seat.beat_fd, False)
            command = [*self.command, "--supervised", str(theirs), "--scratch", str(seat.scratch)]
            # In a group of its own: a terminal's Ctrl-C is ours, and would meet a worker that is still importing.
            seat.process = subprocess.Popen(  # noqa: S603 -- our own
                command, stdin=subprocess.PIPE, pass_fds=[theirs], env=_surroundings(), process_group=0
            )
        finally:
            os.close(theirs)
        return seat.process

    def _bury(self, seat: Seat, code: int, now: float) -> None:
        assert seat.process is not None
        pid = seat.process.pid
        seat.failures = 0 if now - seat.started > _STABLE_S else seat.failures + 1
        back_off_s, seat.is_unfit = _put_off(seat, now), code == _EXIT_UNFIT
        _clear(seat)
        following = "it cannot work here" if seat.is_unfit else f"starting another in {back_off_s:g} s"
        log.warning("worker %d on %s ended with %d: %s", pid, seat.settings.device, code, following)

    def _end_all(self) -> None:
        """SIGTERM to all, the grace time for all together, then SIGKILL."""
        living = [seat for seat in self.seats if seat.process is not None]
        for seat in living:
            assert seat.process is not None
            seat.process.terminate()
        deadline = time.monotonic() + self.settings.shutdown_grace_s + 5.0
        for seat in living:
            assert seat.process is not None
            try:
                seat.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("worker %d did not stop: killing it", seat.process.pid)
                _kill(seat.process)
            _clear(seat)


def _surroundings() -> dict[str, str]:
    """The environment of a worker. Rooms in a folder of their own, a checkout that is not installed, it finds there."""
    surroundings, root = {**_SURROUNDINGS, **os.environ}, Path(__file__).parents[1]
    if root.name not in _SITE:
        surroundings["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    return surroundings


def settings_line(settings: Settings) -> bytes:
    """All settings as one line of JSON, secrets included: for a worker's standard input alone."""
    values = settings.model_dump(mode="json")
    for name, value in settings:
        if isinstance(value, SecretStr):
            values[name] = value.get_secret_value()
    return json.dumps(values).encode() + b"\n"


def remove_orphaned_scratch() -> None:
    """Temporary files of workers whose supervisor was killed before it could remove them.

    A number means a process only where it was given, and containers may share the folder: what comes from elsewhere is
    left alone for as long as it may be in use.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH_PREFIX}*"):
        place, pid, _ = ("", "", *folder.name.removeprefix(_SCRATCH_PREFIX).rsplit(".", 2))[-3:]
        is_ours = place == here() and pid.isdecimal()
        with suppress(FileNotFoundError):
            if (is_ours and not _is_alive(int(pid))) or time.time() - folder.stat().st_mtime > FOREIGN_AGE_S:
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _drain(descriptor: int) -> bool:
    """Whether a beat came."""
    try:
        return bool(os.read(descriptor, 4096))
    except BlockingIOError:
        return False


def _put_off(seat: Seat, now: float) -> float:
    """Seconds until the seat's next process is due, more after each failure."""
    back_off_s = min(_MAX_BACK_OFF_S, 0.25 * 2 ** min(seat.failures - 1, 10)) if seat.failures else 0.0
    seat.due = now + back_off_s
    return back_off_s


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    try:
        process.wait(_KILL_S)
    except subprocess.TimeoutExpired:
        log.error("worker %d cannot be killed: leaving it", process.pid)


def _clear(seat: Seat) -> None:
    """Takes away whatever there is of the seat's process."""
    if seat.process is not None and seat.process.stdin is not None:
        seat.process.stdin.close()
    if seat.beat_fd >= 0:
        os.close(seat.beat_fd)
    if seat.scratch is not None:
        shutil.rmtree(seat.scratch, ignore_errors=True)
    seat.process, seat.scratch, seat.beat_fd = None, None, -1


def main() -> int:
    """The `worker` role: supervises the device or devices of the settings until SIGTERM or Ctrl-C."""
    try:
        settings = Settings()
    except ValidationError as err:
        configure("text")
        fields = ", ".join(f"VOXELSMITH_{problem['loc'][0]}".upper() for problem in err.errors())
        log.error("these settings are not valid: %s", fields)
        return 2
    configure(settings.log_format)
    try:
        check_device(settings.device, settings.precision)
    except ValueError as err:
        log.error("these settings are not valid: %s", err)
        return 2
    supervisor = Supervisor(settings)

    def stop(_signum: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        return supervisor.run()
    except VoxelsmithError as err:
        log.error("the supervisor cannot run: %s", err.detail)
        return 1


if __name__ == "__main__":
    sys.exit(main())
