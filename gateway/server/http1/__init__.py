"""HTTP/1.1, as far as a server of ASGI needs it, with a bound on what a connection may cost.

A parser, httptools or h11, reads requests and nothing else. All that follows from them is the same for both: a
connection (`connection`) has one request under way at most, and that one is a cycle (`cycle`), which frames the
response.

- the request line and headers are bounded in size (431) and in time (408), also when they come a byte at
  a time; so are trailers and the lengths of chunks;
- the parser is fed in pieces, and has one request at a time (`intake`), framed in the one way that there is
  (`framing`);
- a client that sends or takes nothing for too long loses its connection (`limits`, `writing`), and gets all of its
  response where it is ended by this side while it sends (`outlet`);
- one that has gone away is noticed though nothing is read, and one that only sends no more is answered
  (`departure`);
- what is no HTTP gets a problem document (400), never into the middle of another request's response;
- a request to switch protocols is answered as ordinary HTTP, its body included (RFC 9110, section 7.8);
- a request target in absolute form is taken apart, as every server must (RFC 9112, section 3.2.2);
- a client of HTTP/1.0 gets no chunks and no 100 (RFC 9112, section 6.1; RFC 9110, section 10.1.1), and sees
  whether its response is whole;
- a server that stops says so in the last response of each connection (RFC 9112, section 9.6), and closes none on
  which a request has arrived.
"""

import asyncio
import importlib.util
from typing import Literal

from gateway.server.http1._h11 import H11Connection
from gateway.server.http1.connection import Http1Connection

__all__ = ["Http1Connection", "http_protocol"]

_FASTEST: type[asyncio.Protocol] = H11Connection

# There is no wheel for every platform; h11 is pure Python.
if importlib.util.find_spec("httptools") is not None:
    from gateway.server.http1 import _httptools

    _FASTEST = _httptools.HttpToolsConnection


def http_protocol(parser: Literal["auto", "httptools", "h11"]) -> type[asyncio.Protocol]:
    """Give the protocol with a parser; "auto" is httptools where it is installed."""
    return H11Connection if parser == "h11" else _FASTEST
