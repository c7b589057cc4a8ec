"""Whom the service answers without a key: this machine alone, and only while no key was ever made."""

import ipaddress
import socket

from contract.errors import QueueUnavailable
from jobs.keys import ApiKeys

MAKE_A_KEY = "voxelsmith keys create"
"""The advice of a refusal. It is for the usual data folder; who knows of another one adds it."""


class KeyRule:
    """Whether requests need a key. Once one was made they do, wherever the service listens."""

    def __init__(self, keys: ApiKeys, host: str) -> None:
        self._keys = keys
        self._is_local = is_loopback(host)
        self._last_known: bool | None = None

    def holds(self) -> bool:
        """Asks the queue only where the service is open to this machine alone. Raises: QueueUnavailable.

        While the queue is away its last answer counts: only models can be looked at without it.
        """
        if not self._is_local:
            return True
        try:
            self._last_known = self._keys.exist()
        except QueueUnavailable:
            if self._last_known is None:
                raise
        return bool(self._last_known)


def check_exposure(host: str, keys: ApiKeys) -> None:
    """Refuses to be open to other machines without a key. Raises: ValueError, QueueUnavailable."""
    if not is_loopback(host) and not keys.any_active():
        raise ValueError(
            "without an API key the service only listens on a loopback address, such as 127.0.0.1: "
            f"make one with `{MAKE_A_KEY}`"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on. Raises: ValueError for a name that is not known."""
    try:
        addresses = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except OSError as err:
        raise ValueError(f"the host to listen on, {host}, is not known on this machine") from err
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)
