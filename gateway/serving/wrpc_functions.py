"""What a component offers to peers that speak wRPC: what it offers to callers with JSON."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from gateway.host.values import Err, Ok
from gateway.rpc.procedure import Function
from gateway.serving.service import Service
from gateway.wasm.version import split_version, track
from gateway.wrpc.cursor import Cursor
from gateway.wrpc.decode import reader_of_all
from gateway.wrpc.encode import writer
from gateway.wrpc.frames import Header, frame

__all__ = ["MAX_REASON", "WrpcFunction", "WrpcFunctions"]

MAX_REASON: Final = 256
"""Characters of what is wrong with a peer's stream that are logged."""


class WrpcFunction:
    """A function, and its values as bytes.

    Args:
        function: the function.

    Attributes:
        function: ditto.
        arguments: reads what it is called with.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        ty = function.export.type
        self.arguments = reader_of_all(param for _, param in ty.params)
        self._write = None if ty.result is None else writer(ty.result)

    def answer(self, answer: Ok | Err) -> bytearray:
        """What it returned, in a frame."""
        out = bytearray()
        if self._write is not None:
            self._write(out, answer if self.function.fallible else answer.value)
        return frame(out)

    def read(self, data: bytes) -> tuple[Any, ...]:
        """The arguments.

        Raises:
            Malformed: the bytes are something else.
        """
        cursor = Cursor(data)
        arguments = self.arguments(cursor)
        cursor.end()
        return arguments


class WrpcFunctions:
    """Those of one component. An interface is found by any version that is as good as the one that is exported.

    Args:
        service: the component.
    """

    def __init__(self, service: Service) -> None:
        self._found = {
            _key(method.interface or "", method.function): WrpcFunction(
                Function(service.linked.export(method.function, interface=method.interface))
            )
            for method in service.methods.served
            if not method.type.over_time  # in wRPC, streams and futures have a form of their own
        }

    def find(self, header: Header) -> WrpcFunction | None:
        """The function of this name, if there is one."""
        return self._found.get(_key(header.instance, header.name))


def _key(interface: str, function: str) -> Hashable:
    base, version = split_version(interface)
    return base, track(version), function
