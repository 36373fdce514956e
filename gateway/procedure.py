"""A method of a component that can be called: its types turned into code, its export found."""

from __future__ import annotations

from typing import Any

from gateway.host import wit
from gateway.host.linker import LinkedComponent
from gateway.host.values import Err, Ok
from gateway.rpc.json_values import Encode, encoder, parameters
from gateway.rpc.method import Method

__all__ = ["Procedure"]


class Procedure:
    """A method ready to be called with JSON.

    Args:
        method: the method.
        linked: the component that has it.

    Attributes:
        method: the method.
        export: the function to invoke.
        arguments: makes the arguments of the `params` of a JSON-RPC request, or raises
            `gateway.rpc.json_values.InvalidValue`.
    """

    def __init__(self, method: Method, linked: LinkedComponent) -> None:
        self.method = method
        self.export = linked.export(method.function, interface=method.interface)
        self.arguments = parameters(method.type)
        result = method.type.result
        self._fallible = isinstance(result, wit.Result)
        if isinstance(result, wit.Result):
            self._ok, self._err = _optional(result.ok), _optional(result.err)
        else:
            self._ok, self._err = _optional(result), _nothing

    def answer(self, result: Any) -> Ok | Err:
        """What the function returned, in JSON: `Err` if it was the err of a `result<T, E>`."""
        if not self._fallible:
            return Ok(self._ok(result))
        return Err(self._err(result.value)) if type(result) is Err else Ok(self._ok(result.value))


def _optional(ty: wit.Type | None) -> Encode:
    return _nothing if ty is None else encoder(ty)


def _nothing(_value: Any) -> None:
    return None
