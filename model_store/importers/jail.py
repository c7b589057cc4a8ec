"""Opens a stranger's file in a child process that can do little harm: bounded memory, time and file size, no network.

`run_jailed` is the parent's side. `main` is the child's: it takes leave of the network before anything heavy is loaded,
imports the reader, sets its limits and only then lets the reader touch the file.
"""

import ctypes
import importlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_store.faults import Refusal

logger = logging.getLogger(__name__)

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_FORBIDDEN_EVENTS = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pty.", "shutil.")
_TOO_MUCH = "Reading the file needs more memory, time or disk than an import may take; it is damaged or hostile."


class ImportRefused(Refusal):
    """A checkpoint that is not imported."""


@dataclass(frozen=True)
class Limits:
    """What the child may use, counted from the moment its libraries are loaded."""

    memory_bytes: int = 4 << 30
    """Address space on top of what the loaded libraries take. The optimizer's part of a file is mapped, never read."""
    file_bytes: int = 2 << 30
    cpu_s: int = 120
    wall_s: float = 300.0
    open_files: int = 64


def run_jailed(reader: str, request: dict[str, Any], limits: Limits = Limits()) -> dict[str, Any]:
    """Calls `read(request)` of the module `reader` in a jailed child and returns its JSON answer.

    Raises:
        ImportRefused: the reader refused the file, or the child ran into a limit or died.
    """
    order = json.dumps({"reader": reader, "request": request, "limits": asdict(limits)}).encode()
    root = str(Path(__file__).parents[2])
    environment = {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-P", "-s", "-c", f"from {__name__} import main; main()"]
    with subprocess.Popen(  # noqa: S603 -- our own interpreter and a constant program; the file's path travels as data
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        try:
            reply, complaint = child.communicate(order, timeout=limits.wall_s)
        except BaseException as err:
            child.kill()
            if isinstance(err, subprocess.TimeoutExpired):
                raise ImportRefused(_TOO_MUCH) from err
            raise
    if complaint:
        logger.debug("the import's child process said: %s", complaint[-4000:].decode(errors="replace"))
    return _answer(child.returncode, reply)


def _answer(returncode: int, reply: bytes) -> dict[str, Any]:
    if returncode in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGXFSZ):
        raise ImportRefused(_TOO_MUCH)
    if returncode != 0:
        raise ImportRefused("The file is damaged or is not a checkpoint: reading it failed.")
    answer: dict[str, Any] = json.loads(reply)
    if "refused" in answer:
        raise ImportRefused(answer["refused"])
    if not answer["offline"]:
        logger.info("the network namespace of the import could not be taken away; sockets are refused instead")
    result: dict[str, Any] = answer["result"]
    return result


def main() -> None:
    """The child's whole life: one order on standard input, one answer on standard output."""
    order = json.load(sys.stdin)
    limits = Limits(**order["limits"])
    offline = _leave_network()
    reader = importlib.import_module(order["reader"])
    _limit(limits)
    try:
        answer = {"result": reader.read(order["request"]), "offline": offline}
    except ImportRefused as refusal:
        answer = {"refused": refusal.detail}
    except (MemoryError, OSError):  # the reader words its own; what is left is a limit or a full disk
        answer = {"refused": _TOO_MUCH}
    json.dump(answer, sys.stdout)


def _leave_network() -> bool:
    """Dies with the parent, gains no privileges, and moves to an empty network. True if the network is really gone.

    Comes before torch is imported: without privileges only a process of one thread may leave its user namespace.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def _limit(limits: Limits) -> None:
    loaded = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for kind, most in (
        (resource.RLIMIT_AS, loaded + limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
    sys.addaudithook(_refuse_event)


def _refuse_event(event: str, _: object) -> None:
    """Second line behind the namespaces: no reader needs a socket or another process."""
    if event.startswith(_FORBIDDEN_EVENTS):
        raise ImportRefused("The file tried to run code; nothing of it was imported.")
