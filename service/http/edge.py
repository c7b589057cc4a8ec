"""Edge: the outermost layer. Request ids, what a request's head may say, headers of every answer, counting."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterable

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.errors import QueueUnavailable, VoxelsmithError
from contract.version import VERSION_FIELD, software_version
from jobs.logs import ACCESS, REQUEST
from service.http.errors import AddressTooLong, HeadersTooLarge, MalformedHttp, NotReady, answer
from service.http.origins import OriginRule
from service.metrics import Metrics, known_method

MAX_HEADER_BYTES = 16 * 2**10
MAX_ADDRESS_BYTES = 4 * 2**10
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""What a browser may do with any answer of ours: look at it by itself, and nothing more."""
VERSION = (VERSION_FIELD.lower().encode(), software_version().encode())
"""By which a client says which of the two is old."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JOB = re.compile(rb"/jobs/([0-9a-f]{32})(?:/|$)")
"""The path of a job, with an id as we make them: nothing else of a path goes into a log."""
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
log = logging.getLogger(ACCESS)


class Edge:
    """Plain ASGI, so that streams and disconnects pass through untouched."""

    def __init__(self, app: ASGIApp, metrics: Metrics, rule: OriginRule) -> None:
        self.app, self.metrics, self.rule = app, metrics, rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["request_id"] = _request_id(scope)
        REQUEST.set(scope["request_id"])
        began, status, place, has_begun = time.perf_counter(), 500, scope["raw_path"], False

        async def send_marked(message: Message) -> None:
            nonlocal status, place, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                place = dict(message["headers"]).get(b"location", place)
                message["headers"] = _marked(message["headers"], scope["request_id"])
            await send(message)

        try:
            refusal = _refusal(scope) or self.rule.origin_refusal(scope) or await self._host_refusal(scope)
            if refusal is not None:
                await answer(Request(scope), refusal)(scope, receive, send_marked)
            else:
                await self.app(scope, receive, send_marked)
        except asyncio.CancelledError:  # the server stops, and its grace is over
            if not has_begun:
                await answer(Request(scope), NotReady("The server is stopping.", {}))(scope, receive, send_marked)
        finally:
            seconds = time.perf_counter() - began
            self.metrics.count(scope["method"], route_of(scope), status, seconds)
            _tell(scope, status, seconds, place)

    async def _host_refusal(self, scope: Scope) -> VoxelsmithError | None:
        if self.rule.is_known_host(scope):
            return None
        try:
            return await run_in_threadpool(self.rule.host_refusal)
        except QueueUnavailable as err:
            return err


def _tell(scope: Scope, status: int, seconds: float, place: bytes) -> None:
    """The line of an answered request. `place`: the path that was asked for, or the one that the answer points to."""
    route, job = route_of(scope), _JOB.match(place)
    method = known_method(scope["method"])
    fields = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
    extra = {"fields": fields} | ({"job": job[1].decode()} if job else {})
    level = logging.DEBUG if route in _PROBES else logging.INFO
    log.log(level, "%s %s %d", method, route, status, extra=extra)


def _marked(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that every answer has; a page's own policy stays."""
    own = list(headers)
    names = {name.lower() for name, _ in own}
    every = (*SAFE, VERSION)
    return [*own, (b"x-request-id", request_id.encode()), *(pair for pair in every if pair[0] not in names)]


def _request_id(scope: Scope) -> str:
    """The client's own X-Request-ID where it is a plain word, else a new one."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return str(given[0].decode("ascii"))
    return uuid.uuid4().hex


def _refusal(scope: Scope) -> VoxelsmithError | None:
    """The framing comes first: where it is in doubt, so is where the next request begins (RFC 9112, section 6.1)."""
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in names and b"content-length" in names:
        return MalformedHttp("A request has either Content-Length or Transfer-Encoding.")  # or two servers may disagree
    if b"transfer-encoding" in names and scope["http_version"] == "1.0":
        return MalformedHttp("A request of HTTP/1.0 has no Transfer-Encoding.")
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        return HeadersTooLarge(f"The header fields may have at most {MAX_HEADER_BYTES} bytes.")
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        return AddressTooLong(f"The address may have at most {MAX_ADDRESS_BYTES} bytes.")
    return None


def route_of(scope: Scope) -> str:
    """The path template that answered, for a label."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
