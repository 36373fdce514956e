"""Bytes on connections of a running gateway, for both parsers: requests, and what is none."""

from __future__ import annotations

import json
import re
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.guests import build
from tests.harness import PATIENCE, GatewayProcess
from tests.hostile.growth import Possessions
from tests.hostile.target import Attack, Fault, Target
from tests.stalls import stalls_of

_CALL: Final = b'{"jsonrpc":"2.0","method":"add","params":[1,2],"id":1}'
_SEEDS: Final = (
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 40,
    b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nt: v\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"1\r\na\r\n" * 500
    + b"0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET http://shop.example/cart HTTP/1.1\r\nhost: a\r\nconnection: close, x\r\nx: y\r\n\r\n",
    b"PROPFIND / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n" + b"a: b\r\n" * 90 + b"\r\n",
    b"POST /rpc/rpc HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_CALL), _CALL),
    b"POST /rpc/rpc HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"transfer-encoding: chunked\r\n\r\n1\r\n[\r\n0\r\n\r\n",
)

_LOOK: Final = 50
"""Inputs after which the gateway is asked how it is."""

_RECENT: Final = 5
"""Inputs that a line of the log may be about: it comes a little later than the answer."""

_ANSWER: Final = 0.5
"""Seconds to wait for an answer: to what is no whole request there is none."""

_MORE: Final = 0.02
"""Seconds to wait for more of it."""

_LOGGED: Final = 0.2
"""Seconds to let the gateway do what nothing waits for."""

_CONFIG: Final = """
[server]
port = 0
http = "{parser}"
operational_routes = "first"
[defaults]
max_execution_time = "2s"
[[components]]
name = "hello"
source = {hello}
routes = [{{ path = "/" }}]
[[components]]
name = "echo"
source = {echo}
routes = [{{ path = "/echo" }}]
[[components]]
name = "rpc"
source = {rpc}
"""


class _Gateway:
    """A gateway under attack."""

    def __init__(self, process: GatewayProcess) -> None:
        self._process = process
        self._seen = 0
        self._before: Possessions | None = None
        self._stalls = stalls_of(process.url)
        self._recent: deque[bytes] = deque(maxlen=_RECENT)

    def send(self, data: bytes) -> None:
        """Send an input, and look at the log: what is new there is the doing of one of the last."""
        self._recent.append(data)
        self._exchange(data)
        if fault := self._logged():
            for recent in reversed(self._recent):
                self._exchange(recent)
                time.sleep(_LOGGED)
                if again := self._logged():
                    raise Fault(_where(again), again, recent)
            raise Fault(_where(fault), fault)

    def look(self) -> None:
        """Whether it is well: it answers, and nothing has held its loop."""
        request = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self._process.port), PATIENCE) as client:
            client.sendall(request)
            answer = client.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Fault("not healthy", repr(answer))
        stalls = stalls_of(self._process.url)
        held, self._stalls = {w for w in stalls if stalls[w] > self._stalls.get(w, 0)}, stalls
        if held:
            raise Fault("stall", f"the loop was held in {', '.join(sorted(held))}")
        if self._before is None:
            self._before = Possessions.of(self._process.pid)

    def left(self) -> None:
        """Whether something is left of all the inputs, once it had time to let go of it."""
        self.look()
        assert self._before is not None
        until = time.monotonic() + PATIENCE
        while grown := Possessions.of(self._process.pid).grown_since(self._before):
            if time.monotonic() > until:
                raise Fault("growth", "; ".join(grown), b"")
            time.sleep(_LOGGED)

    def _exchange(self, data: bytes) -> bytes:
        """Send bytes, read what comes, and go away when nothing more seems to."""
        received = bytearray()
        with socket.create_connection(("127.0.0.1", self._process.port), _ANSWER) as client:
            # Whoever is refused early may be cut off while it sends.
            with suppress(OSError):
                client.sendall(data)
                if len(data) % 2:  # some send no more, and wait for an answer all the same
                    client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError, TimeoutError):
                while piece := client.recv(65536):
                    received += piece
                    client.settimeout(_MORE)
        return bytes(received)

    def _logged(self) -> str:
        """What the gateway has told of since the last look that is its own fault."""
        records, output = self._process.logs, self._process.output
        new, self._seen = records[self._seen :], len(records)
        faults = [record for record in new if record["level"] in {"error", "critical"}]
        return "\n".join(
            [*(f"{fault.get('exception', '')}\n{fault['event']}" for fault in faults), *output]
        )


def _where(told: str) -> str:
    """The innermost place of the gateway in a traceback."""
    places = re.findall(r'gateway/(\S+)", line (\d+)', told)
    return ":".join(places[-1]) if places else "told"


@contextmanager
def _attack(parser: str) -> Iterator[Attack]:
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        guests = {name: build.ALL[f"c/{name}"].build() for name in ("hello", "echo", "rpc")}
        sources = {name: json.dumps(str(path)) for name, path in guests.items()}
        config = folder / "gateway.toml"
        config.write_text(_CONFIG.format(parser=parser, **sources))
        gateway = _Gateway(running.enter_context(GatewayProcess(config)))
        count = 0

        def send(data: bytes) -> None:
            nonlocal count
            gateway.send(data)
            count += 1
            if count % _LOOK == 0:
                gateway.look()

        yield send
        gateway.left()


def _seeds() -> Sequence[bytes]:
    return _SEEDS


def target(parser: str) -> Target:
    """The target of one parser."""
    return Target(lambda: _attack(parser), _seeds, max_size=16 << 10, guided=False, ci_inputs=150)


TARGET = target("httptools")
