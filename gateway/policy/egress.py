"""Which hosts and addresses a component may reach: `allowed_outbound_hosts`, deny by default.

An entry is `scheme://host:port`, near to what Spin's manifests have:

| part   | forms                                                                                                 |
|--------|-------------------------------------------------------------------------------------------------------|
| scheme | `https`, `http`, any other that a binding asks with (`tcp`), or `*` for all                            |
| host   | `api.example.com`; `*.example.com` for all names below it; `10.1.2.3`, `10.0.0.0/8`, `[fd00::1]`,      |
|        | `[fd00::/8]`; `localhost` for that name and the loopback addresses; `*` for all                        |
| port   | `8443`, `8000-8100` (both included), `*` for all; left out, that of `http` or `https`                  |

A request passes two checks. `check_target`, before anything is looked up: some entry must match scheme, host
and port as the guest gave them. `check_address`, for each address that the name stands for: a public one is fine,
but a special one (loopback, private, link-local, cloud metadata, ...) must be named by an entry for this scheme
and port. So a name never leads to a special address that the component could not have asked for itself, whatever
DNS says of it and however often it changes its mind.

An entry names a special address if its host is that address, or a network that holds the address and lies within
the special range. `10.0.0.0/8` names private addresses; `0.0.0.0/0` names none, and neither do `*` and names,
except `localhost` the loopback addresses. The metadata services are ranges of one address each: only the address
itself names them. An IPv6 address that carries an IPv4 address is judged as that.

Nothing here does I/O. Sources: RFC 6890 and IANA's registries of special-purpose addresses that it founds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_interface,
    ip_network,
)
from typing import Final, NamedTuple

from gateway.http.syntax import is_host_name

__all__ = ["EgressPolicy", "EgressRule", "IPAddress", "Verdict", "canonical_host"]

IPAddress = IPv4Address | IPv6Address
_IPNetwork = IPv4Network | IPv6Network

_MAX_PORT: Final = 65_535
_ANY_PORT: Final = range(1, _MAX_PORT + 1)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_ENTRY: Final = re.compile(
    r"""
    (?P<scheme> \* | [A-Za-z][A-Za-z0-9+.\-]* ) ://
    (?P<host> \[ [^\[\]]* \] | [^:/\[\]]* (?: / [0-9]+ )? )
    (?: : (?P<port> [^:/]* ) )?
    (?P<path> / .* )?
    """,
    re.VERBOSE,
)
_EXAMPLE: Final = '"https://api.example.com" or "http://localhost:8000-8100"'


class Verdict(NamedTuple):
    """The answer to a check.

    Attributes:
        allowed: whether the request may go on.
        rule: for the log: the entry that allows it, or what forbids it.
    """

    allowed: bool
    rule: str


# --- special addresses -------------------------------------------------------------------------------------


class _Range(NamedTuple):
    network: _IPNetwork
    kind: str | None
    """What its addresses are; None for public ones."""


def _ranges(kinds: dict[str | None, str]) -> tuple[_Range, ...]:
    """The ranges of each kind, the narrowest first: the first that holds an address says what it is."""
    ranges = [
        _Range(ip_network(network), kind)
        for kind, networks in kinds.items()
        for network in networks.split()
    ]
    return tuple(sorted(ranges, key=lambda found: -found.network.prefixlen))


_RANGES: Final = _ranges(
    {
        # What a machine in a cloud learns its credentials from, if it is asked: AWS, Azure, Google Cloud and
        # most others; the credentials of ECS tasks and EKS pods; Azure's host; Alibaba Cloud; Oracle Cloud.
        "metadata": "169.254.169.254 169.254.170.2 169.254.170.23 168.63.129.16 100.100.100.200"
        " 192.0.0.192 fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe",
        "loopback": "127.0.0.0/8 ::1",
        # Connecting to 0.0.0.0 or :: reaches the machine itself on Linux.
        "unspecified": "0.0.0.0/8 ::",
        "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
        "carrier-grade NAT": "100.64.0.0/10",
        "link-local": "169.254.0.0/16 fe80::/10",
        "multicast": "224.0.0.0/4 ff00::/8",
        "documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        "benchmarking": "198.18.0.0/15",
        # Translated by rules of the site's own (RFC 8215): nobody can tell which address it carries.
        "local translation": "64:ff9b:1::/48",
        # 2001::/23 has Teredo in it, whose addresses lead through a server of the sender's choice.
        "reserved": "192.0.0.0/24 192.88.99.0/24 240.0.0.0/4 2001::/23 ::/0",
        None: "0.0.0.0/0 2000::/3",
    }
)

_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


def _plain(address: IPAddress) -> IPAddress:
    """The IPv4 address in an IPv6 address that carries one, else the address, without its zone."""
    if isinstance(address, IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour
    if carried is not None:
        return carried
    number = int(address)
    if address in _NAT64 or (address in _COMPATIBLE and number > 1):
        return IPv4Address(number & 0xFFFF_FFFF)
    return IPv6Address(number)


def _range_of(address: IPAddress) -> _Range:
    return next(found for found in _RANGES if address in found.network)


# --- entries -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EgressRule:
    """An entry of `allowed_outbound_hosts`; `parse` makes one.

    Attributes:
        text: the entry as it was written.
        scheme: in lower case; None for all.
        host: a canonical name, `*.` and one, `*`, or a network; a single address is a network of one.
        ports: the ports.
    """

    text: str
    scheme: str | None
    host: str | IPv4Network | IPv6Network
    ports: range

    @classmethod
    def parse(cls, text: str) -> EgressRule:
        """Read an entry.

        Raises:
            ValueError: it is none; the message says what it must be.
        """
        if "@" in text:
            raise ValueError("must not have a user name or password")
        match = _ENTRY.fullmatch(text)
        if match is None:
            raise ValueError(f'must be scheme, host and port, such as {_EXAMPLE}, not "{text}"')
        scheme, host, port, path = match.groups()
        if path not in {None, "/"}:
            raise ValueError(f'must end after the port: remove "{path}"')
        scheme = None if scheme == "*" else scheme.lower()
        return cls(text, scheme, _parse_host(host), _parse_ports(port, scheme))

    def covers(self, scheme: str, port: int) -> bool:
        """Whether it is for this scheme and port."""
        return self.scheme in {None, scheme} and port in self.ports

    def matches(self, host: str | IPAddress) -> bool:
        """Whether it is for a host, a canonical name or an address."""
        if not isinstance(self.host, str):
            return not isinstance(host, str) and host in self.host
        if self.host == "*":
            return True
        if not isinstance(host, str):
            return self.host == "localhost" and _range_of(host).kind == "loopback"
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return host == self.host

    def names(self, address: IPAddress, special: _IPNetwork) -> bool:
        """Whether it names an address of a special range."""
        if isinstance(self.host, str):
            return self.host == "localhost" and self.matches(address)
        # Not `subnet_of`, which refuses to compare networks of different versions.
        return (
            address in self.host
            and self.host.prefixlen >= special.prefixlen
            and self.host.network_address in special
        )


def _parse_host(host: str) -> str | _IPNetwork:
    if host == "*":
        return host
    literal = host[1:-1] if host.startswith("[") else host
    if "/" in host or host.startswith("["):
        return _parse_network(host, literal)
    wildcard, name = ("*.", host[2:]) if host.startswith("*.") else ("", host)
    if "*" in name:
        raise ValueError(f'must have "*" only alone or as the first label, not "{host}"')
    name = name.lower().removesuffix(".")
    if not name.isascii():
        raise ValueError('must be written in its ASCII form, such as "xn--bcher-kva.example"')
    if not wildcard and _is_numeric(name):
        return _parse_network(host, name)
    if not is_host_name(name):
        raise ValueError(f'must have a host, such as "api.example.com", not "{host}"')
    return wildcard + name


def _is_numeric(name: str) -> bool:
    """Whether resolvers might read a name as an IPv4 address, in any of its old forms."""
    last = name.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")


def _parse_network(host: str, literal: str) -> _IPNetwork:
    try:
        network = ip_network(literal)
        if "%" in literal:
            raise ValueError("zones mean nothing beyond this machine")
    except ValueError as error:
        if "host bits" in str(error):
            right = ip_interface(literal).network
            raise ValueError(
                f'must be a network, "{right}", or one address, not "{host}"'
            ) from None
        raise ValueError(f'must have an IP address or network as host, not "{host}"') from None
    if (network.version == 6) != host.startswith("["):
        raise ValueError("must have IPv6 addresses, and only these, in brackets")
    if _plain(network.network_address) != network.network_address:
        raise ValueError(
            f'must name IPv4 addresses as such, not inside of IPv6 ones as in "{host}"'
        )
    return network


def _parse_ports(port: str | None, scheme: str | None) -> range:
    if port is None:
        default = _DEFAULT_PORTS.get(scheme or "")
        if default is None:
            raise ValueError('must name a port, such as ":443", or ":*" for all of them')
        return range(default, default + 1)
    if port == "*":
        return _ANY_PORT
    low, dash, high = port.partition("-")
    numbers = (low, high if dash else low)
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise ValueError(f'must have a port, such as "443", "8000-8100" or "*", not "{port}"')
    first, last = map(int, numbers)
    if not 1 <= first <= last <= _MAX_PORT:
        raise ValueError(
            f'must have ports from 1 to {_MAX_PORT}, the lower one first, not "{port}"'
        )
    return range(first, last + 1)


# --- the policy --------------------------------------------------------------------------------------------


def canonical_host(host: str) -> str | IPAddress:
    """The one spelling of a host that a guest asks for.

    Args:
        host: the host of an authority, IPv6 addresses in brackets or not.

    Returns:
        An address, without disguise as another; or a name, in lower case and without a final dot. Only the
        four-part decimal form is an address. What else a resolver may take for one is a name, and its address is
        checked when it has been looked up.
    """
    literal = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    for family in (IPv4Address, IPv6Address):
        try:
            return _plain(family(literal))
        except ValueError:
            continue
    return host.lower().removesuffix(".")


class EgressPolicy:
    """What one component may reach.

    Args:
        rules: the entries of its `allowed_outbound_hosts`; none of them is nothing at all.
    """

    def __init__(self, rules: Iterable[EgressRule] = ()) -> None:
        self.rules = tuple(rules)

    def check_target(self, scheme: str, host: str, port: int) -> Verdict:
        """Whether a guest may ask for a host at all.

        Args:
            scheme: in lower case.
            host: as the guest gave it, IPv6 addresses in brackets or not.
            port: the port, that of the scheme where the guest gave none.
        """
        canonical = canonical_host(host)
        for rule in self.rules:
            if rule.covers(scheme, port) and rule.matches(canonical):
                return Verdict(True, rule.text)
        return Verdict(
            False, f"no entry of allowed_outbound_hosts matches {scheme}://{host}:{port}"
        )

    def check_address(self, scheme: str, address: IPAddress, port: int) -> Verdict:
        """Whether an address that an allowed host stands for may be connected to."""
        plain = _plain(address)
        special, kind = _range_of(plain)
        if kind is None:
            return Verdict(True, "a public address")
        for rule in self.rules:
            if rule.covers(scheme, port) and rule.names(plain, special):
                return Verdict(True, rule.text)
        return Verdict(
            False,
            f"{address} is a {kind} address, which no entry of allowed_outbound_hosts names for"
            f" {scheme} and port {port}",
        )

    def ports_of(self, scheme: str, address: IPAddress) -> tuple[range, ...]:
        """The ports of a special address, such as one of the loopback, that may be connected to.

        Only an entry that names such an address allows it (`check_address`), and allows to ask for it too
        (`check_target`): this tells of all ports at once what these two tell of one.
        """
        plain = _plain(address)
        special, _ = _range_of(plain)
        return tuple(
            rule.ports
            for rule in self.rules
            if rule.scheme in {None, scheme} and rule.names(plain, special)
        )
