"""Makes connections: looks a name up, checks what it stands for, connects to just that, and shakes hands.

A name is looked up once, and every address is checked before it is connected to; the sockets are given numbers,
never the name. So what was checked is what is connected to, whatever the next answer of DNS would be.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from gateway.bindings.counted_socket import CountedSocket
from gateway.bindings.descriptors import Share
from gateway.bindings.http.outbound.connection import Connection
from gateway.bindings.http.outbound.failure import (
    EgressDenied,
    OutboundFailure,
    connect_failure,
    invalid_name,
    lookup_failure,
    lost_failure,
    tls_failure,
)
from gateway.bindings.http.outbound.resolver import Resolve
from gateway.host.values import Variant
from gateway.policy.egress import EgressPolicy, IPAddress, canonical_host

__all__ = ["Connector", "Origin", "tls_context"]

T = TypeVar("T")

ATTEMPT_DELAY: Final = 0.25
"""Seconds until the next address is tried beside one that has not answered: RFC 8305 section 8. Where IPv6 leads
nowhere, waiting for its end would use up the time of a request."""


class Origin(NamedTuple):
    """Where requests may share a connection.

    Attributes:
        scheme: `http` or `https`.
        host: as the guest gave it, IPv6 addresses in brackets.
        port: the port.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def tls_context(ca_files: Iterable[Path] = ()) -> ssl.SSLContext:
    """What connections are trusted by: the certificates of the system, and those of more files.

    Without more files, the same one as before, as long as the system's have not changed: reading them takes 20 ms.

    Args:
        ca_files: certificates in PEM.

    Raises:
        OSError: a file cannot be read, or has no certificate in it.
    """
    paths = tuple(ca_files)
    if not paths:
        return _of_the_system(_stamp())
    context = _new_context()
    for path in paths:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise OSError(
                f"{path}: no certificates in PEM form: {error.reason or error}"
            ) from error
        except OSError as error:
            raise OSError(f"{path}: {error.strerror}") from error
    return context


@lru_cache(maxsize=1)
def _of_the_system(_stamp: tuple[object, ...]) -> ssl.SSLContext:
    return _new_context()


def _new_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _stamp() -> tuple[object, ...]:
    """Changes when the system's certificates do, or the variables that say where they are."""
    places = ssl.get_default_verify_paths()
    stamp: list[object] = []
    for path in filter(None, (places.cafile, places.capath)):
        with suppress(OSError):
            status = os.stat(path)
            stamp.append((path, status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(stamp)


class Connector:
    """Makes the connections of one component.

    Args:
        policy: what it may reach.
        tls: what makes servers trusted.
        resolve: how names are looked up.
        share: where connections take their places among the file descriptors.
        make_room: closes a connection of the component that is idle, to make room for one; whether there was one.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        tls: ssl.SSLContext,
        resolve: Resolve,
        share: Share,
        make_room: Callable[[], bool],
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._resolve = resolve
        self._share = share
        self._make_room = make_room

    async def connect(self, origin: Origin, seconds: float) -> Connection:
        """Connect to an origin.

        Args:
            origin: where to; `EgressPolicy.check_target` has allowed it.
            seconds: how long it may take in all, the name's lookup and TLS included.

        Raises:
            OutboundFailure: there is no connection.
            EgressDenied: no address of it is allowed.
        """
        running_out = "DNS-timeout"
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._addresses(origin)
                running_out = "connection-timeout"
                connected = await first_of(
                    [self._attempt(address, origin.port) for address in addresses], ATTEMPT_DELAY
                )
                return await self._open(origin, connected, seconds)
        except TimeoutError:
            raise OutboundFailure(Variant(running_out), f"not within {seconds:g} s") from None

    async def _addresses(self, origin: Origin) -> Sequence[IPAddress]:
        """The allowed addresses of a host, which may be one itself."""
        host = canonical_host(origin.host)
        addresses: Sequence[IPAddress]
        if isinstance(host, str):
            try:
                addresses = await self._resolve(host)
            except UnicodeError:
                raise invalid_name(host) from None
            except OSError as error:
                raise lookup_failure(host, error) from error
        else:
            addresses = [host]
        verdicts = [
            self._policy.check_address(origin.scheme, address, origin.port) for address in addresses
        ]
        allowed = [
            address for address, verdict in zip(addresses, verdicts, strict=True) if verdict.allowed
        ]
        if not allowed:
            raise EgressDenied(verdicts[0])
        return allowed

    async def _open(self, origin: Origin, connected: socket.socket, seconds: float) -> Connection:
        secure = origin.scheme == "https"
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection,
                sock=connected,
                ssl=self._tls if secure else None,
                server_hostname=_server_name(origin.host) if secure else None,
                # Only to lift the default of a minute: the time is watched by `connect`.
                ssl_handshake_timeout=seconds + 1 if secure else None,
            )
        except ssl.SSLError as error:
            raise tls_failure(error) from error
        except OSError as error:
            raise lost_failure(error) from error
        except ValueError:  # of a name that no certificate can have; UnicodeError is one too
            connected.close()
            raise invalid_name(origin.host) from None
        return connection

    def _attempt(self, address: IPAddress, port: int) -> Callable[[], Awaitable[socket.socket]]:
        async def connect() -> socket.socket:
            where = str(address)
            made: socket.socket | None = None
            try:
                made = await self._open_socket(address)
                await asyncio.get_running_loop().sock_connect(made, (where, port))
            except OSError as error:
                if made is not None:
                    made.close()
                raise connect_failure(where, error) from error
            except BaseException:
                if made is not None:
                    made.close()
                raise
            return made

        return connect

    async def _open_socket(self, address: IPAddress) -> socket.socket:
        while not self._share.has_place:
            if not self._make_room():
                break
            await asyncio.sleep(0)  # in which the idle connection is closed
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        made = CountedSocket(self._share, family, socket.SOCK_STREAM)
        made.setblocking(False)
        return made


def _server_name(host: str) -> str:
    return host.removeprefix("[").removesuffix("]").removesuffix(".")


async def first_of(
    attempts: Sequence[Callable[[], Awaitable[socket.socket]]], delay: float
) -> socket.socket:
    """The first connection that is made, by attempts that begin one after the other (RFC 8305 section 5).

    Args:
        attempts: at least one.
        delay: seconds until the next begins although the last has not ended.

    Raises:
        OutboundFailure: all failed; that of the first.
    """
    loop = asyncio.get_running_loop()
    waiting = list(attempts)
    begun: list[asyncio.Task[socket.socket]] = []
    pending: set[asyncio.Task[socket.socket]] = set()
    try:
        while waiting or pending:
            if waiting:
                task = loop.create_task(_awaited(waiting.pop(0)))
                begun.append(task)
                pending.add(task)
            done, pending = await asyncio.wait(
                pending,
                timeout=delay if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if task.exception() is None:
                    begun.remove(task)
                    return task.result()
        raise begun[0].exception() or AssertionError("an attempt without an outcome")
    finally:
        # Also one that has connected in the moment in which another did, or everything was cancelled.
        for task in begun:
            task.cancel()
            task.add_done_callback(_close_result)


async def _awaited(attempt: Callable[[], Awaitable[T]]) -> T:
    return await attempt()


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
