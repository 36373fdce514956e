"""`wasi:logging`: what a guest has to say, with a level and a context, as lines of the gateway's log.

It counts with what the guest writes to its standard streams: beyond the limits of its invocation and of its
component, lines are dropped. A guest is never told.

Source: `wasi:logging@0.1.0-draft`, `logging.wit`; also imported without a version, as components for wasmCloud do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gateway.bindings.context import State, WasiCtx
from gateway.host.binding import HostInterface

__all__ = ["INTERFACES", "Log", "LoggingCtx"]

Log: TypeAlias = Callable[[str, str, str], None]
"""Called with the level (`trace`, `debug`, `info`, `warn`, `error` or `critical`), the context and the message.
Must not block or raise."""


def _discard(_level: str, _context: str, _message: str) -> None:
    """The log of a guest whose words nobody wants."""


class LoggingCtx(State):
    """Where an invocation logs.

    Attributes:
        log: takes what it says.
    """

    __slots__ = ("log",)

    def __init__(self, log: Log = _discard) -> None:
        self.log = log

    def close(self) -> None:
        """Let go of the log: it knows whose it is, who knows this."""
        self.log = _discard


logging = HostInterface("wasi:logging/logging", "0.1.0-draft")
unversioned = HostInterface("wasi:logging/logging", None)
INTERFACES = (logging, unversioned)


@logging.function("log")
@unversioned.function("log")
def log(ctx: WasiCtx, level: str, context: str, message: str) -> None:
    """Log a message."""
    ctx.of(LoggingCtx).log(level, context, message)
