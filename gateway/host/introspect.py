"""Reads the types of a compiled component into `gateway.host.wit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import wasmtime
from wasmtime import component as wasm

from gateway.host import _capi, wit

__all__ = ["MAX_TYPES", "ComponentType", "TooManyTypes", "component_type"]

MAX_TYPES: Final = 100_000
"""Types in the imports and exports of a component, each counted where it is used. Threat: a kilobyte of tuples of
two, each of the one before, which are a million; converters are made for each. A proxy of `wasi:http` has 400."""


_SIMPLE: Mapping[type[Any], wit.Type] = {
    wasm.Bool: wit.Bool(),
    wasm.U8: wit.Integer(8, signed=False),
    wasm.U16: wit.Integer(16, signed=False),
    wasm.U32: wit.Integer(32, signed=False),
    wasm.U64: wit.Integer(64, signed=False),
    wasm.S8: wit.Integer(8, signed=True),
    wasm.S16: wit.Integer(16, signed=True),
    wasm.S32: wit.Integer(32, signed=True),
    wasm.S64: wit.Integer(64, signed=True),
    wasm.F32: wit.Float(32),
    wasm.F64: wit.Float(64),
    wasm.Char: wit.Char(),
    wasm.String: wit.String(),
    wasm.ErrorContext: wit.Unsupported("error-context"),
}


class TooManyTypes(Exception):
    """A component has more types than are read."""


@dataclass(frozen=True, slots=True)
class ComponentType:
    """What a component imports and exports, by full name and in its own order.

    Two names of one resource type, such as `error` of `wasi:io/error` and `io-error` of `wasi:http/types`, have
    one `wit.Resource`.
    """

    imports: Mapping[str, wit.Item]
    exports: Mapping[str, wit.Item]


def component_type(component: wasm.Component, engine: wasmtime.Engine) -> ComponentType:
    """Read what a component imports and exports.

    Raises:
        TooManyTypes: it has more than `MAX_TYPES`.
    """
    reader = _Reader(engine)
    ty = component.type
    # Imports first: an exported interface may use resources that are imported, hardly the other way round.
    imports = reader.items(ty.imports(engine), imported=True)
    return ComponentType(imports, reader.items(ty.exports(engine), imported=False))


class _Reader:
    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._left = MAX_TYPES
        self._resources: list[tuple[wasm.ResourceType, wit.Resource]] = []

    def items(self, externs: Mapping[str, Any], *, imported: bool) -> dict[str, wit.Item]:
        return {
            name: self._item(name, extern, imported=imported) for name, extern in externs.items()
        }

    def _item(self, name: str, extern: Any, *, imported: bool) -> wit.Item:
        match ty := extern.ty:
            case wasm.FuncType():
                return self._function(ty)
            case wasm.ComponentInstanceType():
                return self._interface(ty, extern.implements, imported)
            case wasm.ResourceType():
                return self._resource(ty, name, imported)
            case wasm.ModuleType():
                return "core module"
            case wasm.ComponentType():
                return "component"
            case _:
                return self._type(ty)

    def _interface(
        self, ty: wasm.ComponentInstanceType, implements: str | None, imported: bool
    ) -> wit.Interface:
        functions: dict[str, wit.Function] = {}
        resources: dict[str, wit.Resource] = {}
        types: dict[str, wit.Type] = {}
        others: dict[str, str] = {}
        for name, item in self.items(ty.exports(self._engine), imported=imported).items():
            match item:
                case wit.Function():
                    functions[name] = item
                case wit.Resource():
                    resources[name] = item
                case wit.Interface():
                    others[name] = "instance"
                case str():
                    others[name] = item
                case _:
                    types[name] = item
        return wit.Interface(functions, resources, types, others, implements)

    def _function(self, ty: wasm.FuncType) -> wit.Function:
        params = tuple((name, self._type(param)) for name, param in ty.params)
        result = ty.result
        is_async = _capi.is_async(_capi.address_of(ty))
        return wit.Function(params, None if result is None else self._type(result), is_async)

    def _resource(self, ty: wasm.ResourceType, name: str, imported: bool) -> wit.Resource:
        # The engine only tells whether two resource types are equal; a component has some dozens.
        for known, resource in self._resources:
            if known == ty:
                return resource
        resource = wit.Resource(name, imported)
        self._resources.append((ty, resource))
        return resource

    def _type(self, ty: Any) -> wit.Type:
        self._left -= 1
        if self._left < 0:
            raise TooManyTypes
        simple = _SIMPLE.get(type(ty))
        if simple is not None:
            return simple
        match ty:
            case wasm.ListType():
                return wit.List(self._type(ty.element))
            case wasm.StreamType() | wasm.FutureType():
                return self._carrying(ty)
            case wasm.RecordType():
                return wit.Record(tuple((name, self._type(field)) for name, field in ty.fields))
            case wasm.TupleType():
                return wit.Tuple(tuple(map(self._type, ty.elements)))
            case wasm.VariantType():
                return wit.Variant(
                    tuple((name, self._optional(payload)) for name, payload in ty.cases)
                )
            case wasm.EnumType():
                return wit.Enum(tuple(ty.names))
            case wasm.OptionType():
                return wit.Option(self._type(ty.payload))
            case wasm.ResultType():
                return wit.Result(self._optional(ty.ok), self._optional(ty.err))
            case wasm.FlagsType():
                return wit.Flags(tuple(ty.names))
            case wasm.OwnType():
                return wit.Own(self._resource(ty.ty, "resource", imported=False))
            case wasm.BorrowType():
                return wit.Borrow(self._resource(ty.ty, "resource", imported=False))
        return wit.Unsupported(type(ty).__name__)

    def _carrying(self, ty: wasm.StreamType | wasm.FutureType) -> wit.Type:
        carried = self._optional(_capi.carried_type(ty))
        stream = isinstance(ty, wasm.StreamType)
        if carried is None:
            return wit.Unsupported(f"{'stream' if stream else 'future'} of nothing")
        return wit.Stream(carried) if stream else wit.Future(carried)

    def _optional(self, ty: Any) -> wit.Type | None:
        return None if ty is None else self._type(ty)
