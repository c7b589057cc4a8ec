"""Edge: the outermost layer. Request ids, limits on the head of a request, headers of every answer, counting."""

import re
import time
import uuid

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import VoxelsmithError
from service.errors import AddressTooLong, HeadersTooLarge, answer
from service.metrics import Metrics

MAX_HEADER_BYTES = 16 * 2**10
MAX_ADDRESS_BYTES = 4 * 2**10
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """Plain ASGI, so that streams and disconnects pass through untouched."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["request_id"] = _request_id(scope)
        began, status = time.perf_counter(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", scope["request_id"].encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            refusal = _refusal(scope)
            if refusal is not None:
                await answer(Request(scope), refusal)(scope, receive, send_marked)
            else:
                await self.app(scope, receive, send_marked)
        finally:
            self.metrics.count(scope["method"], route_of(scope), status, time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    """The client's own X-Request-ID where it is a plain word, else a new one."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return str(given[0].decode("ascii"))
    return uuid.uuid4().hex


def _refusal(scope: Scope) -> VoxelsmithError | None:
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        return HeadersTooLarge(f"The header fields may have at most {MAX_HEADER_BYTES} bytes.")
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        return AddressTooLong(f"The address may have at most {MAX_ADDRESS_BYTES} bytes.")
    return None


def route_of(scope: Scope) -> str:
    """The path template that answered, for a label."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
