"""Streams and futures of any type, of which a host without them has the elements: what is written for each type.

In place of a stream or a future the host has the number of an end. That lies in memory as the handle does that it
is, so what has streams in it needs no conversion. What the guest gives, the adapter reads (`reads.wat`); what it
is given, a component beside that has written (`writer.wat`). The host says which end goes on, one piece at a time:

- `job` tells which, of those that are read (0) or written (1): its handle, from bit 32 on the number of its type,
  and from bit 56 on 0 to go on and 1 to drop it. It is negative where the guest was sooner;
- `got-TYPE` has elements that were read, and whether the end is over;
- `give-TYPE` gives those to be written, and `wrote` is told when the guest has taken them, or wants no more;
- `wanted` gives the types of ends that a result needs, or elements do, one by one; `made` is told of each, as the
  handle that the guest is given, and that of the writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wasm.wasip3.assembly import NEXT, core, lift, read
from gateway.wasm.wasip3.text_types import TextTypes, Type, as_text

__all__ = ["End", "Ends", "letters"]

MAX_ELEMENTS: Final = 8192
"""Elements that are read at once. The host takes as many in one list (`gateway.host.values.MAX_ELEMENTS`)."""

_BUFFER: Final = 65536
_STRINGS: Final = "(memory $memory) (realloc (core func $keep-string))"
_SMALL: Final = "(memory $memory)"

_NO_READS: Final = """
(func $read-job unreachable) (func $let-reads-go)
(func $read-event (param i32 i32) (result i32) (i32.const 0))"""


def letters(number: int) -> str:
    """A number in letters, which names in the texts of adapters are made of."""
    more, last = divmod(number, 26)
    return (letters(more - 1) if more else "") + "abcdefghijklmnopqrstuvwxyz"[last]


@dataclass(frozen=True, slots=True)
class End:
    """A stream or a future.

    Attributes:
        number: which it is among the types of its interface.
        type: the type, in words.
        size: bytes of an element.
    """

    number: int
    type: Type
    size: int

    @property
    def name(self) -> str:
        """What it is called."""
        return letters(self.number)

    @property
    def group(self) -> str:
        """What its built-in functions are imported from, by a core module."""
        return f"{self.type[0]}{self.name}"

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream."""
        return bool(self.type[0] == "stream")

    @property
    def through(self) -> str:
        """What its built-in functions take that read and write: it, an address and, of a stream, how many."""
        return "i32 i32 i32" if self.is_stream else "i32 i32"


