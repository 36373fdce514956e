"""Peers of a gateway that is served by wRPC, byte by byte."""

from __future__ import annotations

import asyncio

from gateway.transports.wrpc import WrpcListener
from tests.patience import PATIENCE
from tests.transports.talking import Talking

__all__ = ["exchange", "listener", "port_of"]


def listener(gateway: Talking) -> WrpcListener:
    """The only one that there is."""
    (found,) = (
        transport
        for transport in gateway.app._deployment.generation._transports
        if isinstance(transport, WrpcListener)
    )
    return found


def port_of(gateway: Talking) -> int:
    """Where that is."""
    sock = listener(gateway)._socket
    assert sock is not None
    port: int = sock.getsockname()[1]
    return port


async def exchange(port: int, *pieces: bytes, ends: bool = True) -> bytes:
    """Send a stream, one piece after the other, and give what comes back until the gateway ends it.

    Args:
        port: of the gateway.
        *pieces: what is sent.
        ends: whether the stream is ended after that.
    """
    source, sink = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            for piece in pieces:
                sink.write(piece)
                await sink.drain()
                await asyncio.sleep(0)
            if ends:
                sink.write_eof()
            return await source.read()
    finally:
        sink.transport.abort()
