"""`tcp-socket`: from a new socket to a connection.

    UNBOUND --start-bind--> BIND_STARTED --finish-bind--> BOUND
    UNBOUND, BOUND --start-connect--> CONNECTING --finish-connect--> CONNECTED, or CLOSED where that failed

No policy lets a guest listen: `start-listen` is `access-denied` where it would be in order, and no socket
ever gets to what comes after it.

A peer that the policy does not allow is refused by `finish-connect`, as in Wasmtime. What cannot be a peer at
all is refused by `start-connect`, and leaves the socket as it was; after a connection that failed it is of no
more use (WIT).

Source: `wasi:sockets@0.2.12`, `tcp.wit`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Literal, TypeAlias

from gateway.bindings.sockets.addresses import Family, SocketAddress
from gateway.bindings.sockets.base_socket import BaseSocket, State
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.bindings.sockets.error_code import ErrorCode, SocketError, from_os_error
from gateway.bindings.sockets.tcp_streams import TcpInputStream, TcpOutputStream

__all__ = ["ShutdownType", "TcpSocket"]

ShutdownType: TypeAlias = Literal["receive", "send", "both"]
"""`shutdown-type`."""


class TcpSocket(BaseSocket):
    """A TCP socket of a guest; see `BaseSocket`."""

    __slots__ = ("_failure", "_input", "_output", "_remote")

    transport = "tcp"

    def __init__(self, ctx: WasiSocketsCtx, family: Family) -> None:
        super().__init__(ctx, family)
        self._failure: ErrorCode | None = None
        self._remote: SocketAddress | None = None
        self._input: TcpInputStream | None = None
        self._output: TcpOutputStream | None = None

    @property
    def remote(self) -> SocketAddress:
        """The address that it is connected to.

        Raises:
            SocketError: `invalid-state`: it is connected to none.
        """
        if self.state is not State.CONNECTED or self._remote is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        return self._remote

    def start_listen(self) -> None:
        """Refused.

        Raises:
            SocketError: `access-denied`, where it would be in order to listen.
        """
        self.check_start(State.BOUND)
        self._ctx.refuse("tcp listen", "guests are clients only")
        raise SocketError(ErrorCode.ACCESS_DENIED)

    def set_listen_backlog_size(self, value: int) -> None:
        """Nothing ("implementations are free to ignore this").

        Raises:
            SocketError: it is 0, or this socket could not listen any more.
        """
        if value == 0:
            raise SocketError(ErrorCode.INVALID_ARGUMENT)
        if self.state not in {State.UNBOUND, State.BIND_STARTED, State.BOUND}:
            raise SocketError(ErrorCode.INVALID_STATE)

    def start_connect(self, remote: SocketAddress) -> None:
        """Begin to connect.

        Raises:
            SocketError: there can be nothing at the address, or this is not the state to connect in.
        """
        self.check_start(State.UNBOUND, State.BOUND)
        remote.check_family(self.family)
        remote.check_unicast()
        remote.check_remote()
        self.state = State.CONNECTING
        self._remote = remote
        try:
            self._ctx.check("tcp", remote)
            self._connect(remote)
        except SocketError as error:
            self._failure = error.code

    def finish_connect(self) -> tuple[TcpInputStream, TcpOutputStream]:
        """The streams of the connection.

        Raises:
            SocketError: `not-in-progress`; `would-block`: it is still being made; otherwise why there is none.
        """
        if self.state is not State.CONNECTING:
            raise SocketError(ErrorCode.NOT_IN_PROGRESS)
        if not self.ready():
            raise SocketError(ErrorCode.WOULD_BLOCK)
        try:
            if self._failure is not None:
                raise SocketError(self._failure)
            _check(self._descriptor.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        except SocketError:
            self.state = State.CLOSED
            self._descriptor.close()
            raise
        self.state = State.CONNECTED
        self._input = TcpInputStream(self._descriptor, self)
        self._output = TcpOutputStream(self._descriptor, self)
        return self._input, self._output

    def _connect(self, remote: SocketAddress) -> None:
        # Guests cannot ask for this. They say with `flush` when bytes are to go, and those that write with
        # `blocking-write-and-flush` do so every 4096 bytes: Nagle's algorithm would hold the last of them
        # back for as long as the peer delays its acknowledgment, which is 40 ms as a rule.
        self._descriptor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = self._descriptor.socket.connect_ex(remote.sockaddr)
        if number != errno.EINPROGRESS:
            _check(number)

    def shutdown(self, shutdown_type: ShutdownType) -> None:
        """End one direction of the connection, or both.

        Raises:
            SocketError: `invalid-state`: there is no connection.
        """
        if self._input is None or self._output is None:
            raise SocketError(ErrorCode.INVALID_STATE)
        if shutdown_type != "send":
            self._input.shutdown()
        if shutdown_type != "receive":
            self._output.shutdown()

    def ready(self) -> bool:
        """Whether no connection is being made; nothing else takes time."""
        if self.state is not State.CONNECTING or self._failure is not None:
            return True
        return self._descriptor.writable.ready()

    def watch(self, waiter: asyncio.Future[None]) -> None:
        """Complete a future when the connection is made, or has failed."""
        self._descriptor.writable.watch(waiter)

    def unwatch(self, waiter: asyncio.Future[None]) -> None:
        """Forget a future."""
        self._descriptor.writable.unwatch(waiter)

    def drop(self) -> None:
        """Close it. What was written and is not with the system yet is lost, which the peer sees as a reset."""
        if self._output is not None:
            self._output.abandon()
        self._input = self._output = None
        super().drop()


def _check(number: int) -> None:
    """Raise what `connect` has ended with, unless that is success."""
    if number != 0:
        error = OSError(number, os.strerror(number))
        raise SocketError(from_os_error(error, connecting=True))
