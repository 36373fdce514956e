"""Applications without components, for a server to be tried with, and a process that serves one."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.host.errors import ComponentError
from gateway.lifecycle.reload import Owner, Spreading
from gateway.routes.exchange import ResponseAborted
from gateway.server import serve, supervisor
from tests.patience import PATIENCE

LARGE: Final = 8 << 20
"""Bytes of the response to `/large`: more than sockets buffer."""


class Counted:
    """What is told of connections.

    Attributes:
        open: how many there are.
        ended: how often the server has ended one, by why.
        stops: how often there were as many as there may be.
    """

    def __init__(self) -> None:
        self.open = 0
        self.ended: Counter[str] = Counter()
        self.stops = 0

    def connections_open(self, number: int) -> None:
        self.open = number

    def connection_ended(self, reason: str) -> None:
        self.ended[reason] += 1

    def accepting_stopped(self) -> None:
        self.stops += 1


class Echo:
    """An application that answers with what it saw, or as the first segment of the path tells it to.

    - `/hold/x` answers when `open("/hold/x")` is called, `/begun/x` begins before and ends then;
    - `/watch/x` answers when `open("/watch/x")` is called, unless its client has gone away until then;
    - `/large` is `LARGE` bytes of no announced length, and then nothing more, so that the end waits for them;
    - `/abort` breaks its response off, `/cut` one of no announced length, `/bug` fails;
    - `/queue/x` reads the body when `open("/queue/x")` is called, and all others at once, before they answer.

    Attributes:
        seen: the paths of all requests.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.owner = Owner()
        self.admin: ASGIApp | None = None
        self.connection_metrics = Counted()
        self.draining = False
        self._gone: queue.Queue[str] = queue.Queue()
        self._gates: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run in a loop, without a lifespan."""
        self._loop = loop

    def open(self, path: str) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: self._gate(path).set())

    def wait_until_seen(self, path: str) -> None:
        """Wait until a request has arrived."""
        deadline = time.monotonic() + PATIENCE
        while path not in self.seen:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def wait_until_gone(self, path: str) -> None:
        """Wait until the client of a request that is being read has gone away."""
        while self._gone.get(timeout=PATIENCE) != path:
            pass

    def drain(self) -> None:
        self.draining = True

    @property
    def busy(self) -> bool:
        return False

    def stop_calls(self) -> int:
        return 0

    async def reload(self, config: GatewayConfig, changed: str | None = None) -> None:
        raise ComponentError("cannot change")

    def reload_failed(self, reason: str) -> None:
        _note.error("reload failed", reason=reason)

    def _gate(self, path: str) -> asyncio.Event:
        return self._gates.setdefault(path, asyncio.Event())

    async def _is_watched_to_the_end(self, path: str, receive: Receive) -> bool:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        watching = asyncio.create_task(watch())
        opened = asyncio.create_task(self._gate(path).wait())
        await asyncio.wait((watching, opened), return_when=asyncio.FIRST_COMPLETED)
        gone = watching.done()
        for task in (watching, opened):
            task.cancel()
        if gone:
            self._gone.put(path)
        return not gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._loop = asyncio.get_running_loop()
            await _lifespan(receive, send)
            return
        path = scope["path"]
        self.seen.append(path)
        match path.strip("/").split("/")[0]:
            case "hold":
                await self._gate(path).wait()
                await _answer(send, scope, b"")
            case "watch":
                if await self._is_watched_to_the_end(path, receive):
                    await _answer(send, scope, b"")
            case "begun":
                await _begin(send)
                await self._gate(path).wait()
                await send({"type": "http.response.body", "body": b"ended"})
            case "large":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                body = b"x" * LARGE
                await send({"type": "http.response.body", "body": body, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            case "abort":
                await _begin(send, (b"content-length", b"100"))
                raise ResponseAborted
            case "cut":
                await _begin(send)
                raise ResponseAborted
            case "bug":
                raise ValueError("a bug of the application")
            case first:
                if first == "queue":
                    await self._gate(path).wait()
                body = b""
                message: Message = {"more_body": True}
                while message.get("more_body"):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        self._gone.put(path)
                        return
                    body += message["body"]
                await _answer(send, scope, body)


async def _lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def _begin(send: Send, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})


async def _answer(send: Send, scope: Scope, body: bytes) -> None:
    document = {
        "method": scope["method"],
        "path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "client": scope["client"] and scope["client"][0],
        "scheme": scope["scheme"],
        "body": body.decode(),
        "pid": os.getpid(),
    }
    content = json.dumps(document).encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


# --- in a process -------------------------------------------------------------------------------

_note = structlog.get_logger("tests")


def verify(config: GatewayConfig) -> None:
    """Note that this was called before anything listens."""
    if config.server.port:
        try:
            socket.create_connection(("127.0.0.1", config.server.port)).close()
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("listens before every component was loaded")
    _note.info("verified", pid=os.getpid())


def make_echo(config: GatewayConfig, *, workers_dir: Path | None = None) -> Echo:
    return Echo()


def verify_and_make_echo(config: GatewayConfig, *, workers_dir: Path | None = None) -> Echo:
    verify(config)
    return make_echo(config)


def refuse(config: GatewayConfig, *, workers_dir: Path | None = None) -> Echo:
    raise ComponentError("a.wasm: is a core module")


REFUSED_IF: Final = "ECHO_REFUSED_IF"
"""The environment variable with the path of a file: while it exists, `make_echo_or_refuse` refuses."""


def make_echo_or_refuse(config: GatewayConfig, *, workers_dir: Path | None = None) -> Echo:
    return refuse(config) if Path(os.environ[REFUSED_IF]).exists() else make_echo(config)


HELD_AT: Final = "ECHO_HELD_AT"
"""The environment variable with the path of a named pipe, which `make_held` reads to its end."""


def make_held(config: GatewayConfig, *, workers_dir: Path | None = None) -> Echo:
    Path(os.environ[HELD_AT]).read_bytes()
    return make_echo(config)


SHARING: Final = "ECHO_SHARING"
"""The environment variable with the path of a file that tells `Sharing` what to do."""


class Sharing(Echo):
    """An application that asks all workers for a component `a` at `/change/a`, and tells what came of it.

    While the file at `SHARING` is empty, only the worker that is asked makes changes; the component whose name is
    in it is refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asking = False

    async def reload(self, config: GatewayConfig, changed: str | None = None) -> None:
        _note.info("asked for a change")
        while (told := _told()) == "" and not self._asking:  # noqa: ASYNC110 - a file changes it
            await asyncio.sleep(0.01)
        if told in {component.name for component in config.components}:
            raise ComponentError("this name is refused")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        workers = self.owner.peers
        if scope["type"] == "lifespan" or workers is None:
            await super().__call__(scope, receive, send)
            return
        name = scope["path"].removeprefix("/change/")
        self._asking, outcome = True, "done"
        try:
            await workers.change(name, ComponentConfig(name=name, source=Path("a.wasm")))
        except Spreading:
            outcome = "spreading"
        except ComponentError as error:
            outcome = str(error)
        self._asking = False
        await _answer(send, scope, outcome.encode())


