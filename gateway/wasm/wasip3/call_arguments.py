"""How values that lie in memory become core values: the arguments of a guest's function, or what a task returns.

A function that the host has returns what is large through memory. A task does not: `task.return` takes the core
values of it, up to sixteen. Likewise what is called with up to sixteen takes them, and not an address.

Source: Component Model, `CanonicalABI.md`, "Loading" and "Flattening".
"""

from __future__ import annotations

from typing import Final

from gateway.wasm.binary.core_types import CoreType
from gateway.wasm.binary.types import (
    Borrow,
    Flags,
    FutureOf,
    ListOf,
    Own,
    Primitive,
    Record,
    StreamOf,
    TupleOf,
    TypeDefinition,
    ValType,
)
from gateway.wasm.canonical_abi import discriminant_size, places
from gateway.wasm.wasip3.call_types import (
    Types,
    cases_of,
    members_of,
)

__all__ = ["LOAD_BY_SIZE", "Arguments"]

_LOADS: Final = {
    Primitive.BOOL: "i32.load8_u",
    Primitive.S8: "i32.load8_s",
    Primitive.U8: "i32.load8_u",
    Primitive.S16: "i32.load16_s",
    Primitive.U16: "i32.load16_u",
    Primitive.S64: "i64.load",
    Primitive.U64: "i64.load",
    Primitive.F32: "f32.load",
    Primitive.F64: "f64.load",
}
LOAD_BY_SIZE: Final = {1: "i32.load8_u", 2: "i32.load16_u", 4: "i32.load"}
"""The instruction that loads what tells cases and flags apart, by how many bytes that has."""

_WIDENED: Final = {
    (CoreType.F32, CoreType.I32): "(i32.reinterpret_f32 {})",
    (CoreType.F32, CoreType.I64): "(i64.extend_i32_u (i32.reinterpret_f32 {}))",
    (CoreType.I32, CoreType.I64): "(i64.extend_i32_u {})",
    (CoreType.F64, CoreType.I64): "(i64.reinterpret_f64 {})",
}


class Arguments:
    """What loads core values, in text form.

    Args:
        types: the types of all functions.

    Attributes:
        functions: those of the core module that the expressions call, by name.
    """

    def __init__(self, types: Types) -> None:
        self.functions: dict[str, str] = {}
        self._types = types

    def loads(self, ty: ValType, at: int) -> list[str]:
        """Expressions for the core values that a value is passed as, of what lies `at` the arguments."""
        if isinstance(ty, Primitive):
            if ty is Primitive.STRING:
                return [_load("i32.load", at), _load("i32.load", at + 4)]
            return [_load(_LOADS.get(ty, "i32.load"), at)]
        types = self._types
        match definition := types.definitions[ty]:
            case ListOf():
                return [_load("i32.load", at), _load("i32.load", at + 4)]
            case StreamOf() | FutureOf() | Own() | Borrow():
                return [_load("i32.load", at)]
            case Flags():
                return [_load(LOAD_BY_SIZE[types.layout(ty).size], at)]
            case Record() | TupleOf():
                members = members_of(definition)
                layouts = [types.layout(each) for each in members]
                return [
                    each
                    for member, place in zip(members, places(layouts), strict=True)
                    for each in self.loads(member, at + place)
                ]
        flat = types.layout(ty).flat or ()
        address = f"(i32.add (local.get $arguments) (i32.const {at}))"
        return [
            f"(call {self._loader(ty, definition, number)} {address})"
            for number in range(len(flat))
        ]

    def returning(self, name: str, ty: ValType) -> str:
        """A function `$return-NAME`, which has a task return what is at an address: by `$task-return-NAME`."""
        values = " ".join(self.loads(ty, 0))
        return f"(func $return-{name} (param $arguments i32) (call $task-return-{name} {values}))"

    def _loader(self, ty: ValType, definition: TypeDefinition, number: int) -> str:
        """The function that loads one of the core values of something that has cases.

        A function for each, since cases that are loaded in place would multiply with each level.
        """
        name = f"$load{ty}-{number}"
        if name in self.functions:
            return name
        types, cases = self._types, cases_of(definition)
        wanted = CoreType((types.layout(ty).flat or ())[number])
        core = wanted.name.lower()
        which = _load(LOAD_BY_SIZE[discriminant_size(len(cases))], 0)
        value = f"({core}.const 0)" if number else which
        place = types.payload_offset(cases)
        for case, payload in enumerate(cases if number else []):
            own = () if payload is None else types.layout(payload).flat or ()
            if payload is None or number > len(own):
                continue
            loaded = self.loads(payload, place)[number - 1]
            loaded = _WIDENED.get((CoreType(own[number - 1]), wanted), "{}").format(loaded)
            value = (
                f"(if (result {core}) (i32.eq {which} (i32.const {case})) (then {loaded})"
                f" (else {value}))"
            )
        self.functions[name] = f"(func {name} (param $arguments i32) (result {core}) {value})"
        return name


def _load(instruction: str, at: int) -> str:
    return f"({instruction} offset={at} (local.get $arguments))"
