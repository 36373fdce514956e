"""What the canonical ABI makes of a function type: a core function type, and what it needs beside.

Source: Component Model, `CanonicalABI.md`, "Flattening" and "`canon lift`", "`canon lower`".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import zip_longest
from typing import Final

from gateway.wasm.binary.types import (
    Borrow,
    Enumeration,
    Flags,
    Func,
    InstanceType,
    ListOf,
    OptionOf,
    Own,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    TypeDefinition,
    ValType,
    Variant,
)
from gateway.wasm.componentize.world import Named, Place, Resource, World

__all__ = ["CanonicalAbi", "CoreFunction", "CoreType", "Needs"]

_MAX_FLAT_PARAMS: Final = 16
_MAX_FLAT_RESULTS: Final = 1


class CoreType(IntEnum):
    """The number types of core WebAssembly; the value is the opcode."""

    I32 = 0x7F
    I64 = 0x7E
    F32 = 0x7D
    F64 = 0x7C


@dataclass(frozen=True, slots=True)
class CoreFunction:
    """A core function type. The numbers are those of `CoreType`, or of other types of a module."""

    parameters: tuple[int, ...]
    results: tuple[int, ...]

    def __str__(self) -> str:
        parameters, results = (
            ", ".join(
                CoreType(each).name.lower() if each in set(CoreType) else hex(each)
                for each in types
            )
            for types in (self.parameters, self.results)
        )
        return f"({parameters}) -> ({results})"


@dataclass(frozen=True, slots=True)
class Needs:
    """The canonical options that a lowered or lifted function cannot do without."""

    memory: bool
    realloc: bool
    string_encoding: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """What matters of a type.

    Attributes:
        flat: its core types, of which only the first are told where they are more than fit.
        pointers: whether there are lists or strings in it.
        strings: whether there are strings in it.
    """

    flat: tuple[CoreType, ...]
    pointers: bool = False
    strings: bool = False


_I32: Final = _Layout((CoreType.I32,))
_PRIMITIVES: Final = {
    Primitive.S64: _Layout((CoreType.I64,)),
    Primitive.U64: _Layout((CoreType.I64,)),
    Primitive.F32: _Layout((CoreType.F32,)),
    Primitive.F64: _Layout((CoreType.F64,)),
    Primitive.STRING: _Layout((CoreType.I32, CoreType.I32), pointers=True, strings=True),
}


class CanonicalAbi:
    """The canonical ABI of the functions of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._layouts: dict[int, _Layout] = {}
        self._functions: dict[int, tuple[_Layout, _Layout]] = {}

    def lowered(self, place: Place, name: str) -> tuple[CoreFunction, Needs]:
        """An imported function, as a core module calls it."""
        parameters, result = self._sides(place, name)
        spilled = len(parameters.flat) > _MAX_FLAT_PARAMS
        returned = len(result.flat) > _MAX_FLAT_RESULTS
        taken = (CoreType.I32,) if spilled else parameters.flat
        core = CoreFunction(
            taken + ((CoreType.I32,) if returned else ()), () if returned else result.flat
        )
        needs = Needs(
            memory=spilled or returned or parameters.pointers or result.pointers,
            realloc=result.pointers,
            string_encoding=parameters.strings or result.strings,
        )
        return core, needs

    def lifted(self, place: Place, name: str) -> tuple[CoreFunction, Needs]:
        """An exported function, as a core module provides it."""
        parameters, result = self._sides(place, name)
        spilled = len(parameters.flat) > _MAX_FLAT_PARAMS
        returned = len(result.flat) > _MAX_FLAT_RESULTS
        core = CoreFunction(
            (CoreType.I32,) if spilled else parameters.flat,
            (CoreType.I32,) if returned else result.flat,
        )
        needs = Needs(
            memory=spilled or returned or parameters.pointers or result.pointers,
            realloc=spilled or parameters.pointers,
            string_encoding=parameters.strings or result.strings,
        )
        return core, needs

    def _sides(self, place: Place, name: str) -> tuple[_Layout, _Layout]:
        """The parameters and the result of a function."""
        number = self._world.places[place].functions[name]
        if number not in self._functions:
            function = self._world.function(place, name)
            parameters = _sequence(self._layout(each) for _, each in function.parameters)
            self._functions[number] = parameters, self._optional(function.result)
        return self._functions[number]

    def _optional(self, valtype: ValType | None) -> _Layout:
        return _Layout(()) if valtype is None else self._layout(valtype)

    def _layout(self, valtype: ValType) -> _Layout:
        if isinstance(valtype, Primitive):
            return _PRIMITIVES.get(valtype, _I32)
        known = self._layouts.get(valtype)
        if known is None:
            match self._world.types[valtype]:
                case Named() as named:
                    origin = self._world.origin(named)
                    known = self._layout(self._world.places[origin.place].types[origin.name])
                case Resource():
                    known = _I32
                case definition:
                    known = self._define(definition)
            self._layouts[valtype] = known
        return known

    def _define(self, definition: TypeDefinition) -> _Layout:
        match definition:
            case Primitive():
                return _PRIMITIVES.get(definition, _I32)
            case Record(fields):
                return _sequence(self._layout(field) for _, field in fields)
            case TupleOf(elements):
                return _sequence(self._layout(element) for element in elements)
            case ListOf(element):
                flat = (CoreType.I32, CoreType.I32)
                return _Layout(flat, pointers=True, strings=self._layout(element).strings)
            case Flags(names):
                # One i32 for every 32 flags; engines take no more than that.
                return _Layout((CoreType.I32,) if names else ())
            case Variant(cases):
                return _choice(self._optional(payload) for _, payload in cases)
            case OptionOf(payload):
                return _choice([self._layout(payload)])
            case ResultOf(ok, error):
                return _choice([self._optional(ok), self._optional(error)])
            case Enumeration() | Own() | Borrow():
                return _I32
            case Func() | InstanceType():
                raise AssertionError(definition)


def _sequence(parts: Iterable[_Layout]) -> _Layout:
    flat: tuple[CoreType, ...] = ()
    pointers = strings = False
    for part in parts:
        # One more than may be told flat is as good as all of them, and stays small.
        flat = (flat + part.flat)[: _MAX_FLAT_PARAMS + 1]
        pointers |= part.pointers
        strings |= part.strings
    return _Layout(flat, pointers, strings)


def _choice(payloads: Iterable[_Layout]) -> _Layout:
    joined: tuple[CoreType, ...] = ()
    pointers = strings = False
    for payload in payloads:
        joined = tuple(_joined(joined, payload.flat))
        pointers |= payload.pointers
        strings |= payload.strings
    flat = ((CoreType.I32, *joined))[: _MAX_FLAT_PARAMS + 1]
    return _Layout(flat, pointers, strings)


def _joined(one: tuple[CoreType, ...], other: tuple[CoreType, ...]) -> Iterator[CoreType]:
    for first, second in zip_longest(one, other):
        if first is None or second is None or first == second:
            yield first if second is None else second
        elif {first, second} == {CoreType.I32, CoreType.F32}:
            yield CoreType.I32
        else:
            yield CoreType.I64
