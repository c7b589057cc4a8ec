"""GET /jobs, GET and DELETE /jobs/{id}, GET /jobs/{id}/events."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from contract.errors import InvalidRequest
from contract.fields import Name
from contract.state import JobKind, JobPage, JobRecord, JobState
from jobs.events import Event, order_of
from jobs.ownership import Listen
from jobs.queue import MAX_PAGE
from jobs.shared_bodies import LARGE_BYTES
from service.dependencies import AppServices, JobId, Jobs
from service.http.errors import TooManyListeners
from service.http.replies import NO_CACHE, Streamed, current, document, in_pieces, require_match
from service.openapi import DELETED, EVENT_STREAM, PROBLEMS, RECORD

HEARTBEAT_S = 5.0
"""Silence on an event stream lasts no longer; a vanished listener is noticed after it."""

EVENT_STREAM_TYPE = "text/event-stream"

IfMatch = Annotated[
    str | None, Header(description="The ETag that the record must have, or `*`; where it has another, 412.")
]

router = APIRouter(tags=["jobs"], responses=PROBLEMS)


class JobFilter(BaseModel):
    """The query of GET /jobs."""

    model_config = ConfigDict(extra="forbid", regex_engine="python-re")

    state: JobState | None = None
    kind: JobKind | None = None
    model: Name | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: Annotated[str | None, Field(max_length=64)] = None


def _each_once(request: Request) -> None:
    """Of a field that is given twice, the framework would take the last in silence."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name in JobFilter.model_fields if counts[name] > 1]
    if repeated:
        errors = [(f"/query/{name}", "is given more than once") for name in repeated]
        raise InvalidRequest("The query has a field more than once.", errors)


@router.get("/jobs", response_model=JobPage, dependencies=[Depends(_each_once)])
@router.head("/jobs", include_in_schema=False)
def list_jobs(query: Annotated[JobFilter, Query()], jobs: Jobs) -> Response:
    """A page of records, newest first. `next_cursor` leads to the next page."""
    page = jobs.list(query.state, query.kind, query.model, query.limit, query.cursor)
    return document(page.model_dump_json(), 200, NO_CACHE)


@router.get("/jobs/{job_id}", responses=RECORD, response_model=JobRecord)
@router.head("/jobs/{job_id}", include_in_schema=False)
def get_job(
    job_id: JobId, jobs: Jobs, if_match: IfMatch = None, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """One record, with an ETag."""
    return current(jobs.document(job_id), if_match, if_none_match)


@router.delete("/jobs/{job_id}", responses=DELETED, response_model=JobRecord)
def delete_job(job_id: JobId, jobs: Jobs, if_match: IfMatch = None) -> Response:
    """A queued job is canceled at once (200), a running one asked to stop (202), one that has ended removed (204)."""
    has_ended = jobs.get(job_id).state.is_terminal  # before the comparison: one that ends by then stays
    if if_match is not None:
        require_match(jobs.document(job_id), if_match)
    if has_ended:
        jobs.remove(job_id)
        return Response(status_code=204)
    record = jobs.cancel(job_id)
    return document(record.model_dump_json(), 200 if record.state.is_terminal else 202, NO_CACHE)


@router.get("/jobs/{job_id}/events", responses=EVENT_STREAM, response_class=Response)
def follow_job(
    job_id: JobId, services: AppServices, jobs: Jobs, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Server-sent events from the start or after `Last-Event-ID`, up to the terminal `end`."""
    has_ended = jobs.get(job_id).state.is_terminal
    if has_ended and last_event_id and order_of(last_event_id) >= order_of(jobs.last_event_id(job_id)):
        return Response(status_code=204)  # tells an EventSource not to come back
    return answer_with(jobs.events(job_id, last_event_id), services.listeners)


def answer_with(listen: Listen, listeners: BoundedSemaphore) -> Response:
    """The answer that passes events on. Raises: TooManyListeners."""
    if not listeners.acquire(blocking=False):
        raise TooManyListeners("Too many clients are listening; ask again later, or poll the job.")
    headers = {"Content-Type": EVENT_STREAM_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Streamed(frames(listen), 200, headers, at_end=listeners.release)


async def frames(listen: Listen) -> AsyncGenerator[bytes, None]:
    """The bytes of an event stream. One that ends without `end` is to be resumed: no problem can be sent any more."""
    loop, told = asyncio.get_running_loop(), asyncio.Queue[Event | None]()
    leave = listen(lambda event: loop.call_soon_threadsafe(told.put_nowait, event))
    try:
        while True:
            try:
                event = await asyncio.wait_for(told.get(), HEARTBEAT_S)
            except TimeoutError:
                yield b": heartbeat\n\n"
                continue
            if event is None:
                return
            head = f"id: {event.id}\nevent: {event.type}\ndata: ".encode()
            if len(event.body.data) <= LARGE_BYTES:
                yield head + event.body.data + b"\n\n"
                continue
            yield head
            for piece in in_pieces(event.body.data):
                yield piece
            yield b"\n\n"
    finally:
        leave()
