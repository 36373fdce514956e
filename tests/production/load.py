"""Clients that ask again and again, and count what they are answered."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Final, Self

from tests.harness import PATIENCE

GET: Final = b"GET / HTTP/1.1\r\nHost: example.com\r\n%s\r\n"
POST: Final = b"POST /echo HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n%%s\r\n%s" % (
    20_000,
    b"x" * 20_000,
)
CLOSE: Final = b"Connection: close\r\n"


class Load:
    """Clients in a thread: some that keep their connection, some that make one for each request.

    Attributes:
        answers: how often each status was answered, by method. 0 is none at all, or not the right content.
        troubles: what was wrong, each kind once.
    """

    def __init__(self, port: int, clients: int = 2, pause: float = 0.0) -> None:
        """Start them.

        Args:
            port: where to ask.
            clients: how many there are of each of the four kinds.
            pause: seconds that each waits in the middle of a body, and before its next request. Without, they take
                all of the processors that they can get.
        """
        self.answers: Counter[tuple[str, int]] = Counter()
        self.troubles: set[str] = set()
        self._port = port
        self._clients = clients
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Have each client end after its next answer, and wait for them."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @property
    def count(self) -> int:
        """How many requests have been answered so far, or not."""
        return sum(self.answers.values())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                for request, expected in ((GET, b"Hello, World!\n"), (POST, b"x" * 20_000)):
                    for keep in (True, False):
                        group.create_task(self._ask(request, expected, keep))

    async def _ask(self, request: bytes, expected: bytes, keep: bool) -> None:
        method = request.partition(b" ")[0].decode()
        sent = request % (b"" if keep else CLOSE)
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stop.is_set():
            status = 0
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = streams
                # Most of a request with a body is under way in the middle of it.
                begun = len(sent) // 2 if self._pause and request is POST else len(sent)
                writer.write(sent[:begun])
                if begun < len(sent):
                    await asyncio.sleep(self._pause)
                    writer.write(sent[begun:])
                await writer.drain()
                async with asyncio.timeout(PATIENCE):
                    status, content, ends = await _response(reader)
                if status == 200 and content != expected:
                    status = 0
                    self.troubles.add(f"{method}: content of {len(content)} bytes")
                elif status != 200:
                    self.troubles.add(f"{method}: {status} {content[:200]!r}")
            except (OSError, EOFError, TimeoutError) as error:
                self.troubles.add(f"{method}: {error!r}")
                ends = True
            self.answers[method, status] += 1
            if streams is not None and (ends or not keep):
                streams[1].close()
                streams = None
            await asyncio.sleep(self._pause)
        if streams is not None:
            streams[1].close()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Read a response: its status, its content, and whether it is the last of its connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    content = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            content += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    elif "content-length" in headers:
        content = await reader.readexactly(int(headers["content-length"]))
    else:
        content = await reader.read()
    return int(lines[0].split(" ")[1]), content, headers.get("connection") == "close"
