"""Voxelsmith: the inference server for 3D medical-image GANs."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m voxelsmith` puts the folder it is started in before all others, and a `jobs.py` or `redis.py` of the
    # user's there in the place of ours. Whatever is needed from there stays at the end, where it hides nothing.
    sys.path[:] = [*sys.path[1:], *({path.rpartition("/")[0] for path in __path__} - {*sys.path[1:]})]

from voxelsmith.client import Client
from voxelsmith.job import Job

__all__ = ["Client", "Job"]
