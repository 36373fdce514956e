"""A method with values of Python in the place of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

from gateway.calls.types import Types
from gateway.host.linker import LinkedComponent
from gateway.host.values import Err, Ok
from gateway.links.python_values import WrongValue, conversion
from gateway.rpc.client.classes import sides
from gateway.rpc.client.names import attribute_names
from gateway.rpc.method import Method
from gateway.rpc.procedure import Function

__all__ = ["TypedMethod"]


class TypedMethod(Function):
    """A method ready to be called with Python's values, of the types that a typed client has.

    Args:
        method: the method.
        linked: the component that has it.
        types: its types.

    Attributes:
        method: ditto.
        signature: what it takes and gives, as annotations.
        error: what is raised for its err; None where it returns no `result`.
    """

    def __init__(self, method: Method, linked: LinkedComponent, types: Types) -> None:
        super().__init__(linked.export(method.function, interface=method.interface))
        self.method = method
        names = attribute_names((name for name, _ in method.type.params), frozenset({"self"}))
        result, fallible = sides(method.type)
        err = None if fallible is None else fallible.err
        self.error = None if fallible is None else types.error_of(method)
        annotations = [types.annotation(ty) for _, ty in method.type.params]
        returns = types.annotation(result)
        self.signature = Signature(
            [
                Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
                for name, annotation in zip(names, annotations, strict=True)
            ],
            return_annotation=returns,
        )
        self._params = {
            name: conversion(ty, annotation)
            for name, (_, ty), annotation in zip(
                names, method.type.params, annotations, strict=True
            )
        }
        self._ok = conversion(result, returns)
        self._err = conversion(err, types.annotation(err))

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """What the function is called with.

        Raises:
            TypeError: there are others than it takes.
            WrongValue: one has another type.
        """
        given = self.signature.bind(*args, **kwargs).arguments
        return [self._plain(name, value) for name, value in given.items()]

    def value(self, answer: Ok | Err) -> Any:
        """What it returned, ok or err."""
        side = self._err if type(answer) is Err else self._ok
        return side.typed(answer.value)

    def _plain(self, name: str, value: Any) -> Any:
        try:
            return self._params[name].plain(value)
        except WrongValue as wrong:
            wrong.enter(name)
            raise