class Ends:
    """Those of one interface.

    Args:
        names: what their types are called.
        types: the types that these refer to.
        hosted: gives the text that the host has for a type.
        own: gives the same text with the types that a component exports.
        tag: of the interface (`Family`).
    """

    def __init__(
        self,
        names: Sequence[str],
        types: TextTypes,
        hosted: Callable[[Type], str],
        own: Callable[[str], str],
        tag: int,
    ) -> None:
        self._hosted = hosted
        self._own = own
        self._tag = tag
        self.all = [
            End(number, ty, types.layout(ty[1]).size)
            for number, name in enumerate(names)
            for ty in (types.body(name),)
        ]

    def __bool__(self) -> bool:
        return bool(self.all)

    # --- types ---------------------------------------------------------------------------------------------

    def host(self) -> list[str]:
        """What the host is asked."""
        if not self.all:
            return []
        lines = [
            '(export "job" (func (param "writes" u32) (result u64)))',
            '(export "wanted" (func (param "for" u32) (result s32)))',
            '(export "made" (func (param "readable" u32) (param "writable" u32)))',
            '(export "wrote" (func (param "end" u32) (param "over" bool)))',
        ]
        for end in self.all:
            elements = f"(list {self._hosted(end.type[1])})"
            lines += [
                f'(export "got-{end.name}" (func (param "end" u32) (param "elements" {elements})'
                ' (param "over" bool)))',
                f'(export "give-{end.name}" (func (param "end" u32) (result {elements})))',
            ]
        return lines

    def types(self) -> str:
        """Their types, with names."""
        return "\n".join(f"(type ${end.group} {as_text(end.type)})" for end in self.all)

    def imported(self) -> str:
        """The writer, as the adapter imports it."""
        if not self.all:
            return ""
        made = "\n".join(
            f"(alias outer 1 ${end.group} (type ${end.group}))"
            f'(export "new-{end.name}" (func (result (tuple ${end.group} u32))))'
            for end in self.all
        )
        return f'(import "writer" (instance $writer {made}))'

    # --- the adapter's part --------------------------------------------------------------------------------

    @property
    def given(self) -> dict[str, str]:
        """Options of what the adapter's core module imports."""
        return {f"host.got-{end.name}": _SMALL for end in self.all} | {
            f"writer.new-{end.name}": _SMALL for end in self.all
        }

    def reads(self) -> tuple[str, str]:
        """What the adapter's core module imports for them, and its functions."""
        if not self.all:
            return "", _NO_READS
        imports = [
            '(import "" "reset-reads" (func $let-reads-go))',
            '(import "host" "job" (func $host-job (param i32) (result i64)))',
            '(import "host" "wanted" (func $host-wanted (param i32) (result i32)))',
            '(import "host" "made" (func $host-made (param i32 i32)))',
        ]
        into, passed, cancel, drop, new = [], [], [], [], []
        for end in self.all:
            name, group = end.name, end.group
            imports += [
                f'(import "{group}" "take" (func $take-{name} (param {end.through}) (result i32)))',
                f'(import "{group}" "cancel-read" (func $cancel-{name} (param i32) (result i32)))',
                f'(import "{group}" "drop-readable" (func $drop-{name} (param i32)))',
                f'(import "host" "got-{name}" (func $got-{name} (param i32 i32 i32 i32)))',
                f'(import "writer" "new-{name}" (func $new-{name} (param i32)))',
            ]
            room = min(MAX_ELEMENTS, max(1, _BUFFER // max(1, end.size)))
            if end.size > _BUFFER:
                room = 0
            count = f"(i32.const {room})" if end.is_stream else ""
            into.append(f"(return (call $take-{name} (local.get $handle) (local.get $at) {count}))")
            if end.is_stream:
                number = "(i32.shr_u (local.get $n) (i32.const 4))"
                over = "(i32.ne (i32.const 0) (i32.and (local.get $n) (i32.const 15)))"
            else:
                number, over = "(i32.eqz (local.get $n))", "(i32.const 1)"
            passed.append(f"""(if {over} (then (call $drop-{name} (local.get $handle))))
(call $got-{name} (local.get $handle) (local.get $at) {number} {over}) (return)""")
            cancel.append(f"(drop (call $cancel-{name} (local.get $handle))) (return)")
            drop.append(f"(call $drop-{name} (local.get $handle)) (return)")
            new.append(f"(call $new-{name} (i32.const 64)) (return)")
        handle = "(param $handle i32) (param $type i32)"
        functions = [
            self._each("read-into", f"{handle} (param $at i32) (result i32)", into),
            self._each("pass-on", f"{handle} (param $at i32) (param $n i32)", passed),
            self._each("cancel-read", handle, cancel),
            self._each("drop-readable", handle, drop),
            self._each("new-end", "(param $type i32)", new),
            read("reads"),
        ]
        return "\n".join(imports), "\n".join(functions)

    def _each(self, name: str, signature: str, branches: Sequence[str]) -> str:
        cases = "\n".join(
            f"(if (i32.eq (local.get $type) (i32.const {end.number})) (then {branch}))"
            for end, branch in zip(self.all, branches, strict=True)
        )
        return f"(func ${name} {signature}\n{cases}\nunreachable)"

    # --- the writer ----------------------------------------------------------------------------------------

    def writer(self, imports: str, exports: str) -> str:
        """The component that writes.

        Args:
            imports: what it is given of the interface and of the host.
            exports: the types that it exports.
        """
        if not self.all:
            return ""
        given = {f"host.give-{end.name}": _STRINGS for end in self.all}
        lifted = (
            lift(
                f"new-{end.name}",
                f"new-{end.name}",
                f"(result (tuple {self._own(as_text(end.type))} u32))",
                _SMALL,
            )
            for end in self.all
        )
        return f"""(component
{imports}
{NEXT}
{exports}
{read("family-memory")}
{self.types()}
{core(self._core(), given)}
{chr(10).join(lifted)}
{lift("serve", "serve", '(param "what" u32)')}
{lift("turn", "turn", "(result bool)")}
)"""

    def _core(self) -> str:
        imports: list[str] = []
        given, wrote, over, drop, new, functions = [], [], [], [], [], []
        for end in self.all:
            name, group = end.name, end.group
            imports += [
                f'(import "{group}" "new" (func $ends-{name} (result i64)))',
                f'(import "{group}" "write" (func $write-{name} (param {end.through}) (result i32)))',
                f'(import "{group}" "drop-writable" (func $drop-{name} (param i32)))',
                f'(import "host" "give-{name}" (func $give-{name} (param i32 i32)))',
            ]
            functions.append(
                f'(func $new-{name} (export "new-{name}") (result i32)'
                f" (call $adopt (call $ends-{name}) (i32.const {end.number})))"
            )
            given.append(f"(call $give-{name} (local.get $handle) (i32.const 64)) (return)")
            left = "(i32.load offset=16 (local.get $end))" if end.is_stream else ""
            wrote.append(
                f"(return (call $write-{name} (local.get $handle)"
                f" (i32.load offset=12 (local.get $end)) {left}))"
            )
            drop.append(f"(call $drop-{name} (local.get $handle)) (return)")
            new.append(f"(drop (call $new-{name})) (return)")
            taken = f"""(local.set $taken (i32.shr_u (local.get $n) (i32.const 4)))
(i32.store offset=16 (local.get $end)
  (i32.sub (i32.load offset=16 (local.get $end)) (local.get $taken)))
(i32.store offset=12 (local.get $end) (i32.add (i32.load offset=12 (local.get $end))
  (i32.mul (local.get $taken) (i32.const {end.size}))))
(return (i32.and (local.get $n) (i32.const 15)))"""
            over.append(taken if end.is_stream else "(return (i32.const 1))")
        handle = "(param $handle i32) (param $type i32)"
        functions += [
            self._each("have-given", handle, given),
            self._each("write-from", f"(param $end i32) {handle} (result i32)", wrote),
            self._each(
                "is-over",
                "(param $end i32) (param $type i32) (param $n i32) (result i32) (local $taken i32)",
                over,
            ),
            self._each("drop-writable", handle, drop),
            self._each("new-end", "(param $type i32)", new),
        ]
        source = read("writer").replace(";; IMPORTS", "\n".join(imports))
        mine = -(1 << 31) | self._tag << 24 | 2
        source = source.replace(";; FUNCTIONS", "\n".join(functions))
        return source.replace("MINE", str(mine))
