"""Which addresses a webhook may go to: those that everybody can reach, and the networks that the operator names."""

import ipaddress
import socket
from collections.abc import Sequence

from jobs.settings import Network
from jobs.webhooks.outcome import DeliveryError, Problem

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Place = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
"""What a socket connects to: nothing that would be looked up once more."""

_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""The last four bytes are the IPv4 address that a gateway sends to."""
_RESERVED = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""By IANA's registries no public addresses, which not every version of Python knows."""


class AddressRule:
    """`networks`: allowed beside what is public."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = networks

    def allows(self, address: Address) -> bool:
        """An IPv6 address that stands for an IPv4 one is judged as that one."""
        inner = _inner(address)
        return any(inner in network or address in network for network in self._networks) or _is_public(inner)

    def allows_literal(self, host: str) -> bool:
        """Whether a host is a name, of which nothing is known yet, or an address that is allowed."""
        try:
            return self.allows(ipaddress.ip_address(host))
        except ValueError:
            return True

    def places(self, host: str, port: int) -> list[Place]:
        """Where a name leads now. One address among them that is not allowed spoils them all. Raises: DeliveryError."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as err:
            raise DeliveryError(Problem.NAME_UNKNOWN) from err
        places: list[Place] = [(family, place) for family, _, _, _, place in found]  # type: ignore[misc]
        if not all(self.allows(_address(place)) for _, place in places):
            raise DeliveryError(Problem.ADDRESS_REFUSED)
        return places


def _address(place: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return ipaddress.ip_address(place[0])


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, of a NAT64 gateway, or of 6to4."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if any(address in network for network in _RESERVED):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _UNICAST and address.is_global
    return address.is_global and not address.is_multicast
