"""Sockets that whoever starts the gateway has opened for it, as systemd does.

They stay open while one gateway ends and the next one starts: who connects meanwhile waits in their queue, and is
not refused.

Source: sd_listen_fds(3)
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

from gateway.server.listener import Listener, ListenError

__all__ = ["ADMIN", "handed_over"]

ADMIN: Final = "admin"
"""The name (`FileDescriptorName=`) of sockets that take the place of `admin_addr`. Others are for components."""

_FIRST: Final = 3
"""The descriptor of the first: `SD_LISTEN_FDS_START`."""

_MAX_DIGITS: Final = 7
"""Of `LISTEN_FDS`. Arbitrary: Linux lets a process have 1,048,576 descriptors, unless it is told otherwise."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_FAMILIES: Final = frozenset((socket.AF_INET, socket.AF_INET6, socket.AF_UNIX))


def handed_over(environ: MutableMapping[str, str] = os.environ) -> list[tuple[str, Listener]]:
    """Take the sockets that this process was given, each with its name. Another process gets none of them.

    Args:
        environ: what tells of them; nothing does any more after that, so that no child takes them for its own.

    Raises:
        ListenError: there are none, though it says so, or one that connections cannot be accepted from.
    """
    said = {name: environ.pop(name, "") for name in _VARIABLES}
    if said["LISTEN_PID"] != str(os.getpid()):
        return []  # they were for a process that has started this one
    count = said["LISTEN_FDS"]
    if not count.isascii() or not count.isdigit() or len(count) > _MAX_DIGITS:
        raise ListenError(f'cannot take sockets: LISTEN_FDS must be a number, not "{count}"')
    names = (
        said["LISTEN_FDNAMES"].split(":") if said["LISTEN_FDNAMES"] else ["unknown"] * int(count)
    )
    if len(names) != int(count):
        raise ListenError(
            f"cannot take sockets: LISTEN_FDNAMES has {len(names)} names, and LISTEN_FDS says {count}"
        )
    with contextlib.ExitStack() as taken:
        found = []
        for place, name in enumerate(names):
            listener = _take(_FIRST + place, name)
            taken.callback(listener.close)
            found.append((name, listener))
        taken.pop_all()
    return found


def _take(descriptor: int, name: str) -> Listener:
    which = f'descriptor {descriptor} ("{name}")'
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        reason = f"{which}, which LISTEN_FDS tells of, is no socket: {error.strerror}"
        raise ListenError(f"cannot take sockets: {reason}") from None
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if sock.family not in _FAMILIES or sock.type != socket.SOCK_STREAM or not listens:
        sock.close()
        raise ListenError(
            f"cannot take sockets: {which} does not listen for streams: give it ListenStream= and Accept=no"
        )
    sock.set_inheritable(False)
    return Listener.of(sock, handed_over=True)
