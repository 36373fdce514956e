"""What a guest of WASI 0.3 exports, and how its functions are called from outside.

Source: `gateway.wasm.wasip3.calls`, which works on the types of binaries; here they are made of those of WIT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.host import wit
from gateway.wasm.binary import types as binary
from gateway.wasm.wasip3.calls import Call

__all__ = ["callable_functions", "calls_of"]

_HANDLER: Final = "wasi:http/handler"

_INTEGERS: Final[dict[wit.Type, binary.Primitive]] = {
    wit.Integer(bits, signed=signed): binary.Primitive[f"{'S' if signed else 'U'}{bits}"]
    for bits in (8, 16, 32, 64)
    for signed in (False, True)
}
_PRIMITIVES: Final[dict[wit.Type, binary.Primitive]] = {
    **_INTEGERS,
    wit.Bool(): binary.Primitive.BOOL,
    wit.Float(32): binary.Primitive.F32,
    wit.Float(64): binary.Primitive.F64,
    wit.Char(): binary.Primitive.CHAR,
    wit.String(): binary.Primitive.STRING,
}


def callable_functions(
    exports: Mapping[str, wit.Item],
) -> Iterator[tuple[str | None, str, wit.Function]]:
    """The functions without resources, `wasi:http/handler` aside: interface, name and type."""
    for name, item in exports.items():
        match item:
            case wit.Function():
                found: Mapping[str, wit.Function] = {name: item}
                interface = None
            case wit.Interface() if name.partition("@")[0] != _HANDLER:
                found, interface = item.functions, name
            case _:
                continue
        for function, ty in found.items():
            if not any(
                isinstance(leaf, wit.Own | wit.Borrow | wit.Unsupported) for leaf in ty.leaves()
            ):
                yield interface, function, ty


def calls_of(exports: Mapping[str, wit.Item]) -> tuple[list[binary.TypeDefinition], list[Call]]:
    """The same in types of binaries: these types, each of which refers to those before it; and the functions."""
    types = _Types()
    calls: list[Call] = []
    for interface, name, ty in callable_functions(exports):
        params = tuple((param, types.of(of)) for param, of in ty.params)
        result = None if ty.result is None else types.of(ty.result)
        given = any(
            isinstance(leaf, wit.Stream | wit.Future)
            for _, of in ty.params
            for leaf in wit.leaves(of)
        )
        calls.append(Call(interface, name, binary.Func(params, result, ty.is_async), given))
    return types.definitions, calls


class _Types:
    def __init__(self) -> None:
        self.definitions: list[binary.TypeDefinition] = []
        self._known: dict[wit.Type, int] = {}

    def of(self, ty: wit.Type) -> binary.ValType:
        primitive = _PRIMITIVES.get(ty)
        if primitive is not None:
            return primitive
        if ty not in self._known:
            definition = self._define(ty)
            self._known[ty] = len(self.definitions)
            self.definitions.append(definition)
        return self._known[ty]

    def _optional(self, ty: wit.Type | None) -> binary.ValType | None:
        return None if ty is None else self.of(ty)

    def _define(self, ty: wit.Type) -> binary.TypeDefinition:
        match ty:
            case wit.Stream(element):
                return binary.StreamOf(self.of(element))
            case wit.List(element):
                return binary.ListOf(self.of(element))
            case wit.Future(payload):
                return binary.FutureOf(self.of(payload))
            case wit.Record(fields):
                return binary.Record(tuple((name, self.of(of)) for name, of in fields))
            case wit.Tuple(elements):
                return binary.TupleOf(tuple(map(self.of, elements)))
            case wit.Variant(cases):
                return binary.Variant(tuple((name, self._optional(of)) for name, of in cases))
            case wit.Enum(names):
                return binary.Enumeration(names)
            case wit.Flags(names):
                return binary.Flags(names)
            case wit.Option(payload):
                return binary.OptionOf(self.of(payload))
            case wit.Result(ok, err):
                return binary.ResultOf(self._optional(ok), self._optional(err))
        raise TypeError(f"values of type {ty} cannot cross the boundary of the host")
