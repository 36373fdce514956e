"""Scripted servers beside a test: `tests.bindings.outbound.peer` in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from socket import SOCK_STREAM, socket
from typing import Final, Protocol

from anyio.from_thread import start_blocking_portal

from tests.bindings.outbound.peer import Peer, Script, Wire, peer
from tests.harness import PATIENCE

CHUNKED: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
"""The head of a response whose content is to follow in chunks."""


class StartPeer(Protocol):
    """The fixture `start_peer`: starts a server that runs until the test ends."""

    def __call__(self, script: Script) -> Peer:
        """Plays `script` on each connection, see `tests.bindings.outbound.peer`."""


@contextmanager
def peers() -> Iterator[StartPeer]:
    """Servers on one loop in a thread; at the end, fails with what went wrong in a script."""
    with start_blocking_portal() as portal, ExitStack() as running:

        def start(script: Script) -> Peer:
            serving: AbstractContextManager[Peer] = portal.wrap_async_context_manager(peer(script))
            return running.enter_context(serving)

        yield start


class Signal:
    """What happens once, in a script or in a test, and is awaited by the other."""

    def __init__(self, what: str) -> None:
        """Names it, for the message of a test that fails."""
        self._what = what
        self._event = threading.Event()

    def set(self) -> None:
        """It has happened."""
        self._event.set()

    def wait(self) -> None:
        """Waits for it in a test.

        Raises:
            AssertionError: It did not happen in time.
        """
        assert self._event.wait(PATIENCE), f"this never happened: {self._what}"

    async def happened(self) -> None:
        """Waits for it in a script, see `wait`."""
        await asyncio.to_thread(self.wait)


class Stalling:
    """A script that reads a request's head, says so much, and then nothing until it is hung up on.

    Attributes:
        reached: The request's head is there, and all was said.
        hung_up: The gateway has closed the connection.
    """

    def __init__(self, said: bytes = b"") -> None:
        self._said = said
        self.reached = Signal("the peer was asked")
        self.hung_up = Signal("the gateway closed its connection to the peer")

    async def __call__(self, wire: Wire) -> None:
        await wire.head()
        await wire.send(self._said)
        self.reached.set()
        await wire.hung_up()
        self.hung_up.set()


def resetting(said: bytes) -> Script:
    """A script that reads a request's head, says so much, and breaks the connection off."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(said)
        wire.reset()

    return script


def answering(respond: Callable[[str], bytes]) -> Script:
    """A script that answers one request with the text that `respond` makes of its target."""

    async def script(wire: Wire) -> None:
        await wire.send(text(respond(target_of(await wire.head()))))

    return script


def target_of(head: bytes) -> str:
    """The target in a request's head."""
    return head.split(b" ", 2)[1].decode()


def text(content: bytes, status: str = "200 OK") -> bytes:
    """A whole response, after which the connection is closed."""
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def chunk(data: bytes) -> bytes:
    """A chunk; that of nothing is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def echo(wire: Wire) -> None:
    """A script that sends the chunks of a request back, each as it comes."""
    await wire.head()
    await wire.send(CHUNKED)
    async for data in wire.chunks():
        await wire.send(chunk(data))
    await wire.trailers()
    await wire.send(chunk(b""))


@contextmanager
def refusing() -> Iterator[str]:
    """An authority that refuses connections: its port is taken, and nobody listens on it."""
    with socket(type=SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
