"""The one spelling in which routes and requests are compared."""

from __future__ import annotations

import ipaddress
import re
import string
import urllib.parse
from typing import Final

from gateway.http.syntax import is_host_name

__all__ = ["canonical_host", "canonical_path"]

_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-._~")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def canonical_path(path: str) -> str:
    """Give equivalent paths one spelling (RFC 3986, section 6.2.2).

    Escapes of unreserved characters are undone ("/%7Euser" is "/~user"), all others are written in upper
    case ("%2F" stays apart from "/"), and characters beyond ASCII are escaped as UTF-8. What is no valid
    path is handed back as it is.
    """
    if not path.isascii():
        path = urllib.parse.quote(path, safe=string.printable, errors="replace")
    return _ESCAPE.sub(_canonical_escape, path) if "%" in path else path


def canonical_host(host: str) -> str:
    """Give equivalent hosts one spelling: lower case, no final dot, IPv6 addresses shortened in brackets.

    Args:
        host: a name or an address, without a port.

    Raises:
        ValueError: it is neither; the message is the reason alone.
    """
    literal = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in literal:
        try:
            return f"[{ipaddress.IPv6Address(literal).compressed}]"
        except ValueError:
            raise ValueError("must be a host alone, without scheme or port") from None
    name = host.lower().removesuffix(".")
    if not name.isascii():
        raise ValueError('must be written in its ASCII form, such as "xn--bcher-kva.example"')
    if not is_host_name(name):
        raise ValueError('must be a host, such as "example.com" or "*.example.com"')
    return name


def _canonical_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()
