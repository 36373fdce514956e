"""wasi:sockets: errors of the operating system, as a guest is told of them."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from gateway.bindings.sockets.error_code import ErrorCode, from_os_error, from_resolver
from tests.bindings.sockets.peer import closed, listening


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "access-denied"),
        (errno.EPERM, "access-denied"),
        (errno.EAFNOSUPPORT, "not-supported"),
        (errno.EOPNOTSUPP, "not-supported"),
        (errno.EINVAL, "invalid-argument"),
        (errno.ENOMEM, "out-of-memory"),
        (errno.ENOBUFS, "out-of-memory"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.EALREADY, "concurrency-conflict"),
        (errno.EAGAIN, "would-block"),
        (errno.EISCONN, "invalid-state"),
        (errno.ENOTCONN, "invalid-state"),
        (errno.EDESTADDRREQ, "invalid-state"),
        (errno.EMFILE, "new-socket-limit"),
        (errno.ENFILE, "new-socket-limit"),
        (errno.EADDRNOTAVAIL, "address-not-bindable"),
        (errno.EADDRINUSE, "address-in-use"),
        (errno.EHOSTUNREACH, "remote-unreachable"),
        (errno.ENETUNREACH, "remote-unreachable"),
        (errno.ENETDOWN, "remote-unreachable"),
        (errno.ECONNREFUSED, "connection-refused"),
        (errno.ECONNRESET, "connection-reset"),
        (errno.ECONNABORTED, "connection-aborted"),
        (errno.EMSGSIZE, "datagram-too-large"),
        (errno.EXDEV, "unknown"),
    ],
)
def test_from_os_error(number: int, code: str) -> None:
    assert from_os_error(os_error(number)) == code


def test_an_error_without_a_number_is_unknown() -> None:
    assert from_os_error(OSError("who knows")) is ErrorCode.UNKNOWN


def test_no_free_port_to_connect_from_is_an_address_in_use() -> None:
    error = os_error(errno.EADDRNOTAVAIL)
    assert from_os_error(error, connecting=True) is ErrorCode.ADDRESS_IN_USE


def test_binding_to_an_address_that_is_in_use() -> None:
    with listening() as listener, socket.socket() as other, pytest.raises(OSError) as refused:  # noqa: PT011
        other.bind(listener.address)
    assert from_os_error(refused.value) is ErrorCode.ADDRESS_IN_USE


def test_binding_to_an_address_of_someone_else() -> None:
    with socket.socket() as other, pytest.raises(OSError) as refused:  # noqa: PT011
        other.bind(("203.0.113.1", 0))
    assert from_os_error(refused.value) is ErrorCode.ADDRESS_NOT_BINDABLE


def test_connecting_to_where_nobody_is() -> None:
    with closed() as address, socket.socket() as other, pytest.raises(OSError) as refused:  # noqa: PT011
        other.connect(address)
    assert from_os_error(refused.value) is ErrorCode.CONNECTION_REFUSED


def test_a_lookup_that_the_system_cannot_even_begin() -> None:
    assert from_resolver(os_error(errno.ENOMEM)) is ErrorCode.OUT_OF_MEMORY
