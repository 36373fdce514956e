"""What peers invoke by wRPC, at a TCP port or a Unix socket: each connection is one invocation.

The protocol has no form for a call that failed. A peer whose call has no result is sent a frame that breaks off,
so that nobody takes the end of the stream for the result of a function that returns nothing.

Source: SPEC.md of https://github.com/bytecodealliance/wrpc, v0.0.1-draft.1
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Hashable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import structlog

from gateway.config import ServerConfig
from gateway.config.wrpc_address import WrpcAddress
from gateway.host.errors import Exhausted
from gateway.host.pieces import of_any_length
from gateway.http.field_lines import FieldLines
from gateway.http.trace_context import incoming
from gateway.observe.events import DynamicExportReturned, Outcome
from gateway.serving.admission import NoRoom, Place
from gateway.serving.call import Call
from gateway.serving.service import Service
from gateway.serving.wrpc_functions import MAX_REASON, WrpcFunction, WrpcFunctions
from gateway.transports.socket_file import remove_stale
from gateway.transports.transport import Transport
from gateway.wrpc.cursor import Malformed
from gateway.wrpc.frames import BROKEN, Incoming

__all__ = ["WrpcListener", "listeners"]

_log = structlog.get_logger("gateway.wrpc")

MAX_CONNECTIONS: Final = 1000
"""Connections at one address in one worker; more wait in the kernel's queue. Threat: peers that connect and say
nothing. Arbitrary: as many invocations as a component has by default."""

AT_ONCE: Final = 8
"""Connections that are accepted in one turn of the loop. That of the HTTP server."""

RETRY: Final = 1.0
"""Seconds until the next attempt to listen, or to accept where the system has no room for one more."""

_BLOCK: Final = 64 << 10
"""Bytes that are written at once, each of which begins `write_timeout` anew."""


def listeners(services: Iterable[Service], server: ServerConfig) -> Iterator[WrpcListener]:
    """Those of components in service."""
    for service in services:
        if service.config.wrpc_listen:
            functions = WrpcFunctions(service)
            for address in service.config.wrpc_listen:
                yield WrpcListener(service, functions, address, server)


class WrpcListener:
    """One address at which a component is served: a `Transport`.

    Args:
        service: the component.
        functions: what it offers.
        address: where.
        server: what the operator said of the server.

    Attributes:
        route: what led to its invocations: the address.
        connections: those there are.
    """

    def __init__(
        self, service: Service, functions: WrpcFunctions, address: str, server: ServerConfig
    ) -> None:
        self.route: Final = (
            f"wrpc+{address}" if address.startswith("unix:") else f"wrpc+tcp://{address}"
        )
        self.connections: set[asyncio.Task[None]] = set()
        self._service = service
        self._functions = functions
        self._address = WrpcAddress.parse(address)
        self._server = server
        self._socket: socket.socket | None = None
        self._accepting = False
        self._opening: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._trouble: str | None = None

    # --- a transport ---------------------------------------------------------------------------------------

    @property
    def identity(self) -> Hashable:
        """The address: `Transport.identity`."""
        return type(self), self._address, self._server.workers > 1

    @property
    def trouble(self) -> str | None:
        """Why it does not listen: `Transport.trouble`."""
        return self._trouble

    @property
    def busy(self) -> bool:
        """Whether a connection is open: `Transport.busy`."""
        return bool(self.connections)

    def start(self, before: Transport | None = None) -> None:
        """Listen: `Transport.start`. Connections of the one before stay there."""
        if isinstance(before, WrpcListener) and before._socket is not None:
            before._pause()
            self._socket, before._socket = before._socket, None
            self._listening.set()
            self._go_on()
        else:
            self._opening = asyncio.create_task(self._open())

    async def ready(self) -> None:
        """Wait until it listens: `Transport.ready`."""
        await self._listening.wait()

    def drain(self, *, inside: bool) -> None:  # noqa: ARG002 - where a peer is cannot be told
        """Accept no more than what has connected by now: `Transport.drain`."""
        if self._opening is not None:
            self._opening.cancel()
        if self._socket is None:
            return
        self._pause()
        with self._socket:
            while self._accept_one(self._socket):
                pass
            self._unlink()
        self._socket = None

    async def finished(self) -> None:
        """Wait until all connections are closed: `Transport.finished`."""
        while self.connections:
            await asyncio.wait(self.connections)

    def abandon(self) -> None:
        """`Transport.abandon`: what runs is stopped as any call is, and its peer is told."""

    async def aclose(self) -> None:
        """Close everything: `Transport.aclose`."""
        self.drain(inside=True)
        tasks = list(self.connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- connections ---------------------------------------------------------------------------------------

    async def _open(self) -> None:
        while True:
            try:
                self._socket = self._bind()
                break
            except OSError as error:
                if self._trouble is None:
                    _log.error(
                        "cannot listen",
                        component=self._service.name,
                        address=self.route,
                        reason=error.strerror,
                        effect="it is tried again every second",
                    )
                reason = f"cannot listen on {self.route}: {error.strerror}"
                self._trouble = f"component {self._service.name}: {reason}"
            await asyncio.sleep(RETRY)
        _log.info("serving wrpc", component=self._service.name, address=self.route)
        self._trouble = None
        self._listening.set()
        self._go_on()

    def _bind(self) -> socket.socket:
        family, address = self._address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if isinstance(address, str):
                remove_stale(address)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if self._server.workers > 1:  # each has a socket of its own
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(self._server.backlog)
        except OSError:
            sock.close()
            raise
        return sock

    def _unlink(self) -> None:
        if isinstance(path := self._address.address, str):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _go_on(self) -> None:
        if not self._accepting and self._socket is not None and self._has_room:
            self._accepting = True
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _pause(self) -> None:
        if self._accepting and self._socket is not None:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._socket)

    @property
    def _has_room(self) -> bool:
        return len(self.connections) < MAX_CONNECTIONS

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if not self._has_room:
                self._pause()
                return
            if self._socket is None or not self._accept_one(self._socket):
                return

    def _accept_one(self, sock: socket.socket) -> bool:
        """Take a connection; returns whether there was one."""
        try:
            connection, _address = sock.accept()
        except ConnectionAbortedError:
            return True  # it was reset while it was queued
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                _log.warning("cannot accept connections", address=self.route, reason=error.strerror)
                self._pause()
                asyncio.get_running_loop().call_later(RETRY, self._go_on)
            return False  # or none is left
        connection.setblocking(False)
        task = asyncio.create_task(self._serve(connection))
        self.connections.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.connections.remove(task)
        self._go_on()

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        source = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(source)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # the peer has gone away again
            connection.close()
            return
        transport.set_write_buffer_limits(0)
        sink = asyncio.StreamWriter(transport, protocol, source, loop)
        try:
            answer = await self._answer(source)
            for first in range(0, len(answer), _BLOCK):
                sink.write(answer[first : first + _BLOCK])
                async with asyncio.timeout(self._server.write_timeout):
                    await sink.drain()
        except OSError as error:  # a `TimeoutError` is one
            _log.debug("peer gone", address=self.route, reason=f"{type(error).__name__}: {error}")
        except Exception:
            _log.exception("gateway failed", component=self._service.name, address=self.route)
        finally:
            transport.abort()

    # --- invocations ---------------------------------------------------------------------------------------

    async def _answer(self, source: asyncio.StreamReader) -> bytes | bytearray:
        """What a peer is sent for its stream."""
        stream = Incoming(source, self._server.rpc_max_body, self._server.body_timeout)
        try:
            async with asyncio.timeout(self._server.header_timeout):
                header = await stream.header()
            found = self._functions.find(header)
            if found is None:
                where = header.instance or "the root"
                return self._refused(f"there is no function {header.name} of {where}")
            params = await found.arguments.received(stream)
        except TimeoutError:
            return self._refused("nothing came in time")
        except Malformed as malformed:
            return self._refused(str(malformed))
        service, export = self._service, found.function.export
        try:
            place = service.gate.try_enter() or await service.wait()
        except NoRoom:
            request_id = os.urandom(16).hex()
            service.refused(DynamicExportReturned, Outcome.EXHAUSTED, export, request_id)
            return BROKEN
        with place:
            try:
                arguments = await of_any_length(partial(found.arguments.read, params))
            except (Malformed, Exhausted) as error:
                return self._refused(f"the arguments of {export.name}: {error}")
            return await self._invoke(found, arguments, place, stream.size)

    async def _invoke(
        self, found: WrpcFunction, arguments: tuple[Any, ...], place: Place, size: int
    ) -> bytes | bytearray:
        request_id = os.urandom(16).hex()
        with Call(
            self._service,
            found.function.export,
            arguments,
            place=place,
            event=DynamicExportReturned,
            request_id=request_id,
            trace=incoming(FieldLines(()), request_id),
            route=self.route,
            in_pieces=True,
            max_result=self._server.rpc_max_result,
        ) as call:
            call.bytes_in = size
            result = await call.perform(found.function)
            if isinstance(result, Exception):
                return BROKEN
            try:
                answer = await of_any_length(partial(found.answer, result))
            except Exhausted as error:
                call.outcome = Outcome.EXHAUSTED
                call.report(error)
                return BROKEN
            call.bytes_out = len(answer)
            return answer

    def _refused(self, reason: str) -> bytes:
        _log.info(
            "invocation refused",
            component=self._service.name,
            address=self.route,
            reason=reason[:MAX_REASON],
        )
        return BROKEN
