"""Who sent a request, over which scheme and to which authority, when proxies stand in between.

A proxy tells what it saw in a field of the request that it forwards: `Forwarded` (RFC 7239), or the
older `X-Forwarded-For`, `-Proto` and `-Host`. Any client can write these fields too, so they are
read only if the peer of the connection is a proxy that the operator trusts, and from the right: the
last element was added by the peer, the one before it by the proxy that this element names, and so
on, for as long as that is a trusted proxy. The first node that is not is the client; what stands
to its left is its own invention. That client's proxy, the outermost that is trusted, saw the
request as the user agent sent it, so its scheme and host are the ones that count.

Proxies that maintain one family of fields commonly pass the other on as the client wrote it, and
nothing in a request tells which one they maintain. So unless the operator says which
(`TrustedProxies`), a request that has both is believed only where they agree. For the same reason a
malformed `Forwarded` is not made up for by the other family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Literal, NamedTuple

from gateway.http.syntax import TOKEN, is_authority

__all__ = ["UNIX", "Origin", "TrustedProxies", "effective"]

UNIX: Final = "unix"
"""What every peer of a Unix domain socket is called, which has no address: as a client, and as an entry of
`TrustedProxies`."""

# Addresses whose parsed form and trust are remembered: a cache of at most some 300 KB that spares
# the requests of one client most of the cost. Arbitrary.
_ADDRESSES_CACHED: Final = 1024

_FORWARDED: Final = b"forwarded"
_X_FORWARDED: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")

_PAIR: Final = re.compile(
    rf"""
    (?P<name> {TOKEN.pattern} ) =
    (?: (?P<token> {TOKEN.pattern} )
      | " (?P<quoted> (?: [\t !#-\[\]-~\x80-\xff]++ | \\ [\t -~\x80-\xff] )*+ ) "
    )
    """,
    re.VERBOSE,
)
_SEPARATOR: Final = re.compile(r"[\t ]*([,;])[\t ]*")
_QUOTED_PAIR: Final = re.compile(r"\\(.)")

# RFC 7239 section 6, and the bare IPv6 address that X-Forwarded-For has. No address has more than 45
# characters.
_NODE: Final = re.compile(
    r"""
    (?: (?: \[ (?P<ipv6> [0-9A-Fa-f:.]{2,45} ) \] | (?P<ipv4> [0-9.]{7,15} )
          | (?i:unknown) | (?P<obfuscated> _[A-Za-z0-9._\-]+ ) )
        (?: : (?: [0-9]{1,5} | _[A-Za-z0-9._\-]+ ) )?
      | (?P<bare> [0-9A-Fa-f:.]{2,45} )
    )
    """,
    re.VERBOSE,
)


_USUAL_SIZE: Final = 255
"""Characters of an authority that is remembered as one, or as none. Arbitrary: more than most have."""

_is_authority: Final = lru_cache(maxsize=_ADDRESSES_CACHED)(is_authority)
"""A worker is asked by few names."""


class Origin(NamedTuple):
    """Where a request comes from, and where it was sent to.

    Attributes:
        client: the IP address of the client, or the identifier that a proxy gave it to hide the
            address (`_` and letters); `unix` for a peer of a Unix domain socket; None if it is not known.
        scheme: `http` or `https`, or what the server said.
        authority: host and optional port as the client wrote them; None if they are missing or not
            valid.
    """

    client: str | None
    scheme: str
    authority: str | None


class TrustedProxies:
    """The peers whose `Forwarded` or `X-Forwarded-*` fields are believed.

    Each of them must set, append to or remove every field of the family that it is trusted for.

    Attributes:
        header: the family of fields that is read; None if either is.
        nobody: whether there is none of them.
        lookup: gives the normal form of an IP address, None if the text is not one, and whether it
            is in a trusted network.
    """

    __slots__ = ("_networks", "_unix", "header", "lookup", "nobody")

    def __init__(
        self,
        entries: Iterable[str | IPv4Network | IPv6Network] = (),
        *,
        header: Literal["forwarded", "x-forwarded"] | None = None,
    ) -> None:
        """Read the configured entries.

        Args:
            entries: IP addresses, networks (in CIDR notation, if text), or `unix`.
            header: the family of fields that the proxies maintain; the other one is then ignored.
                None: either, and where a request has both they must agree.

        Raises:
            ValueError: an entry is none of these; the message names it.
        """
        names = list(entries)
        self._unix = UNIX in names
        self._networks = tuple(ip_network(name) for name in names if name != UNIX)
        self.header: Final = header
        self.nobody: Final = not names
        self.lookup: Final = lru_cache(maxsize=_ADDRESSES_CACHED)(self._lookup)

    def __contains__(self, peer: str | None) -> bool:
        """Whether the peer of a connection is trusted: the host of an ASGI scope's `client`."""
        if peer is None:
            return self._unix
        return bool(self._networks) and self.lookup(peer)[1]

    def _lookup(self, address: str) -> tuple[str | None, bool]:
        try:
            parsed = ip_address(address)
        except ValueError:
            return None, False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            # A dual-stack socket shows an IPv4 peer as ::ffff:a.b.c.d.
            parsed = parsed.ipv4_mapped
        return str(parsed), any(parsed in network for network in self._networks)


