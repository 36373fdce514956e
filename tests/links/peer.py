"""A server that JSON-RPC is sent to, which answers as it is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.ports import free_port

__all__ = ["Peer", "http"]


def http(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Peer:
    """A server that answers as it is told.

    Attributes:
        url: where it is.
        asked: the requests so far, each with its headers.
        connections: how many are open.
        opened: how many there were so far.
        answer: what it answers; None for never.
        closes: whether it closes the connection after that.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.connections = 0
        self.opened = 0
        self.answer: bytes | None = None
        self.closes = False
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen: always at the same port."""
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{self._port}/rpc/there"

    async def stop(self) -> None:
        """Die: break every connection, and take no more."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection."""
        self.connections += 1
        self.opened += 1
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {
                    name.lower(): value
                    for name, _, value in (line.partition(": ") for line in lines)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append((json.loads(body), headers))
                if self.answer is None:
                    await reader.read()
                    return
                writer.write(self.answer)
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            self._open.discard(writer)
            writer.close()