def _told() -> str:
    return Path(os.environ[SHARING]).read_text()


def make_sharing(config: GatewayConfig, *, workers_dir: Path | None = None) -> Sharing:
    return Sharing()


SPREAD: Final = "ECHO_SPREAD"
"""The environment variable with the seconds for which a worker is kept waiting for others."""

HUNG: Final = "ECHO_HUNG"
"""The environment variable with the seconds after which a worker that tells nothing is taken for hung."""


class Failing(Echo):
    """An application that does not start."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})


def make_failing(config: GatewayConfig, *, workers_dir: Path | None = None) -> Failing:
    return Failing()


def main() -> None:
    """Serve in this process: its arguments are a function above that makes an application, and options."""
    create_app, options = sys.argv[1:]
    supervisor.HUNG = float(os.environ.get(HUNG, supervisor.HUNG))  # type: ignore[misc]
    supervisor.SPREAD = float(os.environ.get(SPREAD, supervisor.SPREAD))  # type: ignore[misc]
    config = GatewayConfig(
        server=ServerConfig.model_validate_json(options),
        components=(ComponentConfig(name="echo", source=Path("echo.wasm")),),
    )
    try:
        status = serve(config, create_app=globals()[create_app], verify=verify)
    except ComponentError as error:
        sys.exit(f"refused: {error}")
    sys.exit(status)


if __name__ == "__main__":
    main()
