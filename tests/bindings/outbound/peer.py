r"""A server that does what a test tells it to, byte by byte.

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    async with peer(script) as server:
        ...

The script plays the server's part in every connection to `server.port`, which is closed at its end.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Final

from tests.harness import PATIENCE

RESPONSE: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
"""A whole response, after which the connection stays open."""


class Wire:
    """The peer's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        """What was agreed on in the handshake."""
        tls: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return tls

    async def head(self) -> bytes:
        """The head of the next request, with the empty line."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def read(self, size: int) -> bytes:
        """Just so many bytes."""
        return await self._reader.readexactly(size)

    async def some(self) -> bytes:
        """What comes next; empty at the end."""
        return await self._reader.read(65536)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content of a chunked message, one chunk after the other."""
        while size := int(await self._reader.readline(), 16):
            yield await self._reader.readexactly(size)
            assert await self._reader.readexactly(2) == b"\r\n"

    async def trailers(self) -> list[bytes]:
        """The lines after the last chunk."""
        lines = []
        while line := (await self._reader.readline()).removesuffix(b"\r\n"):
            lines.append(line)
        return lines

    async def send(self, data: bytes) -> None:
        """Send bytes, as far as the other side takes them."""
        self._writer.write(data)
        await self._writer.drain()

    async def hung_up(self) -> None:
        """Wait until the other side has closed the connection, properly or not; what still comes is dropped."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def reset(self) -> None:
        """Break the connection off, so that the other side sees ECONNRESET."""
        socket = self._writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def abort(self) -> None:
        """Close the connection under TLS, without a word of that."""
        self._writer.transport.abort()


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class Peer:
    """A server that is listening.

    Attributes:
        port: where, on 127.0.0.1.
        connections: how many it has accepted.
    """

    port: int
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def authority(self) -> str:
        """Its address and port."""
        return f"127.0.0.1:{self.port}"

    async def finished(self) -> None:
        """Wait until the script of every connection so far has come to its end."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)


@asynccontextmanager
async def peer(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Listen on loopback; at the end, fail with what went wrong in a script, if something did."""
    failures: list[BaseException] = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        server._tasks.add(task)
        server.connections += 1
        try:
            await script(Wire(reader, writer))
        except asyncio.CancelledError:
            writer.transport.abort()
        except Exception as error:
            failures.append(error)
        finally:
            writer.close()

    listening = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=tls)
    server = Peer(listening.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listening.close()
        for task in server._tasks:
            task.cancel()
        await asyncio.gather(*server._tasks, return_exceptions=True)
    if failures:
        raise failures[0]


def answers(response: bytes = RESPONSE) -> Script:
    """A script that answers every request, none of which has content, with the same bytes."""

    async def script(wire: Wire) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await wire.head()
                await wire.send(response)

    return script


async def silent(wire: Wire) -> None:
    """A script that never says anything."""
    await wire.hung_up()