class _Hop(NamedTuple):
    """What one proxy says of the request as it received it."""

    node: str | None
    proto: str | None
    host: str | None


def effective(
    client: str | None,
    scheme: str,
    host_header: bytes | None,
    lines: Mapping[bytes, Sequence[bytes]],
    trusted: TrustedProxies,
) -> Origin:
    """Tell where a request comes from.

    Args:
        client: the host of the `client` of the ASGI scope; None for a Unix domain socket.
        scheme: the `scheme` of the ASGI scope.
        host_header: the value of the `host` field, if there is one.
        lines: the values of its fields, by their names in lower case.
        trusted: the proxies to believe.
    """
    authority = None if host_header is None else host_header.decode("latin-1")
    if authority is not None and not (
        _is_authority(authority) if len(authority) <= _USUAL_SIZE else is_authority(authority)
    ):
        authority = None
    direct = Origin(UNIX if client is None else client, scheme, authority)
    if trusted.nobody or client not in trusted:
        return direct

    forwarded = lines.get(_FORWARDED)
    x_forwarded = [_list(lines.get(name)) for name in _X_FORWARDED]

    claims = []
    if forwarded is not None and trusted.header != "x-forwarded":
        claims.append(_walk(direct, _parse_forwarded(forwarded), trusted))
    if any(x_forwarded) and trusted.header != "forwarded":
        claims.append(_walk(direct, _join_x_forwarded(*x_forwarded), trusted))
    if not claims or claims[0] != claims[-1]:
        return direct
    return claims[0]


def _walk(direct: Origin, hops: Sequence[_Hop], trusted: TrustedProxies) -> Origin:
    """Follow `hops` from the right through the trusted proxies."""
    client, scheme, authority = direct
    for node, proto, host in reversed(hops):
        # RFC 7239 section 5.4; a proxy that does not say what it saw leaves what the next one saw.
        if proto is not None and proto.lower() in ("http", "https"):
            scheme = proto.lower()
        if host is not None and is_authority(host):
            authority = host
        client, is_proxy = _identify(node, trusted)
        if not is_proxy:
            break
    return Origin(client, scheme, authority)


def _parse_forwarded(lines: Sequence[bytes]) -> list[_Hop]:
    """Parse `Forwarded` by RFC 7239 section 4; a malformed value has no elements.

    Beyond the grammar, white space is allowed around semicolons as it is around commas.
    """
    value = b", ".join(lines).decode("latin-1")
    hops = []
    pairs: dict[str, str] = {}
    position = 0
    while True:
        pair = _PAIR.match(value, position)
        if pair is not None:
            position = pair.end()
            name, token, quoted = pair.groups()
            name = name.lower()
            if name in pairs:
                return []
            pairs[name] = _QUOTED_PAIR.sub(r"\1", quoted) if token is None else token
        separator = _SEPARATOR.match(value, position)
        if pairs and (separator is None or separator[1] == ","):
            hops.append(_Hop(pairs.get("for"), pairs.get("proto"), pairs.get("host")))
            pairs = {}
        if separator is None:
            break
        position = separator.end()
    return hops if position == len(value) else []


def _join_x_forwarded(nodes: list[str], protos: list[str], hosts: list[str]) -> list[_Hop]:
    """Join the three lists of `X-Forwarded-*` to hops.

    A proxy may append to a list or replace it. Lists of one length were appended to by every proxy;
    of others only the last value is sure to be from the nearest proxy.
    """
    length = max(len(nodes), 1)
    columns = [_aligned(values, length) for values in (nodes, protos, hosts)]
    return [_Hop(*row) for row in zip(*columns, strict=True)]


def _aligned(values: list[str], length: int) -> Sequence[str | None]:
    """Give `values` if there are `length` of them, else the last one behind blanks."""
    if len(values) == length:
        return values
    return [*[None] * (length - 1), values[-1] if values else None]


def _list(lines: Sequence[bytes] | None) -> list[str]:
    """Give the elements of a list field, without empty ones (RFC 9110 section 5.6.1.2)."""
    if lines is None:
        return []
    elements = b",".join(lines).decode("latin-1").split(",")
    return [element for element in (element.strip(" \t") for element in elements) if element]


def _identify(node: str | None, trusted: TrustedProxies) -> tuple[str | None, bool]:
    """Give the client that a node names, None if it is not valid, and whether it is trusted."""
    match = None if node is None else _NODE.fullmatch(node)
    if match is None:
        return None, False
    ipv6, ipv4, obfuscated, bare = match.groups()
    address = ipv4 or ipv6 or bare
    return (obfuscated, False) if address is None else trusted.lookup(address)
