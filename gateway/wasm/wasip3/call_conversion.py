"""How what has streams and futures in it becomes what has lists and values there, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.wasm.binary.types import (
    FutureOf,
    ListOf,
    Record,
    StreamOf,
    TupleOf,
    TypeDefinition,
    ValType,
)
from gateway.wasm.canonical_abi import Layout, discriminant_size, places
from gateway.wasm.wasip3.call_arguments import LOAD_BY_SIZE
from gateway.wasm.wasip3.call_types import (
    Types,
    cases_of,
    members_of,
)

__all__ = ["Conversion", "allocated"]


class Conversion:
    """The functions of a core module that convert values, in text form.

    Args:
        types: the types of all functions.
        gives: whether streams and futures are made and written, of lists and values; or read.

    Attributes:
        functions: the functions, by name.
        ends: the types of the streams and futures that were met.
    """

    def __init__(self, types: Types, *, gives: bool) -> None:
        self.functions: dict[str, str] = {}
        self.ends: dict[int, TypeDefinition] = {}
        self._types = types
        self._gives = gives

    def dispatch(self) -> str:
        """The functions that do with an end what is to be done with one of its type.

        What is converted when an end is finished may have more ends in it.
        """
        copy, over, finish = [], [], []
        done: set[int] = set()
        while left := [index for index in self.ends if index not in done]:
            for index in left:
                done.add(index)
                copy.append(self._copy(index))
                over.append(self._over(index))
                finish.append(self._finish(index))
        end = "(param $end i32)"
        of_type = f"{end} (param $handle i32) (param $type i32)"
        return "\n".join(
            (
                _by_type("copy", f"{of_type} (result i32)", copy),
                _by_type("finish", of_type, finish),
                _by_type("is-over", f"{end} (param $n i32) (result i32)", over),
            )
        )

    def _carries(self, index: int) -> ValType:
        """What a stream or a future carries."""
        match self._types.definitions[index]:
            case StreamOf(part) | FutureOf(part) if part is not None:
                return part
        raise TypeError("neither a stream nor a future")

    def _copy(self, index: int) -> str:
        """Have elements cross, as many as there is room for."""
        of = self._types.layout(self._carries(index))
        stream = isinstance(self._types.definitions[index], StreamOf)
        name = "write" if self._gives else "read"
        if not stream:
            room = "" if self._gives else _room(of, 1)
            how = f"(call ${name}{index} (local.get $handle) (i32.load offset=8 (local.get $end)))"
        else:
            room = "" if self._gives else _room(of, max(1, 4096 // max(of.size, 1)))
            at = (
                f"(i32.add (i32.load offset=8 (local.get $end)) "
                f"(i32.mul (i32.load offset=16 (local.get $end)) (i32.const {of.size})))"
            )
            left = "(call $left (local.get $end))"
            how = f"(call ${name}{index} (local.get $handle) {at} {left})"
        return f"(if (i32.eq (local.get $type) (i32.const {index})) (then {room} (return {how})))"

    def _over(self, index: int) -> str:
        """Whether all has crossed."""
        if not isinstance(self._types.definitions[index], StreamOf):
            over = "(return (i32.const 1))"
        elif self._gives:
            over = """(return (i32.or (i32.and (local.get $n) (i32.const 15))
      (i32.eqz (call $left (local.get $end)))))"""
        else:
            over = """(call $took (i32.shr_u (local.get $n) (i32.const 4)))
      (return (i32.and (local.get $n) (i32.const 15)))"""
        return (
            f"(if (i32.eq (i32.load offset=4 (local.get $end)) (i32.const {index})) (then {over}))"
        )

    def _finish(self, index: int) -> str:
        """Drop an end, and have what has come where it is wanted."""
        drop = f"(call $drop{index} (local.get $handle))"
        if not self._gives:
            at, wanted = (
                "(i32.load offset=8 (local.get $end))",
                "(i32.load offset=20 (local.get $end))",
            )
            part = self._carries(index)
            if isinstance(self._types.definitions[index], StreamOf):
                count = "(i32.load offset=16 (local.get $end))"
                if self._types.is_copied(part):
                    at = f"(call {self._of_many(part)} {at} {count})"
                drop += f"(i32.store {wanted} {at}) (i32.store offset=4 {wanted} {count})"
            elif self._types.is_copied(part):
                drop += f"(call {self.of(part)} {at} {wanted})"
            else:
                drop += f"(memory.copy {wanted} {at} (i32.const {self._types.layout(part).size}))"
        return f"(if (i32.eq (local.get $type) (i32.const {index})) (then {drop} (return)))"

    def _sides(self, ty: ValType) -> tuple[ValType, ValType]:
        """What a type is converted from, and to."""
        carried = self._types.carried(ty)
        return (carried, ty) if self._gives else (ty, carried)

    def of(self, ty: ValType) -> str:
        """The function that converts what lies at one place to another."""
        name = f"$convert{ty}"
        if name in self.functions:
            return name
        self.functions[name] = (
            ""  # types are not recursive, but functions are made while others are
        )
        types = self._types
        lines: list[str] = []
        match definition := types.definition(ty):
            case StreamOf() | FutureOf() if isinstance(ty, int):
                self.ends[ty] = definition
                lines.append(self._convert_end(ty, definition))
            case Record() | TupleOf():
                members = members_of(definition)
                source, target = (
                    places([types.layout(self._sides(each)[side]) for each in members])
                    for side in (0, 1)
                )
                for member, out, into in zip(members, source, target, strict=True):
                    lines.append(self._part(member, out, into))
            case ListOf(element):
                lines.append(
                    "(i32.store (local.get $to) "
                    f"(call {self._of_many(element)} (i32.load (local.get $from)) "
                    "(i32.load offset=4 (local.get $from))))"
                    "(i32.store offset=4 (local.get $to) (i32.load offset=4 (local.get $from)))"
                )
            case _:
                cases = cases_of(definition)
                size = discriminant_size(len(cases))
                lines.append(f"(memory.copy (local.get $to) (local.get $from) (i32.const {size}))")
                sides = [
                    [None if each is None else self._sides(each)[side] for each in cases]
                    for side in (0, 1)
                ]
                out, into = (types.payload_offset(side) for side in sides)
                which = f"({LOAD_BY_SIZE[size]} (local.get $from))"
                for number, payload in enumerate(cases):
                    if payload is not None:
                        lines.append(
                            f"(if (i32.eq {which} (i32.const {number})) (then {self._part(payload, out, into)}))"
                        )
        self.functions[name] = (
            f"(func {name} (param $from i32) (param $to i32) (local $ends i64)\n  "
            + "\n  ".join(lines)
            + ")"
        )
        return name

    def _part(self, ty: ValType, out: int, into: int) -> str:
        """A part of something."""
        source = f"(i32.add (local.get $from) (i32.const {out}))"
        target = f"(i32.add (local.get $to) (i32.const {into}))"
        if self._types.is_copied(ty):
            return f"(call {self.of(ty)} {source} {target})"
        return f"(memory.copy {target} {source} (i32.const {self._types.layout(ty).size}))"

    def _convert_end(self, index: int, definition: TypeDefinition) -> str:
        if not self._gives:
            return (
                f"(call $begin (i32.load (local.get $from)) (i32.const {index}) (i32.const 0) (i32.const 0) "
                "(local.get $to))"
            )
        part = self._carries(index)
        if isinstance(definition, StreamOf):
            at, count = "(i32.load (local.get $from))", "(i32.load offset=4 (local.get $from))"
            if self._types.is_copied(part):
                at = f"(call {self._of_many(part)} {at} {count})"
        else:
            at, count = "(local.get $from)", "(i32.const 1)"
            if self._types.is_copied(part):
                at = f"(call {self._of_many(part)} {at} {count})"
        return f"""(local.set $ends (call $new{index}))
  (i32.store (local.get $to) (i32.wrap_i64 (local.get $ends)))
  (call $begin (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))) (i32.const {index}) {at} {count}
    (i32.const 0))"""

    def _of_many(self, ty: ValType) -> str:
        """The function that converts so many that lie at one place, and tells where they lie then."""
        name = f"$convert-many{ty}"
        if name in self.functions:
            return name
        self.functions[name] = ""
        source, target = (self._types.layout(side) for side in self._sides(ty))
        self.functions[name] = f"""(func {name} (param $from i32) (param $count i32) (result i32)
  (local $to i32) (local $all i32)
  (local.set $all (call $allocate (local.get $count) (i32.const {target.size}) (i32.const {target.alignment})))
  (local.set $to (local.get $all))
  (loop $more (if (local.get $count) (then
    (call {self.of(ty)} (local.get $from) (local.get $to))
    (local.set $from (i32.add (local.get $from) (i32.const {source.size})))
    (local.set $to (i32.add (local.get $to) (i32.const {target.size})))
    (local.set $count (i32.sub (local.get $count) (i32.const 1)))
    (br $more))))
  (local.get $all))"""
        return name


def allocated(of: Layout) -> str:
    """An expression for the address of room for something."""
    return f"(call $allocate (i32.const 1) (i32.const {of.size}) (i32.const {of.alignment}))"


def _room(of: Layout, first: int) -> str:
    sizes = " ".join(f"(i32.const {each})" for each in (of.size, of.alignment, first))
    return f"(call $have-room (local.get $end) {sizes})"


def _by_type(name: str, signature: str, branches: Sequence[str]) -> str:
    return f"(func ${name} {signature}\n" + "\n".join(branches) + "\nunreachable)"
