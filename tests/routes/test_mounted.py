"""The application as a part of someone else's, which tells it nothing of its life."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from gateway import config as configuration
from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.server import Sockets
from tests.harness import PATIENCE, GuestPath, probe_headers
from tests.routes.wire import Client

STACKS = {"httptools-uvloop": ("httptools", "uvloop"), "h11-asyncio": ("h11", "asyncio")}


@contextlib.contextmanager
def serving(app: Starlette, http: str, loop: str) -> Iterator[int]:
    """Serves an application in a thread, by uvicorn as it is; gives the port."""
    settings = ServerConfig(port=0)
    with Sockets.bind(settings) as sockets:
        port = int(sockets.listen(settings)["url"].rpartition(":")[2])
        config = uvicorn.Config(app, lifespan="off", http=http, loop=loop, log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([sockets.main[0].sock],))
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture(scope="module", params=STACKS)
def port(request: pytest.FixtureRequest, guest: GuestPath) -> Iterator[int]:
    """A Starlette application with the gateway at /prefix."""

    async def own(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("its own")

    components = [
        ComponentConfig(
            name=name,
            source=guest(source),
            routes=(configuration.Route(path=path),),
            max_concurrency=8,
        )
        for name, source, path in (
            ("fail", "c/fail", "/"),
            ("hello", "c/hello", "/hello"),
            ("probe", "python/probe", "/probe"),
        )
    ]
    gateway = create_app(GatewayConfig(components=tuple(components)))
    app = Starlette(routes=[Route("/own", own), Mount("/prefix", gateway)])
    with serving(app, *STACKS[request.param]) as port:
        yield port


def test_both_answer(port: int) -> None:
    with Client(port) as client:
        assert client.get("/own").body == b"its own"
        assert client.get("/prefix/hello").body == b"Hello, World!\n"
        assert client.get("/hello").status == 404
        assert client.get("/own").body == b"its own"


@pytest.mark.parametrize("target", ["/probe", "/probe/a%2Fb?c=%20"])
def test_routes_are_below_the_prefix_and_targets_as_sent(port: int, target: str) -> None:
    source = probe_headers("result = request.path_with_query()")
    carrier = [f"{name}: {value}" for name, value in source.items()]
    with Client(port) as client:
        assert client.get(f"/prefix{target}", *carrier).json == {"ok": f"/prefix{target}"}


def test_a_failure_is_a_problem(port: int) -> None:
    source = probe_headers("raise KeyboardInterrupt")
    carrier = [f"{name}: {value}" for name, value in source.items()]
    with Client(port) as client:
        response = client.get("/prefix/probe", *carrier)
        assert (response.status, response["content-type"]) == (500, "application/problem+json")
        assert client.get("/own").status == 200


def test_a_body_is_streamed(port: int) -> None:
    source = probe_headers("""
        response_set = True
        response = types.OutgoingResponse(types.Fields())
        body = response.body()
        types.ResponseOutparam.set(response_out, Ok(response))
        with request.consume() as incoming, incoming.stream() as source, body.write() as sink:
            try:
                while True:
                    sink.blocking_splice(source, 4096)
            except Err:
                pass
        types.OutgoingBody.finish(body, None)
    """)
    carrier = [f"{name}: {value}" for name, value in source.items()]
    with Client(port) as client:
        client.request("/prefix/probe", *carrier, "Transfer-Encoding: chunked", method="POST")
        client.check_echo(b"first", b"second")
        assert client.get("/own").status == 200
