"""What the functions of `wasi:http/types` keep for an invocation."""

from __future__ import annotations

from gateway.bindings.context import State
from gateway.bindings.http.body import Queue

__all__ = ["HttpCtx"]


class HttpCtx(State):
    """What an invocation may have of HTTP, counted.

    Attributes:
        queue: counts the bytes of bodies that wait to be sent.
        fields_size: bytes that were written into header fields so far.
    """

    __slots__ = ("fields_size", "queue")

    def __init__(self) -> None:
        self.queue = Queue()
        self.fields_size = 0
