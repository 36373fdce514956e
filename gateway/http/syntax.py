"""Syntax of the parts of an HTTP message that a guest, or a proxy, may name.

Each function answers one question of one grammar rule and has no other effect. They are used where
`wasi:http/types` says that a setter "fails if the string given is not a syntactically valid ...",
and where a `Host` or `Forwarded` field of an incoming request is believed.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

__all__ = [
    "TOKEN",
    "is_authority",
    "is_host_name",
    "is_method",
    "is_path_with_query",
    "is_scheme",
    "is_status_code",
    "is_token",
]

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2, `token`. Matches text; use `fullmatch`."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")

# uri-host [ ":" port ]. A registered name may be empty in RFC 3986, but RFC 9110 sections 4.2.1 and
# 4.2.2 make an http(s) URI with an empty host invalid. The port is bounded below, by its value.
_AUTHORITY: Final = re.compile(
    r"""
    (?: (?: [A-Za-z0-9\-._~!$&'()*+,;=]++ | %[0-9A-Fa-f]{2} )++  # reg-name, IPv4address
      | \[ (?P<ipv6> [0-9A-Fa-f:.]+ ) \]                       # IP-literal: IPv6address
      | \[ [vV] [0-9A-Fa-f]+ \. [A-Za-z0-9\-._~!$&'()*+,;=:]+ \]   # IP-literal: IPvFuture
    )
    (?: : (?P<port> 0*[0-9]{1,5} ) )?
    """,
    re.VERBOSE,
)
_PORT_MAX: Final = 65535

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NAME_MAX: Final = 253

# VCHAR without `"`, `#`, `<` and `>`. RFC 3986 excludes ``[ ] \ ^ ` { | }`` too, yet URL Standard
# parsers (a JavaScript guest's fetch) leave them bare in a query, and none of them can end a
# request line. Percent signs are not paired with digits here for the same reason.
_PATH_WITH_QUERY: Final = re.compile(r"(?:[/?][!$-;=?-~]*)?|\*")


def is_token(text: str) -> bool:
    """Whether `text` is a token: RFC 9110 section 5.6.2."""
    return TOKEN.fullmatch(text) is not None


def is_method(method: str) -> bool:
    """Whether `method` may stand in a request line: a token, RFC 9110 section 9.1.

    Methods are case-sensitive, and need not be registered.
    """
    return TOKEN.fullmatch(method) is not None


def is_scheme(scheme: str) -> bool:
    """Whether `scheme` is a URI scheme: RFC 3986 section 3.1."""
    return _SCHEME.fullmatch(scheme) is not None


def is_authority(authority: str) -> bool:
    """Whether `authority` is the `uri-host [":" port]` of an http or https URI.

    RFC 3986 section 3.2 as narrowed by RFC 9110: the host is not empty (sections 4.2.1 and 4.2.2),
    and there is no userinfo, which a sender must not generate and a recipient should treat as an
    error (section 4.2.4). A port, where its colon is written, is a number up to 65535.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return False
    ipv6, port = match.groups()
    if port is not None and int(port) > _PORT_MAX:
        return False
    if ipv6 is not None:
        try:
            IPv6Address(ipv6)
        except AddressValueError:
            return False
    return True


def is_host_name(name: str) -> bool:
    """Whether `name` is a host's, without a final dot: RFC 1123 section 2.1 in lower case, and "_"."""
    return len(name) <= _NAME_MAX and all(map(_LABEL.fullmatch, name.split(".")))


def is_path_with_query(path_with_query: str) -> bool:
    """Whether `path_with_query` may be the path and query of a request target.

    RFC 3986 sections 3.3 and 3.4: a `path-abempty` (empty, or beginning with a slash), then a query
    if there is a question mark; or the asterisk of RFC 9112 section 3.2.4. There is no fragment,
    whitespace, control character or character beyond ASCII.
    """
    return _PATH_WITH_QUERY.fullmatch(path_with_query) is not None


def is_status_code(status_code: int) -> bool:
    """Whether `status_code` is three digits long: RFC 9110 section 15."""
    return 100 <= status_code <= 999
