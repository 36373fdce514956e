"""How many functions of the gateway a request goes through, from the socket and back to it.

Counted, not timed: it is the same on any machine. The numbers are ceilings. Whoever makes one more of something
for each request sees it here, and either finds that nobody needs it or raises the number and says why.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from types import FrameType

import pytest

import gateway
from gateway.app import create_app
from gateway.config import single
from gateway.host._capi import PROTECTS_STACKS
from gateway.server.endpoint import Endpoint
from gateway.server.listening import Sockets
from gateway.server.settings import uvicorn_config
from tests.harness import PATIENCE, GuestPath

pytest.importorskip("httptools", reason="h11 has other callbacks")

OURS = str(Path(gateway.__file__).parent)

HELLO = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CALL = b'{"jsonrpc":"2.0","method":"add","params":[1,2],"id":1}'
RPC = (
    b"POST /rpc/NAME HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(CALL), CALL)
)

STACK = 3 if PROTECTS_STACKS else 0
"""What it takes to tell Python of the stack that host functions run on, and of its own again: since 3.14."""

REQUESTS = 20
"""What happens now and then, such as a look at deadlines, is not in the least of so many."""


@pytest.mark.parametrize(
    ("name", "request_", "answer", "most"),
    [
        pytest.param("c/hello", HELLO, b"Hello, World!\n", 177 + STACK, id="a-request"),
        pytest.param("c/rpc", RPC, b'{"jsonrpc":"2.0","result":3,"id":1}', 120, id="a-call"),
    ],
)
def test_functions_of_the_gateway_for_each_request(
    guest: GuestPath, name: str, request_: bytes, answer: bytes, most: int
) -> None:
    counts = asyncio.run(_serve(guest(name), request_, answer))
    assert min(counts) <= most


async def _serve(path: Path, request: bytes, answer: bytes) -> list[int]:
    """Have a component answer requests on a connection; gives how many functions each took."""
    config = single(path, port=0)
    app = create_app(config)
    request = request.replace(b"NAME", app.services[0].name.encode())
    settings = config.server
    sockets = Sockets.bind(settings)
    port = int(sockets.listen(settings)["url"].rpartition(":")[2])
    endpoint = Endpoint(
        uvicorn_config(app, settings), {}, sockets.main, settings, app.runtime.metrics
    )
    await endpoint.open(settings.backlog)
    try:
        async with asyncio.timeout(PATIENCE):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setblocking(False)
                return [await _count(client, request, answer) for _ in range(REQUESTS)]
    finally:
        await endpoint.close()
        await endpoint.abort()
        await app.aclose()


async def _count(client: socket.socket, request: bytes, answer: bytes) -> int:
    loop = asyncio.get_running_loop()
    count = 0

    def called(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(OURS)

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        await loop.sock_sendall(client, request)
        response = b""
        # A guest that was pre-empted has its response sent in chunks.
        while not response.endswith((answer, b"0\r\n\r\n")):
            received = await loop.sock_recv(client, 65536)
            assert received, response
            response += received
        assert answer in response
        await asyncio.sleep(0)  # what is told of it once it was answered
    finally:
        sys.setprofile(before)
    return count
