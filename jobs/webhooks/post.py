"""One POST to a stranger: to the address that was checked, within one time for everything, reading next to nothing."""

import re
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress

from contract.webhooks import Receiver
from jobs.webhooks.addresses import AddressRule, Place
from jobs.webhooks.outcome import DeliveryError, Problem

TIMEOUT_S = 10.0
"""From the first packet to the status line. Looking a name up is the resolver's own time."""
MAX_READ = 16 * 2**10
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_BLOCK = 16 * 2**10
_GOODBYE_S = 0.5


class Courier:
    """Safe to use from many threads."""

    def __init__(self, rule: AddressRule, timeout_s: float = TIMEOUT_S) -> None:
        self._rule, self._timeout_s = rule, timeout_s
        self._tls = ssl.create_default_context()

    def post(self, receiver: Receiver, fields: Mapping[str, str], body: bytes) -> int:
        """The status of the answer; no redirect is followed. Raises: DeliveryError."""
        places = self._rule.places(receiver.host, receiver.port)
        deadline = time.monotonic() + self._timeout_s
        try:
            with _connected(places, deadline) as plain, self._secured(plain, receiver, deadline) as connection:
                _send(connection, _head(receiver, fields, body) + body, deadline)
                status = _status(connection, deadline)
                _take_leave(connection, min(deadline, time.monotonic() + _GOODBYE_S))
                return status
        except TimeoutError as err:
            raise DeliveryError(Problem.TIMEOUT) from err
        except ssl.SSLError as err:
            raise DeliveryError(Problem.TLS_FAILED) from err
        except OSError as err:
            raise DeliveryError(Problem.UNREACHABLE) from err

    def _secured(self, plain: socket.socket, receiver: Receiver, deadline: float) -> socket.socket:
        """Raises: OSError."""
        if not receiver.is_encrypted:
            return plain
        plain.settimeout(_left(deadline))
        return self._tls.wrap_socket(plain, server_hostname=receiver.host)


def _connected(places: list[Place], deadline: float) -> socket.socket:
    """A connection to the first place that takes one. Raises: OSError."""
    refusal: OSError = ConnectionRefusedError()
    for family, place in places:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(place)
        except OSError as err:
            connection.close()
            refusal = err
        else:
            return connection
    raise refusal


def _head(receiver: Receiver, fields: Mapping[str, str], body: bytes) -> bytes:
    whole = {"Host": receiver.authority, **fields, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"POST {receiver.target} HTTP/1.1", *(f"{name}: {value}" for name, value in whole.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _send(connection: socket.socket, data: bytes, deadline: float) -> None:
    """Raises: OSError."""
    rest = memoryview(data)
    while rest:
        connection.settimeout(_left(deadline))
        rest = rest[connection.send(rest[:_BLOCK]) :]


def _status(connection: socket.socket, deadline: float) -> int:
    """Of the first answer that is more than a notice, of which a server may send some before it. Raises: DeliveryError,
    OSError."""
    head, taken = b"", 0
    while True:
        match = _STATUS.match(head)
        if match is not None and not match[1].startswith(b"1"):
            return int(match[1])
        notice = _END_OF_HEAD.search(head) if match is not None else None
        if notice is not None and match is not None and match[1] != b"101":
            head = head[notice.end() :]
            continue
        connection.settimeout(_left(deadline))
        block = connection.recv(MAX_READ - taken) if taken < MAX_READ else b""
        if not block:
            break
        head, taken = head + block, taken + len(block)
    raise DeliveryError(Problem.NOT_HTTP if head else Problem.UNREACHABLE)


def _take_leave(connection: socket.socket, deadline: float) -> None:
    """Lets a receiver finish its answer, where that is short: a connection closed under it would be its error."""
    taken = 0
    with suppress(OSError):
        while taken < MAX_READ:
            connection.settimeout(_left(deadline))
            block = connection.recv(MAX_READ)
            if not block:
                return
            taken += len(block)


def _left(deadline: float) -> float:
    """Raises: TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
