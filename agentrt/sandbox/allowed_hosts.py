"""Which addresses a sandbox may reach: names on a list, as long as they lead to the public internet.

A name is no permission for what it resolves to: whoever controls the name's DNS could point it at this machine, its
neighbours or the cloud's metadata server. So the addresses are judged, and one of the judged ones is connected to.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# Addresses of IPv6 that lead to one of IPv4 in them: NAT64.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_WEB_PORTS: Final = (80, 443)


class RefusedHostError(Exception):
    """str: why, for the code in the sandbox."""


class AllowedHosts:
    """The list. An entry is `example.com`, `*.example.com` (any name below, not itself), or either with `:8080`.

    Without a port, 80 and 443 are meant. may_reach: which addresses are fine.
    """

    def __init__(self, entries: Sequence[str], *, may_reach: Callable[[Address], bool] | None = None) -> None:
        self._entries = [_Entry.parse(entry) for entry in entries]
        self._may_reach = may_reach or is_public

    async def find(self, host: str, port: int) -> list[str]:
        """The addresses of host, in the order to try them. Raises RefusedHostError."""
        name = host.rstrip(".").lower()
        if not any(entry.covers(name, port) for entry in self._entries):
            raise RefusedHostError(f"{host}:{port} is not on this sandbox's list of hosts")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise RefusedHostError(f"{host} cannot be resolved") from None
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        reachable = [address for address in addresses if self._may_reach(ipaddress.ip_address(address))]
        if not reachable:
            raise RefusedHostError(f"{host} is an address of this machine or of a private network")
        return reachable


class _Entry(msgspec.Struct, frozen=True):
    name: str
    below: bool
    ports: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> _Entry:
        name, _, port = text.strip().lower().rstrip(".").partition(":")
        return cls(name.removeprefix("*."), name.startswith("*."), (int(port),) if port else _WEB_PORTS)

    def covers(self, name: str, port: int) -> bool:
        return port in self.ports and (name.endswith(f".{self.name}") if self.below else name == self.name)


def is_public(address: Address) -> bool:
    """Out there: no private, local, shared, reserved or multicast range, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast
