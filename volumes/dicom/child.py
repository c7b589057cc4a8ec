"""The life of the child process that reads a DICOM series: little memory and time, no network, no other process.

Its order comes as JSON on standard input, its answer leaves on standard output, and the volume in a file that was open
before. What else it would say is not listened to: headers hold names.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from volumes.dicom.conversion import read_series, write_nifti
from volumes.dicom.jail import TOO_MUCH
from volumes.dicom.members import Bounds
from volumes.volume import VolumeError

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_FORBIDDEN_EVENTS = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pty.", "shutil.")


def main() -> None:
    """One order, one answer."""
    order: dict[str, Any] = json.load(sys.stdin)
    _leave_network()
    _limit(order["memory_bytes"], order["cpu_s"], order["file_bytes"])
    try:
        _convert(order)
        answer: dict[str, str] = {}
    except VolumeError as refusal:
        answer = {"refused": refusal.detail}
    except (MemoryError, OSError):
        answer = {"refused": TOO_MUCH}
    json.dump(answer, sys.stdout)


def _convert(order: dict[str, Any]) -> None:
    bounds = Bounds(**order["bounds"])
    with os.fdopen(order["target"], "wb") as target:
        if order["folder"] is not None:
            volume = read_series(Path(order["folder"]), bounds, order["series"])
        else:
            with os.fdopen(order["source"], "rb") as source:
                source.seek(0)
                volume = read_series(source, bounds, order["series"])
        write_nifti(volume, target, order["is_packed"])


def _leave_network() -> None:
    """Dies with the parent, gains no privileges, and moves to an empty network where the kernel lets it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _limit(memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    loaded = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for kind, most in (
        (resource.RLIMIT_AS, loaded + memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
    sys.addaudithook(_refuse_event)


def _refuse_event(event: str, _: object) -> None:
    """Second line behind the namespaces: no series needs a socket or another process."""
    if event.startswith(_FORBIDDEN_EVENTS):
        raise VolumeError(TOO_MUCH)
