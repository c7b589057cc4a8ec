"""Voxelsmith: the inference server for 3D medical-image GANs."""

import signal
import sys
from typing import Any

_IS_PROGRAM = sys.argv[:1] == ["-m"] or "".join(sys.argv[:1]).rpartition("/")[2] == "voxelsmith"
if _IS_PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # The program's libraries take a second to load, in which a Ctrl-C ends it as it does any program, without a
    # traceback; from then on it is the command line's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m voxelsmith` puts the folder it is started in before all others, and a `jobs.py` or `redis.py` of the
    # user's there in the place of ours. Whatever is needed from there stays at the end, where it hides nothing.
    sys.path[:] = [*sys.path[1:], *({path.rpartition("/")[0] for path in __path__} - {*sys.path[1:]})]

from voxelsmith import extras  # noqa: E402
from voxelsmith.client import AsyncClient, Client  # noqa: E402
from voxelsmith.job import AsyncJob, Job  # noqa: E402

__all__ = ["AsyncClient", "AsyncJob", "Client", "Job"]


def __getattr__(name: str) -> Any:
    """VolumeDataset, which needs torch. Raises: MissingExtraError without it."""
    if name == "VolumeDataset":
        return extras.load("training.volume_dataset", "worker").VolumeDataset
    raise AttributeError(name)
