"""The functions of a world, as core modules have them.

Source: Component Model, `CanonicalABI.md`, "`canon lift`", "`canon lower`".
"""

from dataclasses import dataclass

from gateway.wasm.binary.core_types import CoreFunction
from gateway.wasm.binary.types import ListOf, Primitive, TupleOf, TypeDefinition, ValType, parts
from gateway.wasm.canonical_abi import (
    PRIMITIVES,
    Layout,
    layout,
    lifted_type,
    lowered_type,
    through_memory,
)
from gateway.wasm.componentize.world import Named, Place, Resource, World

__all__ = ["CanonOptions", "WorldFunctions"]


@dataclass(frozen=True, slots=True)
class CanonOptions:
    """The canonical options that a lowered or lifted function cannot do without."""

    memory: bool
    realloc: bool
    string_encoding: bool


@dataclass(frozen=True, slots=True)
class _Value:
    """What matters of a type.

    Attributes:
        layout: its core form.
        pointers: whether there are lists or strings in it.
        strings: whether there are strings in it.
    """

    layout: Layout
    pointers: bool = False
    strings: bool = False


class WorldFunctions:
    """Tells how core modules call, or provide, the functions of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._values: dict[int, _Value] = {}
        self._functions: dict[int, tuple[_Value, _Value]] = {}

    def lowered(self, place: Place, name: str) -> tuple[CoreFunction, CanonOptions]:
        """Gives the core type of an imported function, as a module calls it, and what it needs."""
        parameters, result = self._sides(place, name)
        core = lowered_type(parameters.layout.flat, result.layout.flat)
        return core, _options(parameters, result, realloc=result.pointers)

    def lifted(self, place: Place, name: str) -> tuple[CoreFunction, CanonOptions]:
        """Gives the core type of an exported function, as a module provides it, and what it needs."""
        parameters, result = self._sides(place, name)
        core = lifted_type(parameters.layout.flat, result.layout.flat)
        given_in_memory = parameters.layout.flat is None or parameters.pointers
        return core, _options(parameters, result, realloc=given_in_memory)

    def _sides(self, place: Place, name: str) -> tuple[_Value, _Value]:
        """Gives the parameters and the result of a function, each as a tuple."""
        number = self._world.places[place].functions[name]
        if number not in self._functions:
            function = self._world.function(place, name)
            parameters = TupleOf(tuple(valtype for _, valtype in function.parameters))
            result = TupleOf(() if function.result is None else (function.result,))
            self._functions[number] = self._define(parameters), self._define(result)
        return self._functions[number]

    def _value(self, valtype: ValType) -> _Value:
        if isinstance(valtype, Primitive):
            return self._define(valtype)
        if valtype not in self._values:
            match self._world.types[valtype]:
                case Named() as named:
                    origin = self._world.origin(named)
                    value = self._value(self._world.places[origin.place].types[origin.name])
                case Resource():
                    # What is passed is a handle.
                    value = _Value(PRIMITIVES[Primitive.U32])
                case definition:
                    value = self._define(definition)
            self._values[valtype] = value
        return self._values[valtype]

    def _define(self, definition: TypeDefinition) -> _Value:
        its_layout = layout(definition, lambda part: self._value(part).layout)
        if its_layout is None:
            raise AssertionError(definition)
        inner = [self._value(part) for part in parts(definition)]
        is_string = definition is Primitive.STRING
        return _Value(
            its_layout,
            pointers=is_string or isinstance(definition, ListOf) or any(v.pointers for v in inner),
            strings=is_string or any(v.strings for v in inner),
        )


def _options(parameters: _Value, result: _Value, *, realloc: bool) -> CanonOptions:
    in_memory = parameters.layout.flat is None or through_memory(result.layout.flat)
    return CanonOptions(
        memory=in_memory or parameters.pointers or result.pointers,
        realloc=realloc,
        string_encoding=parameters.strings or result.strings,
    )
