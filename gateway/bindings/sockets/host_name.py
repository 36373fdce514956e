"""The syntax of what a guest asks to be resolved.

A name is what DNS takes, in Unicode or ASCII; an address is written as RFC 3986 or RFC 4291 has it. The many
other ways to write an IPv4 address that resolvers know (`127.1`, `0x7f000001`) are refused as names: what
stands in a policy must be what is looked up.

Source: `wasi:sockets@0.2.12`, `ip-name-lookup.wit`: `resolve-addresses`; RFC 1123 section 2.1, RFC 3490.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from gateway.bindings.sockets.addresses import canonical
from gateway.bindings.sockets.error_code import ErrorCode, SocketError
from gateway.policy.egress import IPAddress

__all__ = ["parse"]

_MAX_NAME: Final = 253
"""Characters of a name, without a final dot (RFC 1035 section 2.3.4, less what the wire adds)."""

# The underscore is no part of a host's name, but is found in the names that clusters give to services.
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*(?P<last>[a-z0-9_-]{1,63})\.?")

# No top-level domain is a number; where one stands, an address is meant (WHATWG URL, "ends in a number").
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def parse(text: str) -> IPAddress | str:
    """Read a name or an address.

    Returns:
        The address, which is IPv4 where it was written as an IPv4-mapped one, or the name in ASCII and lower case.

    Raises:
        SocketError: `invalid-argument`: it is neither.
    """
    # Nothing longer can be right, and IDNA takes its time.
    if len(text) > _MAX_NAME + 1:
        raise SocketError(ErrorCode.INVALID_ARGUMENT)
    address = _address(text)
    if address is not None:
        return canonical(address)
    if not text.isascii():
        text = _to_ascii(text)
    name = text.lower()
    match = _NAME.fullmatch(name)
    if match is None or len(name.removesuffix(".")) > _MAX_NAME or _NUMBER.fullmatch(match["last"]):
        raise SocketError(ErrorCode.INVALID_ARGUMENT)
    return name


def _address(text: str) -> IPAddress | None:
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    try:
        return IPv4Address(text)
    except ValueError:
        return _ipv6(text)


def _ipv6(text: str) -> IPv6Address | None:
    try:
        address = IPv6Address(text)
    except ValueError:
        return None
    # An `ip-address` has no zone to return.
    return address if address.scope_id is None else None


def _to_ascii(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        raise SocketError(ErrorCode.INVALID_ARGUMENT) from None
