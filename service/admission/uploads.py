"""Uploaded volumes: streamed to a nameless temp file, checked by their content, then into the store."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from contract.errors import (
    InvalidRequest,
    StoreFull,
    StoreUnavailable,
    UnknownJob,
    UnreadableVolume,
    UnsupportedMedia,
    UploadTooLarge,
    VoxelsmithError,
)
from contract.requests import MASK_VALUES
from jobs.ownership import OwnJobs
from jobs.queue import JobQueue
from jobs.quota import refusal
from jobs.settings import Settings
from service.dependencies import AppServices, Jobs, Services
from service.http.body import MAX_JSON_BYTES, is_json, limited, read_json
from service.http.multipart import Form, Memory, Spool
from volumes.reader_limits import Header, Limits
from volumes.two_files import join
from volumes.upload_check import Range, check
from volumes.volume import VolumeError, on_one_grid


@dataclass(frozen=True)
class Scan:
    """An uploaded file, for as long as its request lasts."""

    file: BinaryIO
    size_bytes: int
    sha256: str

    @contextmanager
    def reopened(self) -> Iterator[BufferedReader]:
        """The file from its start. It has one place of reading and writing, so that readers come one after the other.

        By its number, as /dev/fd/N is not everywhere, and on macOS has that one place too.
        """
        with os.fdopen(os.dup(self.file.fileno()), "rb") as file:
            file.seek(0)
            yield file


class Original(NamedTuple):
    """A scan on its way to the job that takes a copy of it."""

    source: Path | BufferedReader
    size_bytes: int
    sha256: str
    damage: VoxelsmithError
    """What to say where the copy does not have that digest."""


@dataclass(frozen=True)
class ScanBody:
    """What a call that takes a scan brought: the request's JSON, and the scan and its mask where they came along."""

    request: bytes
    scan: Scan | None = None
    mask: Scan | None = None


async def read_scan(request: Request, services: AppServices, jobs: Jobs) -> AsyncIterator[ScanBody]:
    """JSON, or multipart/form-data with `volume` and `request`. Whatever happens, no file stays behind.

    A store without room and a key without bytes left are told before the scan has come.
    Raises: UnsupportedMedia, UploadTooLarge, InvalidRequest, RequestTimeout, StoreFull, QuotaExceeded,
    TooManyTransfers.
    """
    async with _read(request, services, jobs, ()) as body:
        yield body


async def read_scan_and_mask(request: Request, services: AppServices, jobs: Jobs) -> AsyncIterator[ScanBody]:
    """As `read_scan`, and perhaps a `mask`."""
    async with _read(request, services, jobs, ("mask",)) as body:
        yield body


@asynccontextmanager
async def _read(request: Request, services: Services, jobs: OwnJobs, beside: Sequence[str]) -> AsyncIterator[ScanBody]:
    """`beside`: the parts that may come along with the volume."""
    if is_json(request):
        yield ScanBody(await read_json(request))
        return
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedMedia("Send multipart/form-data with the parts volume and request, or application/json.")
    settings = services.settings
    await run_in_threadpool(services.results.check_room, settings.min_free_bytes)
    room_bytes = await run_in_threadpool(jobs.room_bytes)
    services.take_transfer()
    # The files have no name in any folder, so that even a killed process leaves nothing behind.
    with ExitStack() as stack:
        stack.callback(services.transfers.release)
        files = {name: stack.enter_context(nameless()) for name in ("volume", *beside)}
        try:
            pair = _Pair(services, stack)
            body = await _read_form(request, files, pair, min(settings.max_upload_bytes, room_bytes))
        except UploadTooLarge as err:
            if room_bytes < settings.max_upload_bytes:
                raise refusal("bytes", settings) from err
            raise
        yield body


WithScan = Annotated[ScanBody, Depends(read_scan)]
WithScanAndMask = Annotated[ScanBody, Depends(read_scan_and_mask)]


def nameless() -> BinaryIO:
    """An unbuffered file for an upload. Raises: StoreFull."""
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as err:
        raise StoreFull("There is no room for the upload now.") from err


