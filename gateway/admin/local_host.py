"""Which hosts may be asked for where only this machine can connect.

A web page cannot connect to a loopback address of the machine that shows it and read what comes back, unless its
name leads there: its owner changes what the name stands for once the page is loaded (DNS rebinding), and the
browser takes both for one site. What gives it away is the `Host` field, which has that name. So where the admin
address is one of loopback, requests for other names are refused. An IP address cannot be rebound, so any is
taken; nor can a name without a dot, which comes from this machine or its network: no top-level domain has an
address.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

__all__ = ["is_local", "is_loopback"]

_LABEL: Final = re.compile(r"[0-9A-Za-z_-]{1,63}")
"""A name of one label, without the dot at its end that would make it a top-level domain."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a host, by its name or its address."""
    if _is_localhost(host):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(authority: bytes) -> bool:
    """Whether a `Host` field (RFC 9110, section 7.2) has an IP address or a name of this machine."""
    text = authority.decode("latin-1").strip(" \t")
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text.removeprefix("[").partition("]")
        port = port.removeprefix(":")
    elif ":" in text:
        host, _, port = text.rpartition(":")
    if port and not (port.isascii() and port.isdecimal()):
        return False
    if _is_localhost(host) or _LABEL.fullmatch(host):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_localhost(name: str) -> bool:
    """Whether it is `localhost` or below it, which no server of DNS is asked about (RFC 6761, section 6.3)."""
    name = name.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")
