"""What can go wrong with the network, as a guest is told of it.

Source: `wasi:sockets@0.2.12`, `network.wit`: `error-code`, and the errors that the functions of the other
files list with their POSIX equivalents.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.bindings import fallible as decorators

__all__ = ["ErrorCode", "SocketError", "fallible", "from_os_error", "from_resolver"]


class ErrorCode(StrEnum):
    """`wasi:sockets/network.error-code`."""

    UNKNOWN = "unknown"
    ACCESS_DENIED = "access-denied"
    NOT_SUPPORTED = "not-supported"
    INVALID_ARGUMENT = "invalid-argument"
    OUT_OF_MEMORY = "out-of-memory"
    TIMEOUT = "timeout"
    CONCURRENCY_CONFLICT = "concurrency-conflict"
    NOT_IN_PROGRESS = "not-in-progress"
    WOULD_BLOCK = "would-block"
    INVALID_STATE = "invalid-state"
    NEW_SOCKET_LIMIT = "new-socket-limit"
    ADDRESS_NOT_BINDABLE = "address-not-bindable"
    ADDRESS_IN_USE = "address-in-use"
    REMOTE_UNREACHABLE = "remote-unreachable"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_RESET = "connection-reset"
    CONNECTION_ABORTED = "connection-aborted"
    DATAGRAM_TOO_LARGE = "datagram-too-large"
    NAME_UNRESOLVABLE = "name-unresolvable"
    TEMPORARY_RESOLVER_FAILURE = "temporary-resolver-failure"
    PERMANENT_RESOLVER_FAILURE = "permanent-resolver-failure"


class SocketError(Exception):
    """A call that fails; `fallible` returns its code to the guest."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.value)
        self.code = code


def _code(failure: SocketError | OSError) -> ErrorCode:
    return failure.code if isinstance(failure, SocketError) else from_os_error(failure)


fallible = decorators.fallible(SocketError, OSError, err=_code)
"""Have a host function return the code of a `SocketError`, or of an error of the operating system."""


# --- errors of the operating system ------------------------------------------------------------------------


def _numbers(codes: Mapping[ErrorCode, str]) -> dict[int, ErrorCode]:
    """By number; names that this system does not have are left out (`ENONET` is of Linux alone)."""
    return {
        number: code
        for code, names in codes.items()
        for name in names.split()
        if (number := getattr(errno, name, None)) is not None
    }


_ERRNO: Final = _numbers(
    {
        ErrorCode.ACCESS_DENIED: "EACCES EPERM",
        ErrorCode.NOT_SUPPORTED: "EOPNOTSUPP ENOPROTOOPT EPFNOSUPPORT EPROTONOSUPPORT EPROTOTYPE "
        "ESOCKTNOSUPPORT EAFNOSUPPORT",
        ErrorCode.INVALID_ARGUMENT: "EINVAL",
        ErrorCode.OUT_OF_MEMORY: "ENOMEM ENOBUFS",
        ErrorCode.TIMEOUT: "ETIMEDOUT",
        ErrorCode.CONCURRENCY_CONFLICT: "EALREADY",
        ErrorCode.WOULD_BLOCK: "EAGAIN EWOULDBLOCK",
        ErrorCode.INVALID_STATE: "EISCONN ENOTCONN EDESTADDRREQ",
        ErrorCode.NEW_SOCKET_LIMIT: "EMFILE ENFILE",
        ErrorCode.ADDRESS_NOT_BINDABLE: "EADDRNOTAVAIL",
        ErrorCode.ADDRESS_IN_USE: "EADDRINUSE",
        ErrorCode.REMOTE_UNREACHABLE: "EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN ENONET ENETRESET",
        ErrorCode.CONNECTION_REFUSED: "ECONNREFUSED",
        ErrorCode.CONNECTION_RESET: "ECONNRESET",
        ErrorCode.CONNECTION_ABORTED: "ECONNABORTED",
        ErrorCode.DATAGRAM_TOO_LARGE: "EMSGSIZE",
    }
)


def from_os_error(error: OSError, *, connecting: bool = False) -> ErrorCode:
    """The code of an error of the operating system.

    Args:
        error: the error.
        connecting: whether it is one of a `connect`. `EADDRNOTAVAIL` then says that no ephemeral port is
            free, which is `address-in-use` (`tcp.wit`, `udp.wit`), where a `bind` says that the address is
            not one of this host.
    """
    if connecting and error.errno == errno.EADDRNOTAVAIL:
        return ErrorCode.ADDRESS_IN_USE
    return _ERRNO.get(error.errno or 0, ErrorCode.UNKNOWN)


# Glibc has hidden `EAI_NODATA` and `EAI_ADDRFAMILY`, but still returns the former; not every system has both.
_EAI: Final[dict[int, ErrorCode]] = {
    **{
        getattr(socket, name): ErrorCode.NAME_UNRESOLVABLE
        for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
        if hasattr(socket, name)
    },
    socket.EAI_AGAIN: ErrorCode.TEMPORARY_RESOLVER_FAILURE,
    socket.EAI_FAIL: ErrorCode.PERMANENT_RESOLVER_FAILURE,
    socket.EAI_MEMORY: ErrorCode.OUT_OF_MEMORY,
}


def from_resolver(error: OSError) -> ErrorCode:
    """The code of a failed lookup (`ip-name-lookup.wit`)."""
    if isinstance(error, socket.gaierror):
        return _EAI.get(error.errno or 0, ErrorCode.UNKNOWN)
    code = from_os_error(error)
    return ErrorCode.TEMPORARY_RESOLVER_FAILURE if code is ErrorCode.NEW_SOCKET_LIMIT else code
