"""Addresses of the network, as WIT has them and as the operating system does.

An IPv4 address is never written as an IPv6 one here. WASI's IPv6 sockets are IPv6 only, so an IPv4-mapped address
(`::ffff:127.0.0.1`) would be a second name for something that a policy knows by its first; no guest can use one.

Source: `wasi:sockets@0.2.12`, `network.wit`: `ip-address-family`, `ip-address`, `ip-socket-address`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Literal, TypeAlias

from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.host.values import Variant
from gateway.policy.egress import IPAddress

__all__ = ["FAMILIES", "Family", "SocketAddress", "canonical", "ip_address"]

Family: TypeAlias = Literal["ipv4", "ipv6"]
"""`ip-address-family`."""

FAMILIES: Final[dict[Family, socket.AddressFamily]] = {
    "ipv4": socket.AF_INET,
    "ipv6": socket.AF_INET6,
}

_BROADCAST: Final = IPv4Address("255.255.255.255")
_LOOPBACK: Final = IPv6Address("::1")
_FLOW_LABEL: Final = 0xFFFFF


def canonical(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv4-mapped IPv6 address stands for; every other address as it is."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # without a zone
    return address


def ip_address(address: IPAddress) -> Variant:
    """The `ip-address` of an address."""
    if isinstance(address, IPv4Address):
        return Variant("ipv4", tuple(address.packed))
    return Variant("ipv6", _groups(address))


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """`ip-socket-address`: where a socket is, or is to be.

    Attributes:
        ip: the address.
        port: the port.
        flow_info: the flow label and class of IPv6; 0 for IPv4.
        scope_id: the zone of a link-local address of IPv6, the index of an interface; 0 for IPv4.
    """

    ip: IPAddress
    port: int
    flow_info: int = 0
    scope_id: int = 0

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}" if self.family == "ipv4" else f"[{self.ip}]:{self.port}"

    @classmethod
    def from_variant(cls, address: Variant) -> SocketAddress:
        """What a guest has passed."""
        fields = address.payload
        if address.case == "ipv4":
            return cls(IPv4Address(bytes(fields["address"])), fields["port"])
        groups = b"".join(group.to_bytes(2) for group in fields["address"])
        return cls(IPv6Address(groups), fields["port"], fields["flow-info"], fields["scope-id"])

    @classmethod
    def from_sockaddr(cls, address: tuple[Any, ...]) -> SocketAddress:
        """What a call of the operating system has returned."""
        if len(address) == 2:
            return cls(IPv4Address(address[0]), address[1])
        return cls(IPv6Address(address[0].partition("%")[0]), *address[1:])

    @property
    def family(self) -> Family:
        """Its address family."""
        return "ipv4" if isinstance(self.ip, IPv4Address) else "ipv6"

    @property
    def variant(self) -> Variant:
        """What a guest is given."""
        if isinstance(self.ip, IPv4Address):
            return Variant("ipv4", {"port": self.port, "address": tuple(self.ip.packed)})
        fields = {
            "port": self.port,
            "flow-info": self.flow_info,
            "address": _groups(self.ip),
            "scope-id": self.scope_id,
        }
        return Variant("ipv6", fields)

    @property
    def sockaddr(self) -> tuple[Any, ...]:
        """What calls of the operating system take."""
        if isinstance(self.ip, IPv4Address):
            return (str(self.ip), self.port)
        # Python takes the label alone. No system looks at either unless it is told to, which nobody does here.
        return (str(self.ip), self.port, self.flow_info & _FLOW_LABEL, self.scope_id)

    @property
    def is_ephemeral(self) -> bool:
        """Whether binding to it leaves both the address and the port to the operating system."""
        return self.ip.is_unspecified and self.port == 0

    def is_peer(self, other: SocketAddress) -> bool:
        """Whether both are one and the same place. The flow of a packet is no part of where it comes from."""
        return (self.ip, self.port, self.scope_id) == (other.ip, other.port, other.scope_id)

    def check_family(self, family: Family) -> None:
        """Refuse an address that a socket of a family cannot use.

        Raises:
            SocketError: `invalid-argument`: it is of the other family, or of IPv6 and stands for one of IPv4. The
                IPv4-compatible ones (RFC 4291 section 2.5.5.1, deprecated) are those that systems disagree about.
        """
        if self.family != family or (isinstance(self.ip, IPv6Address) and _embeds_ipv4(self.ip)):
            raise SocketError(ErrorCode.INVALID_ARGUMENT)

    def check_unicast(self) -> None:
        """Refuse an address of more than one host.

        Raises:
            SocketError: `invalid-argument`: it is one of a group, or of everyone.
        """
        if self.ip.is_multicast or self.ip == _BROADCAST:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)

    def check_remote(self) -> None:
        """Refuse an address that nothing can be at.

        Raises:
            SocketError: `invalid-argument`: the address is unspecified, or the port is 0.
        """
        if self.ip.is_unspecified or self.port == 0:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)


def _groups(address: IPv6Address) -> tuple[int, ...]:
    packed = address.packed
    return tuple(int.from_bytes(packed[at : at + 2]) for at in range(0, 16, 2))


def _embeds_ipv4(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return True
    compatible = int(address) >> 32 == 0
    return compatible and not address.is_unspecified and address != _LOOPBACK
