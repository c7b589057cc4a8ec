"""Webhooks: the address that a request may name, to be told when its job has ended."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.fields import Part

MAX_URL = 2048
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_URL = re.compile(
    rf"(https?)://(?:\[([0-9A-Fa-f:.]{{2,45}})\]|({_LABEL}(?:\.{_LABEL}){{0,126}}))"
    r"(?::([0-9]{1,5}))?(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?(\?[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?"
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
"""A last label that makes the resolver take a name for an IPv4 address, of which 127.1 and 0x7f000001 are such."""
_MAX_NAME = 253


@dataclass(frozen=True)
class Receiver:
    """An address taken apart, once for all who ask."""

    scheme: str
    host: str
    """A name, or an IP address without brackets."""
    port: int
    target: str
    """What stands in the request line."""

    @property
    def is_encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """The address without its path and query, where people keep secrets."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_encrypted else 80) else f"{host}:{self.port}"


def receiver_of(url: str) -> Receiver:
    """Raises: ValueError."""
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("must be an address such as https://receiver.example/path, without password and fragment")
    scheme, bracketed, name, port, path, query = match.groups()
    host = _host(bracketed, name)
    number = int(port) if port else (443 if scheme == "https" else 80)
    if not 0 < number < 65536:
        raise ValueError("must have a port from 1 to 65535, or none")
    return Receiver(scheme, host, number, (path or "/") + (query or ""))


def _host(bracketed: str | None, name: str | None) -> str:
    """Raises: ValueError."""
    try:
        if bracketed is not None:
            return str(ipaddress.IPv6Address(bracketed))
        host = (name or "").lower()
        return str(ipaddress.IPv4Address(host)) if _NUMBER.fullmatch(host.rpartition(".")[2]) else _short(host)
    except ipaddress.AddressValueError as err:
        raise ValueError("must name its host by a name or by an IP address in full") from err


def _short(host: str) -> str:
    if len(host) > _MAX_NAME:
        raise ValueError("must name a host of at most 253 characters")
    return host


def _sound(url: str) -> str:
    receiver_of(url)
    return url


WebhookUrl = Annotated[str, Field(max_length=MAX_URL), AfterValidator(_sound)]


class Notifying(Part):
    """What every body that makes a job may hold."""

    webhook: Annotated[WebhookUrl | None, Field(exclude=True, repr=False)] = None
    """Address to be told when the job has ended. What is kept, run and shown of the request does not hold it."""
