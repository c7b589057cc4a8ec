"""The queue that a command looks at: the one of the settings, or the embedded one of a data folder of `serve`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from voxelsmith.data_folder import make_private
from voxelsmith.embedded_valkey import EmbeddedValkey
from voxelsmith.environment import Surroundings, store_url


@contextmanager
def visited(place: Surroundings, data: Path | None) -> Iterator[JobQueue]:
    """The queue, with the settings of the service there. `serve` may be running on the folder; if not, its Valkey is
    started for the time of the block.

    Raises: DataFolderError, QueueUnavailable.
    """
    settings = place.settings
    if data is None and "redis_url" in settings.model_fields_set:
        with _connected(settings) as queue:
            yield queue
        return
    folder = data or place.data
    make_private(folder)
    with EmbeddedValkey(folder / "queue").visited() as url:
        changes = {"redis_url": SecretStr(url), "store_url": store_url(folder), "ephemeral": False}
        with _connected(settings.model_copy(update=changes)) as queue:
            yield queue


@contextmanager
def _connected(settings: Settings) -> Iterator[JobQueue]:
    with connect(settings) as redis:
        yield JobQueue(redis, settings)
