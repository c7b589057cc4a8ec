"""Whom the browser speaks for: which hosts are served, and which sites may post.

Without keys anything on this machine may call, also a browser in which a hostile page is open. Such a page has two ways
in: a name of its own that it lets point at 127.0.0.1 (DNS rebinding), and posts that need no permission (forms).
"""

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from contract.errors import VoxelsmithError
from service.http.errors import ForeignOrigin, HostNotServed

READING = frozenset({"GET", "HEAD", "OPTIONS"})
CORS_METHODS = ("GET", "HEAD", "POST", "DELETE")
CORS_ASKED = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "If-Range"),
    *("Last-Event-ID", "Prefer", "Range", "X-Request-ID"),
)
CORS_SHOWN = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Preference-Applied",
    "Retry-After",
    "Voxelsmith-Version",
    "X-Request-ID",
)
_PORTS = {"http": 80, "https": 443}


class OriginRule:
    """What Host and Origin may say."""

    def __init__(self, hosts: frozenset[str], origins: frozenset[str], needs_key: Callable[[], bool]) -> None:
        """`hosts`: names served beside those of loopback. `origins`: sites whose pages may call, as scheme://host:port.

        `needs_key`: whether callers have to bring a key now, which no foreign page has.
        """
        self._hosts, self._origins, self._needs_key = hosts, origins, needs_key

    def is_known_host(self, scope: Scope) -> bool:
        """Whether the Host field names this machine, or one of the configured hosts."""
        name = host_name(Headers(scope=scope).get("host", ""))
        return name is not None and (name in self._hosts or _is_loopback(name))

    def host_refusal(self) -> VoxelsmithError | None:
        """For a host that is not known; asks the queue. Raises: QueueUnavailable."""
        if self._needs_key():
            return None
        return HostNotServed("Without API keys only loopback names and the configured hosts are served.")

    def origin_refusal(self, scope: Scope) -> VoxelsmithError | None:
        """A post that a page of another site made the browser send."""
        headers = Headers(scope=scope)
        given = headers.getlist("origin")
        if scope["method"] in READING or not given:
            return None
        if len(given) == 1 and (given[0] in self._origins or _is_same(given[0], headers.get("host", ""))):
            return None
        return ForeignOrigin("Pages of other sites may not call this service; its operator can allow their origin.")


def host_name(field: str) -> str | None:
    """The name in a Host field, in lower case and without port and brackets; None for what is no host."""
    try:
        parts = urlsplit(f"//{field}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != field or any(c in field for c in "@/?#\\ \t") or parts.path:
        return None
    return parts.hostname.removesuffix(".")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is of the host that was asked. A proxy may have ended the TLS: the scheme is no sign."""
    if host_name(host) is None:
        return False
    asked = urlsplit(f"//{host}")
    try:
        parts = urlsplit(origin)
        standard = _PORTS[parts.scheme]
        return (parts.hostname, parts.port or standard) == (asked.hostname, asked.port or standard)
    except (ValueError, KeyError):
        return False
