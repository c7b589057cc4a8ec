"""How long a connection may take: for the head of a request, for a body that nobody waits for, for taking an answer.

uvicorn has no such limits, so that a few hundred clients that send a byte now and then could hold all its connections.
What a request's body may take is judged where it is read (service/http/body.py).
"""

import asyncio
import json
import uuid
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from contract.errors import VoxelsmithError
from service.http.descriptors import MAX_CONNECTIONS
from service.http.errors import RETRY_AFTER_S, MalformedHttp, RequestTimeout, TooManyConnections

HEAD_S = 15.0
"""From the connection, or the first byte of a further request, to the end of the head."""
READING_S = 60.0
"""A client that takes nothing of a waiting answer for this long is given up."""


class PatientProtocol(H11Protocol):
    """One connection with deadlines. They are attributes, so that a test need not wait for them."""

    head_s, reading_s, max_connections = HEAD_S, READING_S, MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(503, TooManyConnections, "Too many clients are connected; come back later.")
            transport.close()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # IDLE: no whole head yet. DONE: the answer is out, and the client still sends the body that it did not need.
        if self.conn.their_state is h11.IDLE or self.conn.our_state is h11.DONE:
            self._await_head()
        else:
            self._stop_waiting()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._leaving is None:
            self._leaving = self.loop.call_later(self.reading_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's own words
        """As a problem document; where an answer has begun already, the connection just ends."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse(400, MalformedHttp, "The request could not be read as HTTP/1.1.")
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _await_head(self) -> None:
        if self._arriving is None and not self.transport.is_closing():
            self._arriving = self.loop.call_later(self.head_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE:
            detail = "The head of the request did not arrive in time."
            self._refuse(408, RequestTimeout, detail)
        self.transport.close()

    def _refuse(self, status: int, why: type[VoxelsmithError], detail: str) -> None:
        """An answer to what never became a request."""
        problem = {"type": f"urn:voxelsmith:problem:{why.code}", "title": why.title, "status": status, "detail": detail}
        body = json.dumps(
            {**problem, "instance": f"urn:voxelsmith:request:{uuid.uuid4().hex}", "code": why.code}
        ).encode()
        headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
            *([("Retry-After", str(RETRY_AFTER_S[HTTPStatus(status)]))] if status in RETRY_AFTER_S else []),
        ]
        events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
