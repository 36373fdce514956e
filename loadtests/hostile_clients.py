"""An ordinary client beside hundreds that do what they can to be in its way.

    python -m loadtests.hostile_clients [--http h11] [--seconds 20] [--only pipeline]

Of each kind there are 100 at once, in a process of their own: clients that ask for a large response and do not
read it, that pipeline and do not read, that send a body a byte at a time, and that leave at every phase of a
request, each made anew as soon as it is gone. The ordinary client sends one request after another on a connection
that it has had before they came, as a load balancer's is.

Its latencies alone and beside the others are printed, and what the gateway holds before and after: memory,
descriptors and threads should be where they began, once the times that clients are given have passed. A latency is
told as time, in which three processes share the processors, and as what the gateway computed meanwhile, which is
what it can do something about.

Clients that drip or do not read cost next to nothing. Those that pipeline or leave keep a hundred requests in
flight: they are served as any others, so that what the ordinary client sees is its share of a saturated processor.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.server.heap import PERIOD
from tests.guests import build
from tests.harness import GatewayProcess, RawConnection

EACH: Final = 100
ALONE: Final = 30.0
"""Seconds at most in which the ordinary client is measured alone."""

TIMEOUT: Final = 5
"""Seconds that the gateway gives clients here, so that what they left behind is gone soon after them."""

CONFIGURATION: Final = """
[server]
header_timeout = "{timeout}s"
body_timeout = "{timeout}s"
write_timeout = "{timeout}s"
keep_alive_timeout = "{timeout}s"
access_log = false

[defaults]
max_execution_time = "{timeout}s"

[[components]]
name = "fail"
source = "{fail}"

[[components]]
name = "hello"
source = "{hello}"
routes = [{{ path = "/hello" }}]
"""

HELLO: Final = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE: Final = b"GET /flood?mib=64 HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD: Final = b"POST /sleep?ms=60000 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"

Attack = Callable[[asyncio.AbstractEventLoop, socket.socket, int], Coroutine[Any, Any, None]]


async def never_read(loop: asyncio.AbstractEventLoop, sock: socket.socket, _number: int) -> None:
    await loop.sock_sendall(sock, LARGE)
    await asyncio.sleep(2 * TIMEOUT)


async def pipeline(loop: asyncio.AbstractEventLoop, sock: socket.socket, _number: int) -> None:
    async with asyncio.timeout(2 * TIMEOUT):
        while True:
            await loop.sock_sendall(sock, HELLO * 1000)


async def drip(loop: asyncio.AbstractEventLoop, sock: socket.socket, _number: int) -> None:
    await loop.sock_sendall(sock, UPLOAD)
    for _ in range(20 * TIMEOUT):
        await loop.sock_sendall(sock, b"x")
        await asyncio.sleep(0.1)


async def leave(loop: asyncio.AbstractEventLoop, sock: socket.socket, number: int) -> None:
    sent = (b"", HELLO[:20], HELLO, UPLOAD, UPLOAD + b"x" * 1000, LARGE)[number % 6]
    await loop.sock_sendall(sock, sent)
    if sent is LARGE:
        await loop.sock_recv(sock, 1000)
    await asyncio.sleep(0.02 * (number % 5))


ATTACKS: Final[tuple[Attack, ...]] = (never_read, pipeline, drip, leave)


async def attack(port: int, seconds: float, only: str | None) -> None:
    """Be all of the hostile clients for a time, or those of one kind."""
    attacks = [one for one in ATTACKS if only in {None, one.__name__}]
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    numbers = itertools.count()

    async def repeat(one: Attack) -> None:
        while loop.time() < end:
            with contextlib.suppress(OSError, TimeoutError), socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, ("127.0.0.1", port))
                await one(loop, sock, next(numbers))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(repeat(one) for one in attacks for _ in range(EACH)))


def run_attack(port: int, seconds: float, only: str | None) -> None:
    asyncio.run(attack(port, seconds, only))


class Latency(NamedTuple):
    """How long a request took.

    Attributes:
        time: in seconds.
        computed: processor time of the gateway's main thread meanwhile, in seconds.
    """

    time: float
    computed: float


class Ordinary:
    """The ordinary client."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._port = gateway.port
        self._schedstat = Path("/proc", str(gateway.pid), "task", str(gateway.pid), "schedstat")
        self._connection = RawConnection(self._port, 1 << 16)

    def latencies(self, seconds: float) -> list[Latency]:
        """Ask for a time; a connection that the gateway ends is made anew, which is part of its request's time."""
        taken = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began, computed = time.perf_counter(), self._computed()
            while not self._ask():
                self._connection.close()
                self._connection = RawConnection(self._port, 1 << 16)
            taken.append(Latency(time.perf_counter() - began, self._computed() - computed))
            time.sleep(0.002)  # it is not to be the load itself
        return taken

    def _ask(self) -> bool:
        try:
            self._connection.send(HELLO)
            self._connection.read_until(b"Hello, World!\n")
        except (EOFError, ConnectionError):
            return False
        return True

    def _computed(self) -> float:
        return int(self._schedstat.read_text().split()[0]) / 1e9


def held(gateway: GatewayProcess) -> str:
    """What a gateway holds."""
    process = Path("/proc", str(gateway.pid))
    descriptors, threads = (len(os.listdir(process / kind)) for kind in ("fd", "task"))
    return f"{gateway.rss() >> 20} MiB, {descriptors} descriptors, {threads} threads"


def report(title: str, taken: list[Latency], alone: list[Latency]) -> None:
    for kind in Latency._fields:
        values, usual = (sorted(getattr(one, kind) for one in each) for each in (taken, alone))
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value, usually = (each[int(len(each) * share)] for each in (values, usual))
            print(f"  {title} {name} {kind} {value * 1e3:.2f} ms: {value / usually:.1f} of alone")
        print(f"  {title} most {kind} {values[-1] * 1e3:.0f} ms of {len(values)}")


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--http", default="auto")
    arguments.add_argument("--seconds", type=float, default=20)
    arguments.add_argument("--only", choices=[one.__name__ for one in ATTACKS])
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.toml")
        guests = {name: build.ALL[f"c/{name}"].build() for name in ("fail", "hello")}
        path.write_text(CONFIGURATION.format(timeout=TIMEOUT, **guests))
        with GatewayProcess(path, "--http", options.http) as gateway:
            ordinary = Ordinary(gateway)
            ordinary.latencies(1)
            print("before:", held(gateway))
            alone = ordinary.latencies(min(options.seconds, ALONE))
            hostile = multiprocessing.Process(
                target=run_attack, args=(gateway.port, options.seconds + 4, options.only)
            )
            hostile.start()
            time.sleep(2)
            print("during:", held(gateway))
            beside = ordinary.latencies(options.seconds)
            hostile.join()
            report("alone", alone, alone)
            report("beside", beside, alone)
            time.sleep(2 * TIMEOUT + PERIOD)
            print("after:", held(gateway))


if __name__ == "__main__":
    main()
