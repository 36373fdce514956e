"""What a component offers to peers that speak wRPC: what it offers to callers with JSON."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from gateway.host.values import Err, Ok
from gateway.rpc.procedure import Function
from gateway.serving.service import Service
from gateway.wasm.version import split_version, track
from gateway.wrpc.frames import Header
from gateway.wrpc.values import Values

__all__ = ["MAX_REASON", "WrpcFunction", "WrpcFunctions"]

MAX_REASON: Final = 256
"""Characters of what is wrong with a peer's stream that are logged."""


class WrpcFunction:
    """A function, and its values as bytes.

    Args:
        function: the function.

    Attributes:
        function: ditto.
        arguments: what it is called with.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        ty = function.export.type.over_time or function.export.type
        self.arguments = Values([param for _, param in ty.params])
        self._result = Values([] if ty.result is None else [ty.result])

    def answer(self, answer: Ok | Err) -> bytearray:
        """What it returned, in frames."""
        if self.function.export.type.result is None:
            return self._result.frames(())
        return self._result.frames((answer if self.function.fallible else answer.value,))


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
        }

    def find(self, header: Header) -> WrpcFunction | None:
        """The function of this name, if there is one."""
        return self._found.get(_key(header.instance, header.name))


def _key(interface: str, function: str) -> Hashable:
    base, version = split_version(interface)
    return base, track(version), function
