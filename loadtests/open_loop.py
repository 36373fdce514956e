"""A load generator with an open loop: requests are sent when they are due, whatever became of those before.

wrk has a closed loop: a connection asks again once it has its answer, so a server that slows down is asked less.
Many independent clients do not wait for each other; only this way can more be offered than a server can take.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

__all__ = ["Answers", "run"]

CONNECTIONS = 1000
"""How many there are, opened beforehand: the measure is of requests, not of a listener's backlog. A request that
finds all of them busy is not sent."""

PATIENCE = 30.0
"""Seconds that the last answers may take to arrive."""


@dataclass
class Answers:
    """What came of the requests.

    Attributes:
        seconds: how long requests were sent.
        latencies: by status, the seconds from when each request was due to the end of its response, in order.
            The client's own delays count, as does waiting in the server's socket.
        failures: requests without a whole response, by reason.
    """

    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many requests there were."""
        return sum(map(len, self.latencies.values())) + self.failures.total()

    @property
    def offered(self) -> float:
        """Requests a second. Less than what was asked for if the generator is too slow for it."""
        return self.count / self.seconds

    def rate(self, status: int) -> float:
        """Responses with this status, for each second of sending."""
        return len(self.latencies.get(status, ())) / self.seconds

    def quantile(self, q: float, status: int = 200) -> float:
        """The seconds that this share of the responses with a status took at most; NaN if there are none."""
        latencies = self.latencies.get(status)
        return (
            latencies[min(int(q * len(latencies)), len(latencies) - 1)]
            if latencies
            else float("nan")
        )


def run(url: str, *, rate: float, seconds: float) -> Answers:
    """Send a GET request every `1 / rate` seconds, and wait for the answers.

    Args:
        url: what is requested.
        rate: requests a second.
        seconds: how long.
    """
    return uvloop.run(_Generator(url).run(rate, seconds))


class _Generator:
    """Takes the connection that has been idle the longest, and replaces those that the server closes."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.address = (parts.hostname, parts.port or 80)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self.request = f"GET {target} HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode()
        self.answers = Answers()
        self.idle: deque[_Connection] = deque()
        self.busy: set[_Connection] = set()
        self.connecting: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, seconds: float) -> Answers:
        await self._warm_up()
        began = perf_counter()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            # Behind its time it still lets answers in: they give connections back.
            if (early := due - perf_counter()) > 0 or number % 50 == 0:
                await asyncio.sleep(max(early, 0))
            self._send(due)
        self.answers.seconds = perf_counter() - began
        while self.busy or self.connecting:
            if perf_counter() > began + self.answers.seconds + PATIENCE:
                break
            await asyncio.sleep(0.01)
        self.answers.failures["not answered"] += len(self.busy) + len(self.connecting)
        for connection in [*self.idle, *self.busy]:
            connection.close()
        for latencies in self.answers.latencies.values():
            latencies.sort()
        return self.answers

    async def _warm_up(self) -> None:
        """Open the connections, and use each once: a loop of libuv accepts only one in each of its turns."""
        for _ in range(CONNECTIONS):
            (await self._connect()).send(perf_counter())
            while len(self.busy) >= 25:  # noqa: ASYNC110 - few at a time, so that none is refused
                await asyncio.sleep(0.001)
        while self.busy:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        self.answers = Answers()

    def _send(self, due: float) -> None:
        if self.idle:
            self.idle.popleft().send(due)
        elif len(self.busy) + len(self.connecting) < CONNECTIONS:
            task = asyncio.create_task(self._connect_and_send(due))
            self.connecting.add(task)
            task.add_done_callback(self.connecting.discard)
        else:
            self.answers.failures["all connections busy"] += 1

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), *self.address)
        return connection

    async def _connect_and_send(self, due: float) -> None:
        try:
            connection = await self._connect()
        except OSError as error:
            self.answers.failures[type(error).__name__] += 1
        else:
            connection.send(due)


class _Connection(asyncio.Protocol):
    """A connection with one request at a time; the parser calls `on_message_complete`."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def send(self, due: float) -> None:
        self._due = due
        self._parser = httptools.HttpResponseParser(self)
        self._generator.busy.add(self)
        self._transport.write(self._generator.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._due is not None
        status = self._parser.get_status_code()
        self._generator.answers.latencies.setdefault(status, []).append(perf_counter() - self._due)
        self._due = None
        self._generator.busy.discard(self)
        if self._parser.should_keep_alive():
            self._generator.idle.append(self)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._due = None
            self._generator.busy.discard(self)
            self._generator.answers.failures[type(exc).__name__ if exc else "closed"] += 1
        elif self in self._generator.idle:
            self._generator.idle.remove(self)

    def close(self) -> None:
        self._due = None
        self._transport.close()
