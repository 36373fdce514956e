"""Header fields by which the gateway tells a component what it knows of a request.

A component can trust them: fields that come in with one of these names are dropped, headers and trailers alike. So
are those with underscores for hyphens, which CGI and what has learned from it takes for the same (RFC 3875,
section 4.1.18).
"""

from __future__ import annotations

import itertools
from typing import Final

__all__ = ["CLIENT_ADDR", "PREFIX", "RESERVED", "ROUTE"]

CLIENT_ADDR: Final = "gateway-client-addr"
"""The client's IP address, or what `Origin.client` has else; missing where it is not known."""

ROUTE: Final = "gateway-route"
"""The path of the route that led to the component."""

PREFIX: Final = "gateway-prefix"
"""What `strip_prefix` has taken off the path, as it was sent; missing where nothing was."""


def _spellings(name: str) -> set[bytes]:
    first, *rest = name.split("-")
    tails = itertools.product(*((f"-{part}", f"_{part}") for part in rest))
    return {"".join((first, *tail)).encode() for tail in tails}


RESERVED: Final = frozenset().union(*map(_spellings, (CLIENT_ADDR, ROUTE, PREFIX)))
"""All names that nobody else may send, in lower case."""
