"""What a worker runs, by reference: the queue keeps records in memory, and a fit may stand for megabytes of latents."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from contract.errors import VoxelsmithError
from jobs.queue import JobQueue
from service.admission.uploads import forget_unknown

INLINE_BYTES = 16 * 2**10
"""A payload of more is a file in the store, which goes with the job's uploads when the job has ended."""


class Kept(NamedTuple):
    """What goes into the queue, and what it takes in the store."""

    payload: dict[str, Any]
    size_bytes: int


@contextmanager
def kept(payload: dict[str, Any], job_id: str, queue: JobQueue) -> Iterator[Kept]:
    """Raises: StoreFull, StoreUnavailable; what the block raises, and nothing is left behind of a job that is not."""
    body = json.dumps(payload, allow_nan=False).encode()
    if len(body) <= INLINE_BYTES:
        yield Kept(payload, 0)
        return
    key = f"uploads/{job_id}/payload.json"
    with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
        path = Path(folder) / "payload.json"
        path.write_bytes(body)
        queue.results.write(key, path)
    try:
        stored = {"key": key, "sha256": hashlib.sha256(body).hexdigest()}
        yield Kept({"model": payload.get("model"), "stored": stored}, len(body))
    except VoxelsmithError:
        forget_unknown(job_id, queue)
        raise
