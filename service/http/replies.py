"""Records as HTTP answers."""

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from contract.errors import TooManyTransfers
from contract.state import JobRecord
from jobs.shared_bodies import LARGE_BYTES, Body, SharedBodies
from service.dependencies import PostFields
from service.http.errors import PreconditionFailed
from service.http.header_fields import accepts_tag, names_tag

JSON = "application/json"
POLL_S = 1
UNDER_WAY = SharedBodies()
"""Memory is the process's, so that this is too."""
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
    return document(record.model_dump_json(), 200 if is_done else 202, headers)


def current(record: Body, if_match: str | None, if_none_match: str | None) -> Response:
    """The record with its ETag, or 304 for a client that has this very version. Raises: PreconditionFailed."""
    tag = _tag_of(record)
    headers = {"ETag": tag, **NO_CACHE}
    require_match(record, if_match)
    if names_tag(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return _answer(record, 200, headers)


def require_match(record: Body, if_match: str | None) -> None:
    """Where the client asks for another version of the record than this one. Raises: PreconditionFailed."""
    if if_match is not None and not accepts_tag(if_match, _tag_of(record)):
        raise PreconditionFailed("The job's record is not the one that If-Match names; ask for it again.")


def _tag_of(body: Body) -> str:
    return f'"{body.sha256[:32]}"'


def plain(content: Any, status: int = 200) -> Response:
    """Any JSON that must not be kept by a cache."""
    return document(json.dumps(content, allow_nan=False), status, NO_CACHE)


def document(text: str, status: int, headers: Mapping[str, str]) -> Response:
    """JSON of any length. What many read at once is in memory once. Raises: TooManyTransfers."""
    data = text.encode()
    body = UNDER_WAY.share(hashlib.sha256(data).hexdigest(), data) if len(data) > LARGE_BYTES else Body(data)
    if body is None:
        raise TooManyTransfers("Too many large records are under way; come back later.")
    return _answer(body, status, headers)


def _answer(body: Body, status: int, headers: Mapping[str, str]) -> Response:
    if len(body.data) <= LARGE_BYTES:
        return Response(body.data, status, dict(headers), JSON)
    return _Large(body, status, dict(headers))


class _Large(Response):
    """Sent piece by piece, each when the client has taken the ones before it."""

    def __init__(self, body: Body, status: int, headers: dict[str, str]) -> None:
        super().__init__(body.data, status, headers, JSON)
        self._held = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's own
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in in_pieces(self._held.data):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def in_pieces(data: bytes) -> Iterator[bytes]:
    """What is written at once lies in the connection's own buffer until the client has taken it."""
    for start in range(0, len(data), LARGE_BYTES):
        yield data[start : start + LARGE_BYTES]


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
