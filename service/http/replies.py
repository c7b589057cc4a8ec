"""Records as HTTP answers."""

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from contract.state import JobRecord
from service.dependencies import PostFields
from service.http.errors import PreconditionFailed
from service.http.header_fields import accepts_tag, names_tag

JSON = "application/json"
POLL_S = 1
NO_CACHE = {"Cache-Control": "private, no-cache"}


def accepted(record: JobRecord, kept: PostFields) -> Response:
    """The answer to a POST: 202, or 200 where the client was willing to wait and the job has ended.

    `kept`: as of Submitted.
    """
    is_done = kept.wait_s is not None and record.state.is_terminal
    headers = {"Location": f"/jobs/{record.id}", "Cache-Control": "no-store"}
    if not is_done:
        headers["Retry-After"] = str(POLL_S)
    applied = [f"wait={kept.wait_s}"] if kept.wait_s is not None else []
    applied += [f"priority={kept.priority}"] if kept.priority != "normal" else []
    if applied:
        headers["Preference-Applied"] = ", ".join(applied)
    return Response(record.model_dump_json(), 200 if is_done else 202, headers, JSON)


def current(record: JobRecord, if_none_match: str | None) -> Response:
    """The record with its ETag, or 304 for a client that has this very version."""
    body = record.model_dump_json()
    tag = _tag_of(body)
    headers = {"ETag": tag, **NO_CACHE}
    if names_tag(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, JSON)


def require_match(record: JobRecord, if_match: str | None) -> JobRecord:
    """The record, if the client asks for this very version of it or for any. Raises: PreconditionFailed."""
    if if_match is not None and not accepts_tag(if_match, _tag_of(record.model_dump_json())):
        raise PreconditionFailed("The job's record is not the one that If-Match names; ask for it again.")
    return record


def _tag_of(body: str) -> str:
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def plain(document: Any, status: int = 200) -> Response:
    """Any JSON that must not be kept by a cache."""
    return Response(json.dumps(document, allow_nan=False), status, NO_CACHE, JSON)


class Streamed(StreamingResponse):
    """An answer from a generator, which is closed whether the client took all of it or left.

    A blocking one occupies a thread at each of its steps.
    """

    def __init__(
        self,
        pieces: Generator[bytes, None, None] | AsyncGenerator[bytes, None],
        status: int,
        headers: Mapping[str, str],
        at_end: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(pieces, status, headers)
        self._pieces, self._at_end = pieces, at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
            else:
                self._pieces.close()
            if self._at_end is not None:
                self._at_end()
