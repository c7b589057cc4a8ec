"""Uploaded volumes: streamed to a nameless temp file, checked by their content, then into the store."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
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
from jobs.queue import JobQueue
from jobs.quota import refusal
from jobs.settings import Settings
from service.dependencies import AppServices, Jobs
from service.http.body import MAX_JSON_BYTES, is_json, limited, read_json
from service.http.multipart import Form, Memory, Spool
from volumes.reader_limits import Limits
from volumes.upload_check import check
from volumes.volume import VolumeError


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
class EncodeBody:
    """What POST /encode brought: the request's JSON, and the scan where it came along."""

    request: bytes
    scan: Scan | None


async def read_encode(request: Request, services: AppServices, jobs: Jobs) -> AsyncIterator[EncodeBody]:
    """JSON, or multipart/form-data with `volume` and `request`. Whatever happens, no file stays behind.

    A store without room and a key without bytes left are told before the scan has come.
    Raises: UnsupportedMedia, UploadTooLarge, InvalidRequest, RequestTimeout, StoreFull, QuotaExceeded.
    """
    if is_json(request):
        yield EncodeBody(await read_json(request), None)
        return
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedMedia("Send multipart/form-data with the parts volume and request, or application/json.")
    settings = services.settings
    await run_in_threadpool(services.results.check_room, settings.min_free_bytes)
    room_bytes = await run_in_threadpool(jobs.room_bytes)
    # The file has no name in any folder, so that even a killed process leaves nothing behind.
    with _nameless() as file:
        try:
            body = await _read_form(request, file, settings, min(settings.max_upload_bytes, room_bytes))
        except UploadTooLarge as err:
            if room_bytes < settings.max_upload_bytes:
                raise refusal("bytes", settings) from err
            raise
        yield body


Encode = Annotated[EncodeBody, Depends(read_encode)]


def _nameless() -> BinaryIO:
    """An unbuffered file for an upload. Raises: StoreFull."""
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as err:
        raise StoreFull("There is no room for the upload now.") from err


async def _read_form(request: Request, file: BinaryIO, settings: Settings, max_bytes: int) -> EncodeBody:
    text, volume = Memory(MAX_JSON_BYTES), Spool(file, settings.min_free_bytes)
    form = Form(request.headers["content-type"], {"request": text, "volume": volume})
    async for chunk in limited(request, max_bytes, settings.upload_timeout_s):
        await run_in_threadpool(form.feed, chunk)
    form.close()
    missing = [(f"/{name}", "this part is missing") for name in ("request", "volume") if name not in form.seen]
    if missing:
        raise InvalidRequest("The form is not complete.", missing)
    return EncodeBody(bytes(text.data), Scan(file, volume.size_bytes, volume.sha256))


def check_scan(scan: Scan, settings: Settings) -> None:
    """Reads the whole file by our own strict readers. Raises: UnreadableVolume."""
    if not scan.size_bytes:
        raise UnreadableVolume("The volume is empty.", [("/volume", "The file has no bytes.")])
    try:
        with scan.reopened() as file:
            check(file, Limits(max_voxels=settings.max_voxels, max_bytes=settings.max_upload_bytes))
    except VolumeError as err:
        raise UnreadableVolume("The volume cannot be read.", [("/volume", err.detail)]) from err


@contextmanager
def stored(original: Original, job_id: str, queue: JobQueue) -> Iterator[dict[str, str]]:
    """The scan's key in the store, where it stays unless the job turns out not to exist, and its SHA-256."""
    key = f"uploads/{job_id}/scan"
    _, sha256 = queue.results.write(key, original.source)
    try:
        if sha256 != original.sha256:
            raise original.damage
        yield {"key": key, "sha256": sha256}
    except VoxelsmithError:
        if _is_unknown(queue, job_id):
            forget(job_id, queue)
        raise


def forget(job_id: str, queue: JobQueue) -> None:
    """Removes the scan of a job that does not exist. Where the store does not answer, the sweep will do it."""
    with suppress(StoreUnavailable):
        queue.results.remove_prefix(f"uploads/{job_id}")


def _is_unknown(queue: JobQueue, job_id: str) -> bool:
    """Where the queue cannot tell, the job may exist; a scan without a job is swept away later."""
    try:
        queue.get(job_id)
    except UnknownJob:
        return True
    except VoxelsmithError:
        return False
    return False
