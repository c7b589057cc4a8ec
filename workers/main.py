"""The worker process: device, models, warm-up, then jobs. Started by the supervisor, or on its own."""

import logging
import socket
import sys
from pathlib import Path
from typing import Any

import torch

from contract.errors import GpuOutOfMemory, ModelBroken
from contract.state import JobKind, Manifest
from jobs.results.bucket import Bucket
from jobs.results.directions import FittedDirections
from jobs.results.store import ResultStore
from jobs.settings import Settings, is_bucket
from model_store.bucket import BucketShelf
from model_store.cache import FileCache
from model_store.catalogue import SHIPPED, Catalogue
from volumes.grids.grid import use_threads
from volumes.reader_limits import Limits
from workers.bench import Bench
from workers.device.allocator import keep_freed_memory
from workers.device.memory import measured_peak_bytes, memory_of
from workers.device.precision import warnings_of
from workers.process import NotYet, UnfitWorker, run_worker
from workers.run import run
from workers.tasks import DeviceLost
from workers.writing.queue_sink import QueueSink

_FETCH_PATIENCE_S = 60.0
log = logging.getLogger("voxelsmith.worker")


class DeviceWork:
    """Jobs on one device with resident models."""

    def __init__(self, settings: Settings) -> None:
        """Opens the device and warms up.

        Raises: UnfitWorker; NotYet, GpuOutOfMemory, OutOfMemory, StoreUnavailable where a later start may go well.
        """
        self._lock = _take_device(settings.device)
        try:
            self._bench = bench_of(settings, catalogue_of(settings))
            self._warm_up()
        except (ValueError, RuntimeError) as err:
            # CUDA's own error where not even its context has room.
            outcome = NotYet if "out of memory" in str(err) else UnfitWorker
            raise outcome(f"{settings.device}: {err}") from err
        except MemoryError as err:
            raise NotYet("there is too little memory") from err
        self._limits = Limits(max_voxels=settings.max_voxels, max_bytes=settings.max_upload_bytes)
        self._directions = FittedDirections(ResultStore(settings.store_url))

    def __call__(
        self, kind: JobKind, payload: dict[str, Any], scan: Path | None, sink: QueueSink, mask: Path | None = None
    ) -> Manifest:
        """Raises: VoxelsmithError, DeviceLost, and what the sink raises."""

        def publish(direction: dict[str, Any]) -> None:
            self._directions.put(payload["model"], direction, payload.get("owner") or "")

        try:
            return run(kind, payload, scan, self._bench, sink, self._limits, publish, mask)
        except torch.OutOfMemoryError as err:
            self._bench.release()
            raise GpuOutOfMemory("The device has too little memory for this job.") from err
        except torch.AcceleratorError as err:
            raise DeviceLost from err

    def about(self) -> dict[str, Any]:
        """Resident models with their bytes, how often weights were read, what could not be loaded, memory."""
        bench = self._bench
        return {
            "models": bench.resident(),
            "model_loads": bench.loads,
            "faults": dict(bench.faults),
            "peak_bytes": measured_peak_bytes(bench.device),
            "memory": memory_of(bench.device, bench.limit_bytes),
        }

    def _warm_up(self) -> None:
        """The first model that works: later ones load on demand, and a broken one stops nobody.

        Only CUDA has a context and kernels to make ready; on the CPU a volume rendered for nothing takes seconds.
        """
        for card in self._bench.catalogue.cards():
            try:
                if self._bench.device.type == "cuda":
                    self._bench.warm_up(card.name)
                else:
                    self._bench.generator(card.name)
            except ModelBroken as err:
                log.warning("model %s: %s", card.name, err.detail)
            else:
                return


def catalogue_of(settings: Settings) -> Catalogue:
    """The models that a worker serves.

    Raises: NotYet where it would fail jobs whose models it has not heard of, UnfitWorker.
    """
    if is_bucket(settings.models_url):
        cache = FileCache(settings.model_cache, settings.model_cache_bytes, _FETCH_PATIENCE_S)
        try:
            cache.open()
        except OSError as err:
            raise UnfitWorker("the folder of VOXELSMITH_MODEL_CACHE cannot be written") from err
        catalogue = Catalogue([BucketShelf(Bucket(settings.models_url), cache), SHIPPED])
        if not catalogue.is_complete:
            raise NotYet("the bucket of models does not answer")
        return catalogue
    return Catalogue([folder for folder in (settings.models_path, SHIPPED) if folder is not None])


def bench_of(settings: Settings, catalogue: Catalogue) -> Bench:
    """The bench of a worker process, with what holds for the whole process. Raises: ValueError, as `Bench`."""
    for warning in warnings_of(settings.device, settings.precision):
        log.warning("%s", warning)
    if settings.threads:
        use_threads(settings.threads)
    keep_freed_memory()
    return Bench(
        catalogue,
        settings.device,
        settings.precision,
        settings.threads,
        settings.model_memory_bytes,
        settings.low_memory,
        settings.memory_limit_bytes,
    )


def _take_device(device: str) -> socket.socket | None:
    """Makes sure that no other worker has this GPU; the lock lasts as long as the process. Raises: UnfitWorker."""
    if not device.startswith("cuda") or sys.platform != "linux":
        return None
    try:
        card = torch.cuda.get_device_properties(torch.device(device)).uuid
    except (RuntimeError, AssertionError) as err:
        raise UnfitWorker(f"{device} cannot be used") from err
    return lock_card(str(card), device)


def lock_card(card: str, device: str) -> socket.socket:
    """A lock on a GPU by its UUID. Raises: UnfitWorker where another process has it.

    A name in Linux's abstract socket space leaves no file behind, however the process ends.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0voxelsmith-gpu-{card}")
    except OSError as err:
        raise UnfitWorker(f"another worker is using {device}") from err
    return lock


if __name__ == "__main__":
    sys.exit(run_worker(DeviceWork, sys.argv[1:]))
