"""The server: where it listens, and the processes that serve there."""

from __future__ import annotations

import errno
import functools
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, cast

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from gateway import app as gateway_app
from gateway import log
from gateway.config import GatewayConfig, ServerConfig
from gateway.host.errors import ComponentError
from gateway.protocols import http_protocol

__all__ = ["ListenError", "bind", "listen", "make_server", "serve"]

_log = structlog.get_logger("gateway.server")

AppFactory = Callable[[GatewayConfig], ASGIApp]


# --- Listening -----------------------------------------------------------------------------------


class ListenError(Exception):
    """The gateway cannot listen where it was told to. The message says why and what to do."""


_LISTEN_HINTS: Final = {
    errno.EADDRINUSE: "the port is in use: stop what listens there, or choose another port",
    errno.EACCES: "this user may not: ports below 1024 need a privilege, choose a higher one",
    errno.EADDRNOTAVAIL: 'this machine has no such address: "0.0.0.0" stands for all that it has',
}


def bind(server: ServerConfig) -> socket.socket:
    """Take the address of a server without accepting connections yet.

    Of a name that has addresses of both families, the first of IPv4 is taken. "::" is for both.

    Raises:
        ListenError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is no host name"
        raise ListenError(f'cannot listen on "{server.host}": {reason}') from error
    family, kind, number, _name, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, number)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if server.host == "::" and socket.has_dualstack_ipv6():
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _listen_error(server, error) from error
    return sock


def listen(sock: socket.socket, server: ServerConfig) -> str:
    """Accept connections from now on, and give the URL.

    Raises:
        ListenError: another process was faster.
    """
    try:
        sock.listen(server.backlog)
    except OSError as error:
        raise _listen_error(server, error) from error
    return _url(server.host, sock.getsockname()[1])


def _listen_error(server: ServerConfig, error: OSError) -> ListenError:
    reason = _LISTEN_HINTS.get(error.errno or 0, error.strerror)
    return ListenError(f"cannot listen on {_url(server.host, server.port)}: {reason}")


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# --- Running -------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """A server that says when it listens, and whose stop on a signal is no failure."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("stopping", connections=len(self.server_state.connections))
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Not uvicorn's: that one remembers the signal, to be killed by it after the graceful stop.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


class _Supervisor(Multiprocess):
    """A supervisor that says when all of its workers listen, and when one had to be replaced."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], announce: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._announce: Callable[[], None] | None = announce

    def terminate_all(self) -> None:
        _log.info("stopping", workers=len(self.processes))
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            # The worker has its own. As long as this one is open too, a worker that dies while it is asked
            # whether it lives is waited for until the time is up.
            process.child_conn.close()
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        if self.should_exit.is_set():
            return
        for process in self.processes:
            if process.pid not in before:
                _log.warning("worker replaced", pid=process.pid)
        if self._announce is not None and all(process.is_ready() for process in self.processes):
            self._announce()
            self._announce = None


def make_server(
    config: GatewayConfig, app: ASGIApp, announce: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """Make a server for an application in this process.

    Args:
        config: how to serve it.
        app: the application.
        announce: called when connections are accepted.
    """
    return _Server(_uvicorn_config(config, functools.partial(_same, app)), announce)


def serve(
    config: GatewayConfig,
    *,
    create_app: AppFactory = gateway_app.create_app,
    verify: Callable[[GatewayConfig], None] = gateway_app.verify,
) -> int:
    """Serve until a signal ends it.

    Nothing is accepted before every component was loaded. SIGTERM and SIGINT stop gracefully: running
    requests have `shutdown_timeout` left; a second SIGINT does not wait.

    Args:
        config: what, where and how.
        create_app: makes the application, here or in each worker, which finds it by its import path.
        verify: is called once before workers start, to fill the compile cache and to find errors.

    Returns:
        The status to exit with: 0 after a signal, 1 if the server or a worker failed to start.

    Raises:
        ListenError: the address cannot be had.
        ComponentError: a component is refused.
    """
    server = config.server
    log.configure(server.log_format, server.log_level)
    with bind(server) as sock:
        announce = functools.partial(_announce, config, sock)
        if server.workers > 1:
            verify(config)
            listen(sock, server)
            factory = functools.partial(_create_in_worker, create_app, config)
            supervisor = _Supervisor(_uvicorn_config(config, factory), [sock], announce)
            supervisor.run()
            failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
            return 1 if failed else 0
        app = create_app(config)
        _collect_rarely()
        listen(sock, server)
        try:
            make_server(config, app, announce).run([sock])
        except SystemExit:  # uvicorn's, after it has logged why the application did not start
            return 1
        return 0


def _announce(config: GatewayConfig, sock: socket.socket) -> None:
    _log.info(
        "listening",
        url=_url(config.server.host, sock.getsockname()[1]),
        workers=config.server.workers,
        components=[component.name for component in config.components],
    )


def _same(app: ASGIApp) -> ASGIApp:
    return app


def _create_in_worker(create_app: AppFactory, config: GatewayConfig) -> ASGIApp:
    log.configure(config.server.log_format, config.server.log_level)
    try:
        app = create_app(config)
    except ComponentError as error:
        # It was there when the parent looked. Another attempt would find the same: stop them all.
        _log.critical("component refused", reason=str(error))
        sys.exit(STARTUP_FAILURE)
    _collect_rarely()
    return app


def _collect_rarely() -> None:
    """Have the garbage collector look for cycles less often, and not in what is there for good.

    An invocation's objects are freed by their reference counts. With thousands of invocations under way, the
    collector's default rhythm walks all of them again and again: 2,000 guests that wait were served at two thirds
    of the rate (loadtests.sleepers).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _uvicorn_config(config: GatewayConfig, factory: Callable[[], ASGIApp]) -> uvicorn.Config:
    server = config.server
    return uvicorn.Config(
        factory,
        factory=True,
        interface="asgi3",
        lifespan="on",
        workers=server.workers,
        http=http_protocol(server.http),
        ws="none",
        loop=server.loop,
        backlog=server.backlog,
        h11_max_incomplete_event_size=server.max_header_bytes,
        # Both go to functions that take fractions of seconds, whatever uvicorn's annotations say.
        timeout_keep_alive=cast("int", server.keep_alive_timeout),
        timeout_graceful_shutdown=cast("int", server.shutdown_timeout),
        # The application decides itself whose `Forwarded` it believes, and logs requests itself.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
    )