class _Pair:
    """A volume that comes in two files, a header and its voxels: each a part of the name `volume`."""

    def __init__(self, services: Services, stack: ExitStack) -> None:
        self._services, self._stack = services, stack
        self.settings = services.settings
        self.second: Spool | None = None

    def take_second(self) -> Spool:
        """A place for the other file, counted as a transfer of its own. Raises: StoreFull, TooManyTransfers."""
        self.second = self._spool()
        return self.second

    def joined(self, first: Scan) -> Scan:
        """Both as one. Raises: UnreadableVolume, StoreFull, TooManyTransfers."""
        assert self.second is not None
        second, one = Scan(self.second.file, self.second.size_bytes, ""), self._spool()
        try:
            with first.reopened() as header, second.reopened() as voxels:
                join(header, voxels, one.write)
        except VolumeError as err:
            raise UnreadableVolume("The volume cannot be read.", [("/volume", err.detail)]) from err
        return Scan(one.file, one.size_bytes, one.sha256)

    def _spool(self) -> Spool:
        self._services.take_transfer()
        self._stack.callback(self._services.transfers.release)
        return Spool(self._stack.enter_context(nameless()), self.settings.min_free_bytes)


async def _read_form(request: Request, files: Mapping[str, BinaryIO], pair: _Pair, max_bytes: int) -> ScanBody:
    text, settings = Memory(MAX_JSON_BYTES), pair.settings
    spools = {name: Spool(file, settings.min_free_bytes) for name, file in files.items()}
    form = Form(request.headers["content-type"], {"request": text, **spools}, {"volume": pair.take_second})
    async for chunk in limited(request, max_bytes, settings.upload_timeout_s):
        await run_in_threadpool(form.feed, chunk)
    form.close()
    missing = [(f"/{name}", "this part is missing") for name in ("request", "volume") if name not in form.seen]
    if missing:
        raise InvalidRequest("The form is not complete.", missing)
    found = {name: Scan(files[name], spool.size_bytes, spool.sha256) for name, spool in spools.items()}
    if pair.second is not None:
        found["volume"] = await run_in_threadpool(pair.joined, found["volume"])
    return ScanBody(bytes(text.data), found["volume"], found["mask"] if "mask" in form.seen else None)


def check_scan(scan: Scan, settings: Settings, values: Range | None = None, part: str = "volume") -> Header:
    """Reads the whole file by our own strict readers; its header. `values`: least and largest that a voxel may have.

    Raises: UnreadableVolume.
    """
    if not scan.size_bytes:
        raise UnreadableVolume(f"The {part} is empty.", [(f"/{part}", "The file has no bytes.")])
    try:
        with scan.reopened() as file:
            limits = Limits(max_voxels=settings.max_voxels, max_bytes=settings.max_upload_bytes)
            return check(file, limits, values)
    except VolumeError as err:
        raise UnreadableVolume(f"The {part} cannot be read.", [(f"/{part}", err.detail)]) from err


def check_mask(mask: Scan, header: Header, settings: Settings) -> None:
    """Reads a mask of pathologies, and holds it against its scan. Raises: UnreadableVolume."""
    own = check_scan(mask, settings, MASK_VALUES, "mask")
    if not on_one_grid(own, header):
        told = "It does not lie on the scan's grid: shape and affine must be the same."
        raise UnreadableVolume("The mask cannot be used.", [("/mask", told)])


@contextmanager
def stored(original: Original, job_id: str, queue: JobQueue, name: str = "scan") -> Iterator[dict[str, str]]:
    """The upload's key in the store, where it stays unless the job turns out not to exist, and its SHA-256."""
    key = f"uploads/{job_id}/{name}"
    _, sha256 = queue.results.write(key, original.source)
    try:
        if sha256 != original.sha256:
            raise original.damage
        yield {"key": key, "sha256": sha256}
    except VoxelsmithError:
        forget_unknown(job_id, queue)
        raise


def forget(job_id: str, queue: JobQueue) -> None:
    """Removes the scan of a job that does not exist. Where the store does not answer, the sweep will do it."""
    with suppress(StoreUnavailable):
        queue.results.remove_prefix(f"uploads/{job_id}")


def forget_unknown(job_id: str, queue: JobQueue) -> None:
    """The same, unless the job exists after all."""
    if _is_unknown(queue, job_id):
        forget(job_id, queue)


def _is_unknown(queue: JobQueue, job_id: str) -> bool:
    """Where the queue cannot tell, the job may exist; a scan without a job is swept away later."""
    try:
        queue.get(job_id)
    except UnknownJob:
        return True
    except VoxelsmithError:
        return False
    return False
