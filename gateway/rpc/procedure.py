"""Functions of a component that can be called, with JSON or otherwise: types turned into code, exports found."""

from __future__ import annotations

from typing import Any

from gateway.host import wit
from gateway.host.errors import Exit
from gateway.host.linker import Export, LinkedComponent
from gateway.host.values import Err, Ok
from gateway.rpc.json_values import Encode, encoder, parameters
from gateway.rpc.method import Method

__all__ = ["Function", "Procedure"]


class Function:
    """An exported function ready to be called, and what its answers mean.

    Args:
        export: the function.

    Attributes:
        export: ditto.
        fallible: whether it returns a `result`.
    """

    def __init__(self, export: Export) -> None:
        self.export = export
        self._result = export.type.result
        self.fallible = isinstance(self._result, wit.Result)

    def returned(self, result: Any) -> Ok | Err:
        """What the function returned: `Err` if it was the err of a `result<T, E>`."""
        if not self.fallible:
            return Ok(result)
        return Err(result.value) if type(result) is Err else Ok(result.value)

    def exited(self, exit_: Exit) -> Ok | Err | None:
        """What it comes to that the function exited (`wasi:cli/exit`) instead of returning.

        Exiting with success is returning ok, and exiting without is returning err, where there is nothing to
        return with it, as for `wasi:cli/run`. A function that owes a value has failed: None.
        """
        result = self._result
        if exit_.status == 0:
            owed = result.ok if isinstance(result, wit.Result) else result
            return Ok() if owed is None else None
        return Err() if isinstance(result, wit.Result) and result.err is None else None


class Procedure(Function):
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
        super().__init__(linked.export(method.function, interface=method.interface))
        self.method = method
        self.arguments = parameters(method.type)
        result = method.type.result
        if isinstance(result, wit.Result):
            self._ok, self._err = _optional(result.ok), _optional(result.err)
        else:
            self._ok, self._err = _optional(result), _nothing

    def encode(self, answer: Ok | Err) -> Any:
        """The value of what it returned, in JSON's types."""
        return self._err(answer.value) if type(answer) is Err else self._ok(answer.value)


def _optional(ty: wit.Type | None) -> Encode:
    return _nothing if ty is None else encoder(ty)


def _nothing(_value: Any) -> None:
    return None
