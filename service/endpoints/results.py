"""GET /jobs/{id}/results/{name}: whole or by range, under the file's SHA-256 as its ETag; or where a bucket has it."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from contract.errors import ResultNotReady, UnknownResult
from contract.state import JobRecord, ResultFile
from jobs.results.store import ResultStore
from service.dependencies import AppServices, JobId, Jobs, Services
from service.http.errors import DAMAGED, RangeNotSatisfiable, ResultDamaged, missing_is_damaged
from service.http.header_fields import Span, UnsatisfiableError, names_tag, span_of, word_of
from service.http.replies import NO_CACHE, Streamed
from service.openapi import FILE, PROBLEMS

HASH_EVERY_S = 60.0
"""Of a file that is asked for in parts, while its size and times are what they were."""
router = APIRouter(tags=["results"], responses=PROBLEMS)


@router.get("/jobs/{job_id}/results/{name}", responses=FILE, response_class=Response)
@router.head("/jobs/{job_id}/results/{name}", include_in_schema=False)
def get_result(
    request: Request,
    job_id: JobId,
    name: str,
    jobs: Jobs,
    services: AppServices,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
    range_: Annotated[str | None, Header(alias="range", description="One range of bytes, as `bytes=0-1023`.")] = None,
) -> Response:
    """A file of a job, as soon as it is stored. Where results lie in a bucket, 307 and an address there that is valid
    for a short time; scripts of a page get the file itself."""
    file = file_of(jobs.get(job_id), name)
    tag = f'"{file.sha256}"'
    if names_tag(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag, **NO_CACHE})
    span = _span(range_, if_range, tag, file.size_bytes) if request.method == "GET" else None
    headers = _headers(file, tag, span)
    key = services.results.result_key(job_id, name, file.sha256)
    if request.method == "HEAD":
        return _described(services.results, key, file, headers)
    life_s = services.settings.store_redirect_s if _may_redirect(request, if_range, tag) else 0
    return _elsewhere(services.results, key, file, life_s) or _content(services, key, file, span, headers)


def file_of(record: JobRecord, name: str) -> ResultFile:
    """The manifest's entry of a file; what the manifest does not name does not exist.

    Raises: ResultNotReady while it may still come, then UnknownResult.
    """
    for file in (*record.results, *record.files):
        if file.name == name:
            return file
    if record.state.is_terminal:
        raise UnknownResult("The job has no result of that name.")
    raise ResultNotReady("The job has not ended, and there is no result of that name yet.")


def _span(field: str | None, if_range: str | None, tag: str, size_bytes: int) -> Span | None:
    try:
        return span_of(field, if_range, tag, size_bytes)
    except UnsatisfiableError as err:
        raise RangeNotSatisfiable("The range lies outside the file.", size_bytes) from err


def _headers(file: ResultFile, tag: str, span: Span | None) -> dict[str, str]:
    length = file.size_bytes if span is None else span.end - span.start
    headers = {
        "Content-Type": file.media_type,
        "Content-Length": str(length),
        "Content-Disposition": file.disposition,
        "Accept-Ranges": "bytes",
        "ETag": tag,
        **NO_CACHE,
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{file.size_bytes}"
    return headers


def _may_redirect(request: Request, if_range: str | None, tag: str) -> bool:
    """Whether the client would get the same from a bucket. What a page loads would have to be let through by its policy
    and by the bucket's; a bucket does not know the tag that a range may be conditional on."""
    is_of_a_page = request.headers.get("sec-fetch-mode", "navigate") != "navigate"
    is_unwanted = word_of(request.headers.getlist("prefer"), "redirect") == "no"
    return not (is_of_a_page or is_unwanted) and (if_range is None or if_range.strip() == tag)


def _elsewhere(results: ResultStore, key: str, file: ResultFile, life_s: int) -> Response | None:
    """307 to a signed address; None where the file is to be had here alone."""
    if not (life_s and results.is_remote):
        return None
    with missing_is_damaged():
        url = results.signed_url(key, file.size_bytes, file.sha256, life_s)
    return Response(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})


def _described(results: ResultStore, key: str, file: ResultFile, headers: dict[str, str]) -> Response:
    """What a GET would send, but for the bytes, which are not read: the file is there, and as long as it was."""
    with missing_is_damaged():
        if results.size(key) != file.size_bytes:
            raise ResultDamaged(DAMAGED)
    return Response(status_code=200, headers=headers)


def _content(services: Services, key: str, file: ResultFile, span: Span | None, headers: dict[str, str]) -> Response:
    """The bytes, hashed before the first one leaves: a damaged file is never sent as if it were sound.

    A part costs what it is long: the parts of a file that is as it was have it hashed once in a while.
    """
    with ExitStack() as stack:
        services.take_transfer()
        stack.callback(services.transfers.release)
        with missing_is_damaged():
            if not services.results.verify(key, file.sha256, within_s=HASH_EVERY_S if span is not None else 0.0):
                raise ResultDamaged(DAMAGED)
            start, end = span or (0, file.size_bytes)
            pieces = services.results.open(key, start, end)
        return Streamed(_each(pieces), 200 if span is None else 206, headers, stack.pop_all().close)


def _each(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield from pieces
