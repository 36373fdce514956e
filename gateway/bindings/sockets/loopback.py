"""The loopback of one invocation: the addresses 127.0.0.0/8 and ::1, among the guest's own sockets, in memory.

It needs no grant and touches no socket of the host, for nothing of it leaves the invocation: what a guest binds
here nobody else can see, reach or be kept from having. Other guests and the host's own loopback have the same
numbers and are somewhere else.

An address of the loopback that a guest sends or connects to is *its own first*: where a socket of its own listens,
or is bound to receive datagrams, that is who is meant, whatever the policy allows. So nobody outside can take the
place of a guest's own server, which a guest could not tell by anything but the address. Where nobody of its own
is, the policy decides about the host's loopback, as it does about every other address.

Which side a socket is on is decided once, and is never both for one peer:

| bound to                                | reaches                                                              |
|-----------------------------------------|----------------------------------------------------------------------|
| nothing, or `0.0.0.0:0`, `[::]:0`       | the guest's own sockets, and what the policy allows                  |
| `127.0.0.1:PORT`, `[::1]:PORT`, ...     | the guest's own sockets alone, also with a port that was left open   |
| `0.0.0.0:PORT`, `[::]:PORT`             | the same, under every address of the loopback                        |
| any other address                       | `address-not-bindable`: a guest has no other addresses               |

Ports that the policy allows on the host's loopback are not handed out where a guest leaves the port open, so that
a server that comes and goes never stands in the way of one that the operator has granted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.policy.egress import IPAddress

if TYPE_CHECKING:
    from gateway.bindings.sockets.loopback_datagrams import Mailbox
    from gateway.bindings.sockets.loopback_stream import Listener

__all__ = ["ADDRESSES", "Binding", "Loopback", "Transport", "is_loopback"]

Transport: TypeAlias = Literal["tcp", "udp"]

ADDRESSES: Final[dict[Family, IPAddress]] = {
    "ipv4": IPv4Address("127.0.0.1"),
    "ipv6": IPv6Address("::1"),
}
"""What `localhost` is, and where a socket is that sends without having said from where."""

_DYNAMIC_PORTS: Final = range(49152, 65536)
"""The ports for those who leave the choice open (RFC 6335 section 6)."""

_MAX_TRIES: Final = 64
"""Ports that are looked at before one is taken that the policy allows outside. Far more than a guest has sockets,
so only a policy of very many ports comes to this end."""

_Key: TypeAlias = tuple[Transport, Family, int]


def is_loopback(address: SocketAddress) -> bool:
    """Whether an address is one of the loopback."""
    return address.ip.is_loopback


class Binding:
    """An address of the loopback that a socket of the guest has.

    Args:
        loopback: where it is.
        transport: of what.
        address: the address.
        chosen: whether the guest named the address or the port. Such a socket stays in the loopback.

    Attributes:
        address: the same.
        chosen: the same.
        receiver: who is there for others: what accepts connections, or takes datagrams.
    """

    __slots__ = ("_loopback", "address", "chosen", "receiver", "transport")

    def __init__(
        self, loopback: Loopback, transport: Transport, address: SocketAddress, *, chosen: bool
    ) -> None:
        self.transport: Final = transport
        self.address: Final = address
        self.chosen: Final = chosen
        self.receiver: Listener | Mailbox | None = None
        self._loopback = loopback

    @property
    def source(self) -> SocketAddress:
        """The address from which others see it: never an unspecified one."""
        if not self.address.ip.is_unspecified:
            return self.address
        return SocketAddress(ADDRESSES[self.address.family], self.address.port)

    def release(self) -> None:
        """Give the address up. May be called again."""
        self._loopback.release(self)


class Loopback:
    """The addresses of one invocation, and who is at them.

    Args:
        granted_ports: the ports of an address of the host's loopback that the policy allows.
    """

    __slots__ = ("_bindings", "_granted_ports")

    def __init__(self, granted_ports: Callable[[Transport, IPAddress], Collection[range]]) -> None:
        self._bindings: dict[_Key, dict[IPAddress, Binding]] = {}
        self._granted_ports = granted_ports

    def bind(self, transport: Transport, address: SocketAddress, *, chosen: bool = True) -> Binding:
        """Take an address; with port 0, one of the dynamic ports.

        Raises:
            SocketError: `address-not-bindable`: it is none of the loopback; `address-in-use`: a socket of the
            guest
                has it, or every port.
        """
        if not (address.ip.is_loopback or address.ip.is_unspecified):
            raise SocketError(ErrorCode.ADDRESS_NOT_BINDABLE)
        if address.port == 0:
            address = self._with_port(transport, address)
        elif not self._is_free(transport, address):
            raise SocketError(ErrorCode.ADDRESS_IN_USE)
        binding = Binding(self, transport, address, chosen=chosen)
        self._bindings.setdefault(_key(transport, address), {})[address.ip] = binding
        return binding

    def receiver(self, transport: Transport, address: SocketAddress) -> Listener | Mailbox | None:
        """Who of the guest's own is at an address."""
        if not address.ip.is_loopback:
            return None
        at_port = self._bindings.get(_key(transport, address))
        if at_port is None:
            return None
        binding = at_port.get(address.ip) or at_port.get(_UNSPECIFIED[address.family])
        return None if binding is None else binding.receiver

    def release(self, binding: Binding) -> None:
        """Give an address up."""
        key = _key(binding.transport, binding.address)
        at_port = self._bindings.get(key, {})
        if at_port.get(binding.address.ip) is binding:
            del at_port[binding.address.ip]
            if not at_port:
                del self._bindings[key]

    def _is_free(self, transport: Transport, address: SocketAddress) -> bool:
        at_port = self._bindings.get(_key(transport, address))
        if at_port is None:
            return True
        return not (
            address.ip.is_unspecified
            or address.ip in at_port
            or _UNSPECIFIED[address.family] in at_port
        )

    def _with_port(self, transport: Transport, address: SocketAddress) -> SocketAddress:
        visible = ADDRESSES[address.family] if address.ip.is_unspecified else address.ip
        ports = random.sample(_DYNAMIC_PORTS, _MAX_TRIES)  # nobody else could use what is guessed
        free = [port for port in ports if self._is_free(transport, SocketAddress(address.ip, port))]
        if not free:
            raise SocketError(ErrorCode.ADDRESS_IN_USE)
        granted = self._granted_ports(transport, visible)
        rest = (port for port in free if not any(port in ports for ports in granted))
        return SocketAddress(address.ip, next(rest, free[0]))


_UNSPECIFIED: Final[dict[Family, IPAddress]] = {
    "ipv4": IPv4Address(0),
    "ipv6": IPv6Address(0),
}


def _key(transport: Transport, address: SocketAddress) -> _Key:
    return transport, address.family, address.port
