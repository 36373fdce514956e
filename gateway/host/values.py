"""Component values between the engine's memory and Python.

`lift(type)` and `lower(type)` build, once per type, the closure that reads or writes one value of that type;
a call does nothing with types any more.

| WIT                      | Python                                                              |
|--------------------------|---------------------------------------------------------------------|
| `bool`                   | `bool`                                                              |
| `u8` ... `s64`           | `int`, in range or refused, never wrapped                           |
| `f32`, `f64`             | `float` (an `int` is accepted)                                      |
| `char`                   | `str` of one Unicode scalar value                                   |
| `string`                 | `str`                                                               |
| `list<u8>`               | `bytes` (`bytearray` and `memoryview` accepted)                     |
| `list<T>`, `tuple<...>`  | `list`, `tuple`                                                     |
| `stream<T>`              | as `list<T>`: all that it carries                                   |
| `record`                 | `dict` from field name to value                                     |
| `variant`                | `Variant(case, payload)`; a bare `str` for a case without payload   |
| `enum`                   | `str`                                                               |
| `flags`                  | `frozenset[str]` (any collection of names accepted)                 |
| `option<T>`              | `None` or the value; `Some(value)` where T itself may be `None`     |
| `result<T, E>`           | `Ok(value)` or `Err(value)`; a bare value is taken as `Ok`          |
| `own<R>`, `borrow<R>`    | the `Resource` object of the store's table                          |
| the same, R exported     | a `GuestResource`                                                   |

A value in memory is a `wasmtime_component_val_t` of 32 bytes: its kind at 0 and the payload at 8 (scalars
inline; string, list, tuple, flags: size at 8, pointer at 16; record likewise, with entries of 48 bytes, name and
value; variant: name at 8, pointer to the payload at 24; option: pointer at 8; result: is_ok at 8, pointer at 16;
resource: pointer at 8).

Lowering attaches before it fills: an aggregate is linked to its parent while its elements still are the
`false` they are allocated as. A value that is refused half-way thus leaves a tree that `val_delete` frees whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final, Protocol

from gateway.host import wit
from gateway.host._capi import (
    doubles,
    floats,
    memory_copy,
    new_bytes,
    new_flags,
    new_list,
    new_record,
    new_tuple,
    new_value,
    string_at,
    words,
)
from gateway.host.bridge_memory import BridgeMemory, Memory
from gateway.host.errors import Gone
from gateway.host.guest_resource import GuestResource, HandedOut
from gateway.host.inline import Source, is_short
from gateway.host.pieces import STRETCH, pause
from gateway.host.table import ResourceTable
from gateway.host.value_kinds import (
    CHAR,
    ENUM,
    F32,
    F64,
    FLAGS,
    LIST,
    OPTION,
    RECORD,
    RESOURCE,
    STRING,
    TUPLE,
    U8,
    U32,
    VARIANT,
)
from gateway.host.value_types import Err, Ok, Some, ValueMismatch, Variant, mismatch

__all__ = [
    "F32_LIMIT",
    "MAX_ARGUMENT",
    "MAX_ARGUMENTS",
    "MAX_ELEMENTS",
    "VALUE_SIZE",
    "ArgumentTooLarge",
    "Err",
    "Holder",
    "Lift",
    "Lower",
    "Ok",
    "Some",
    "ValueMismatch",
    "Variant",
    "lift",
    "lift_argument",
    "lower",
]


class Holder(Protocol):
    """What values need of the store that they are in.

    Attributes:
        context: the address of the engine's context.
        instance: the address of the name of the component's instance.
        table: the resources that the guest holds.
        handed_out: those that are its own, and others hold.
        memories: where bytes have crossed in blocks, by number.
        guest_memory: where they have without a bridge.
        scratch: the address of three words for what passes between the engine and the host.
        lifted: how large the argument that is being lifted is so far.
    """

    context: int
    instance: int
    table: ResourceTable
    handed_out: HandedOut | None
    memories: dict[int, BridgeMemory]
    guest_memory: Memory | None
    scratch: int
    lifted: int


Lift = Callable[[Holder, int], Any]
"""Reads the value at an address, in a store."""

Lower = Callable[[Holder, int, Any], None]
"""Writes a value to an address (which must hold a valid value, such as zeroes), in a store."""

VALUE_SIZE: Final = 32
_RECORD_ENTRY: Final = 48

_U32_MASK: Final = (1 << 32) - 1

MAX_ARGUMENT: Final = 2 << 20
"""Bytes that one argument of a host function may have, of all strings and `list<u8>` in it. Threat: a guest that
names megabytes for the host to read while everybody waits. Twice what one write to a body may have."""

MAX_ARGUMENTS: Final = 8 << 20
"""The same of all arguments of one call together. Threat: a function with a hundred of them, which a link may
provide, each all of the same bytes. Arbitrary: as much as the bridges have room for."""

MAX_ELEMENTS: Final = 8 << 10
"""Elements of lists, other than of bytes, that one argument may have. Threat: the same; an element costs a host
function some microseconds. Arbitrary: more header fields, pollables or datagrams than any guest has."""

_ELEMENT_SIZE: Final = MAX_ARGUMENT // MAX_ELEMENTS
"""What an element counts as, in bytes: so there is one sum for both limits."""

_BLOCK: Final = 2048
"""Bytes of a `list<u8>` that are copied at once: as 64 KiB, which stay in the processor's cache."""

_BLOCK_STEP: Final = 14
"""So many bytes, as a power of two, are copied in a block in about the time of a step (`gateway.host.pieces`)."""

F32_LIMIT: Final = float.fromhex("0x1.ffffffp127")
"""The smallest number that rounds to infinity as an `f32`."""


class ArgumentTooLarge(Exception):
    """A guest passed more to a host function than that takes at once; the message says what."""


def _nullable(ty: wit.Type) -> bool:
    """Whether a Python `None` may stand for a value of the type, so that an option of it needs `Some`."""
    return isinstance(ty, wit.Option)


# --- lifting -----------------------------------------------------------------------------------------------


def lift(ty: wit.Type) -> Lift:
    """Build the closure that reads values of a type, however large they are.

    Raises:
        TypeError: the type is one that the engine's C API does not carry.
    """
    return _lift(ty, limited=False)


def lift_argument(ty: wit.Type, *, cut: bool = False) -> Lift:
    """Build the closure that reads values of a type that a guest passes to a host function.

    The closure looks at lengths before it reads what is that long, and adds them to the store's `lifted`, which
    is 0 where an argument begins. It raises `ArgumentTooLarge` where they exceed `MAX_ARGUMENT` or `MAX_ELEMENTS`.

    Args:
        ty: the type.
        cut: whether to read only the first bytes of a `list<u8>` that is too long.

    Raises:
        TypeError: the type is one that the engine's C API does not carry.
    """
    if cut and isinstance(ty, wit.Bytes):
        return _lift_block(ty, limited=False, most=MAX_ARGUMENT)
    if cut and isinstance(ty, wit.List) and ty.element == wit.Integer(8, signed=False):
        return _lift_first_bytes
    return _lift(ty, limited=True)


def _lift(ty: wit.Type, *, limited: bool) -> Lift:
    if is_short(ty):
        return _lift_short(ty)
    match ty:
        case wit.Float(bits=64):
            return lambda _store, address: doubles[(address >> 3) + 1]
        case wit.Float():
            return lambda _store, address: floats[(address >> 2) + 2]
        case wit.Char():
            return lambda _store, address: chr(words[(address >> 3) + 1] & 0xFFFFFFFF)
        case wit.String():
            return _lift_limited_string(ty) if limited else _lift_string
        case wit.Enum():
            return _lift_string
        case wit.Bytes():
            return _lift_block(ty, limited=limited)
        case wit.List(element=wit.Integer(bits=8, signed=False)):
            return _lift_limited_bytes(ty) if limited else _lift_bytes
        case wit.List():
            return _lift_limited_list(ty) if limited else _lift_list(ty)
        case wit.Record():
            return _lift_record(ty, limited=limited)
        case wit.Tuple():
            return _lift_tuple(ty, limited=limited)
        case wit.Variant():
            return _lift_variant(ty, limited=limited)
        case wit.Option():
            return _lift_option(ty, limited=limited)
        case wit.Result():
            return _lift_result(ty, limited=limited)
        case wit.Flags():
            return _lift_flags
        case wit.Own() | wit.Borrow():
            return partial(_lift_own, ty.resource)
        case wit.Future() | wit.Unsupported():
            raise TypeError(f"values of type {ty} cannot cross the boundary of the host")
    raise AssertionError(ty)


def _lift_short(ty: wit.Type) -> Lift:
    source = Source("store, address", {})
    source.add(f"return {source.read(ty, 'address')}")
    return source.function(__file__)


def _lift_string(_store: Holder, address: int) -> str:
    word = address >> 3
    size = words[word + 1]
    pause(1 + (size >> 10), size)
    return string_at(words[word + 2], size).decode()


def _lift_bytes(_store: Holder, address: int) -> bytes:
    word = address >> 3
    pause(1 + (words[word + 1] >> 10), words[word + 1])
    return _bytes_at(words[word + 2], words[word + 1])


def _lift_first_bytes(_store: Holder, address: int) -> bytes:
    word = address >> 3
    return _bytes_at(words[word + 2], min(words[word + 1], MAX_ARGUMENT))


def _bytes_at(address: int, size: int) -> bytes:
    # One byte of payload in every value: the stride picks them out at memcpy speed.
    if size <= _BLOCK:
        return string_at(address, size * VALUE_SIZE)[8::VALUE_SIZE]
    return b"".join(
        [
            string_at(address + at * VALUE_SIZE, min(_BLOCK, size - at) * VALUE_SIZE)[8::VALUE_SIZE]
            for at in range(0, size, _BLOCK)
        ]
    )


def _lift_block(ty: wit.Bytes, *, limited: bool, most: int = _U32_MASK) -> Lift:
    number, of_guest = ty.memory, ty.of_guest

    def lift_block(store: Holder, address: int) -> bytes:
        word = words[(address >> 3) + 2] >> 3
        size = words[word + 5] & _U32_MASK
        if limited:
            store.lifted += size
            if store.lifted > MAX_ARGUMENT:
                raise _too_large(ty, size)
        elif size <= most:
            pause(1 + (size >> _BLOCK_STEP), size)
        memory: Memory
        if of_guest:
            memory = store.guest_memory or _guest_memory(store, number)
        else:
            memory = store.memories.get(number) or _bridge_memory(store, number)
        return memory.read(words[word + 1] & _U32_MASK, size, most)

    return lift_block


def _bridge_memory(store: Holder, number: int) -> BridgeMemory:
    """A memory that bytes have not crossed in before."""
    memory = BridgeMemory(store.context, store.instance, store.scratch, number)
    store.memories[number] = memory
    return memory


def _guest_memory(store: Holder, number: int) -> Memory:
    """That of a guest of which the host has read nothing before."""
    memory = Memory(store.context, store.instance, store.scratch, number)
    store.guest_memory = memory
    return memory


def _lift_list(ty: wit.List) -> Lift:
    element = _lift(ty.element, limited=False)

    def lift_list(store: Holder, address: int) -> list[Any]:
        word = address >> 3
        start = words[word + 2]
        size = words[word + 1]
        places = range(start, start + size * VALUE_SIZE, VALUE_SIZE)
        if size <= STRETCH:
            pause(size, size)
            return [element(store, at) for at in places]
        pause(0, size)
        items: list[Any] = []
        for first in range(0, size, STRETCH):
            pause(STRETCH)
            items += [element(store, at) for at in places[first : first + STRETCH]]
        return items

    return lift_list


def _lift_record(ty: wit.Record, *, limited: bool) -> Lift:
    fields = [
        (name, _lift(field, limited=limited), index * _RECORD_ENTRY + 16)
        for index, (name, field) in enumerate(ty.fields)
    ]

    def lift_record(store: Holder, address: int) -> dict[str, Any]:
        data = words[(address >> 3) + 2]
        return {name: field(store, data + offset) for name, field, offset in fields}

    return lift_record


def _lift_tuple(ty: wit.Tuple, *, limited: bool) -> Lift:
    elements = [
        (_lift(element, limited=limited), index * VALUE_SIZE)
        for index, element in enumerate(ty.elements)
    ]

    def lift_tuple(store: Holder, address: int) -> tuple[Any, ...]:
        data = words[(address >> 3) + 2]
        return tuple([element(store, data + offset) for element, offset in elements])

    return lift_tuple


def _lift_variant(ty: wit.Variant, *, limited: bool) -> Lift:
    # Cases without payload are immutable: one object each serves every call.
    cases = {
        name.encode(): (Variant(name), None if payload is None else _lift(payload, limited=limited))
        for name, payload in ty.cases
    }

    def lift_variant(store: Holder, address: int) -> Variant:
        word = address >> 3
        variant, payload = cases[string_at(words[word + 2], words[word + 1])]
        if payload is None:
            return variant
        return Variant(variant.case, payload(store, words[word + 3]))

    return lift_variant


def _lift_option(ty: wit.Option, *, limited: bool) -> Lift:
    payload = _lift(ty.payload, limited=limited)
    if _nullable(ty.payload):

        def lift_nested_option(store: Holder, address: int) -> Some | None:
            pointer = words[(address >> 3) + 1]
            return Some(payload(store, pointer)) if pointer else None

        return lift_nested_option

    def lift_option(store: Holder, address: int) -> Any:
        pointer = words[(address >> 3) + 1]
        return payload(store, pointer) if pointer else None

    return lift_option


def _lift_result(ty: wit.Result, *, limited: bool) -> Lift:
    ok = None if ty.ok is None else _lift(ty.ok, limited=limited)
    err = None if ty.err is None else _lift(ty.err, limited=limited)

    def lift_result(store: Holder, address: int) -> Ok | Err:
        word = address >> 3
        if words[word + 1] & 0xFF:
            return Ok(None if ok is None else ok(store, words[word + 2]))
        return Err(None if err is None else err(store, words[word + 2]))

    return lift_result


def _lift_flags(_store: Holder, address: int) -> frozenset[str]:
    word = address >> 3
    start = words[word + 2] >> 3
    end = start + 2 * words[word + 1]
    return frozenset([string_at(words[at + 1], words[at]).decode() for at in range(start, end, 2)])


def _lift_own(ty: wit.Resource, store: Holder, address: int) -> GuestResource:
    if store.handed_out is None:
        store.handed_out = HandedOut()
    pause(1)
    return store.handed_out.lift(words[(address >> 3) + 1], ty)


def _too_large(ty: wit.Type, size: int) -> ArgumentTooLarge:
    return ArgumentTooLarge(
        f"a {ty} of length {size // _size_of_one(ty)}; an argument may have {MAX_ARGUMENT} bytes and "
        f"{MAX_ELEMENTS} elements of lists"
    )


def _size_of_one(ty: wit.Type) -> int:
    """What one byte or element counts as, in bytes."""
    match ty:
        case wit.String() | wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
            return 1
    return _ELEMENT_SIZE


# What is limited is read before anything else can have its turn, so these do not pause.


def _lift_limited_string(ty: wit.String) -> Lift:
    def lift_string(store: Holder, address: int) -> str:
        word = address >> 3
        store.lifted += (size := words[word + 1])
        if store.lifted > MAX_ARGUMENT:
            raise _too_large(ty, size)
        return string_at(words[word + 2], size).decode()

    return lift_string


def _lift_limited_bytes(ty: wit.List) -> Lift:
    def lift_bytes(store: Holder, address: int) -> bytes:
        word = address >> 3
        store.lifted += (size := words[word + 1])
        if store.lifted > MAX_ARGUMENT:
            raise _too_large(ty, size)
        return _bytes_at(words[word + 2], size)

    return lift_bytes


def _lift_limited_list(ty: wit.List) -> Lift:
    element = _lift(ty.element, limited=True)

    def lift_list(store: Holder, address: int) -> list[Any]:
        word = address >> 3
        size = words[word + 1]
        store.lifted += size * _ELEMENT_SIZE
        if store.lifted > MAX_ARGUMENT:
            raise _too_large(ty, size * _ELEMENT_SIZE)
        start = words[word + 2]
        end = start + size * VALUE_SIZE
        return [element(store, at) for at in range(start, end, VALUE_SIZE)]

    return lift_list


# --- lowering ----------------------------------------------------------------------------------------------


def lower(ty: wit.Type) -> Lower:
    """Build the closure that writes values of a type.

    The closure raises `ValueMismatch` where the Python value is not one of the type.

    Raises:
        TypeError: the type is one that the engine's C API does not carry.
    """
    if is_short(ty):
        return _lower_short(ty)
    match ty:
        case wit.Float():
            return _lower_float(ty)
        case wit.Char():
            return _lower_char
        case wit.String():
            return _lower_string
        case wit.Bytes():
            return _lower_block(ty)
        case wit.List(element=wit.Integer(bits=8, signed=False)):
            return _lower_bytes
        case wit.List():
            return _lower_list(ty)
        case wit.Record():
            return _lower_record(ty)
        case wit.Tuple():
            return _lower_tuple(ty)
        case wit.Variant():
            return _lower_variant(ty)
        case wit.Enum():
            return _lower_enum(ty)
        case wit.Option():
            return _lower_option(ty)
        case wit.Result():
            return _lower_result(ty)
        case wit.Flags():
            return _lower_flags(ty)
        case wit.Own() | wit.Borrow():
            return partial(_lower_own, ty.resource, isinstance(ty, wit.Own))
        case wit.Future() | wit.Unsupported():
            raise TypeError(f"values of type {ty} cannot cross the boundary of the host")
    raise AssertionError(ty)


def _lower_short(ty: wit.Type) -> Lower:
    source = Source("store, address, value", {})
    source.write(ty, "address", "value")
    return source.function(__file__)


def _lower_float(ty: wit.Float) -> Lower:
    array, shift, offset, kind = (doubles, 3, 1, F64) if ty.bits == 64 else (floats, 2, 2, F32)
    limit = inf if ty.bits == 64 else F32_LIMIT
    expected = f"{ty}, a number in its range"

    def lower_float(_store: Holder, address: int, value: Any) -> None:
        if type(value) is not float and type(value) is not int:
            raise mismatch(ty, value)
        try:
            number = float(value)
        except OverflowError:
            raise mismatch(expected, value) from None
        if limit <= abs(number) < inf:
            raise mismatch(expected, value)
        array[(address >> shift) + offset] = number
        words[address >> 3] = kind

    return lower_float


def _lower_char(_store: Holder, address: int, value: Any) -> None:
    if type(value) is not str or len(value) != 1 or "\ud800" <= value <= "\udfff":
        raise mismatch("char, a string of one Unicode scalar value", value)
    word = address >> 3
    words[word + 1] = ord(value)
    words[word] = CHAR


def _encode(value: Any) -> bytes:
    if not isinstance(value, str):
        raise mismatch("string", value)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise mismatch("string without lone surrogates", value) from None


def _lower_string(_store: Holder, address: int, value: Any) -> None:
    data = _encode(value)
    new_bytes(address + 8, len(data), data)
    words[address >> 3] = STRING


def _lower_bytes(_store: Holder, address: int, value: Any) -> None:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise mismatch("list<u8>, a bytes object", value)
    if isinstance(value, memoryview):
        value = bytes(value)  # its items may be larger than bytes, and apart
    size = len(value)
    new_list(address + 8, size)
    word = address >> 3
    words[word] = LIST
    to = words[word + 2]
    block = min(size, _BLOCK)
    image = bytearray(block * VALUE_SIZE)
    image[0::VALUE_SIZE] = bytes((U8,)) * block
    for at in range(0, size, _BLOCK):
        pause(_BLOCK >> 6)
        part = value[at : at + _BLOCK]
        if len(part) < block:
            image = image[: len(part) * VALUE_SIZE]
        image[8::VALUE_SIZE] = part
        memory_copy(to + at * VALUE_SIZE, image)


def _lower_block(ty: wit.Bytes) -> Lower:
    number = ty.memory

    def lower_block(store: Holder, address: int, value: Any) -> None:
        if type(value) is not bytes:
            if not isinstance(value, bytes | bytearray | memoryview):
                raise mismatch("list<u8>, a bytes object", value)
            value = bytes(value)
        new_tuple(address + 8, 2)
        word = address >> 3
        words[word] = TUPLE
        word = words[word + 2] >> 3
        words[word] = words[word + 4] = U32
        pause(1 + (len(value) >> _BLOCK_STEP))
        memory = store.memories.get(number) or _bridge_memory(store, number)
        words[word + 1] = memory.write(value)
        words[word + 5] = len(value)

    return lower_block


def _lower_list(ty: wit.List) -> Lower:
    element = lower(ty.element)

    def lower_list(store: Holder, address: int, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise mismatch(ty, value)
        size = len(value)
        new_list(address + 8, size)
        word = address >> 3
        words[word] = LIST
        start = words[word + 2]
        places = range(start, start + size * VALUE_SIZE, VALUE_SIZE)
        items = iter(value)
        for first in range(0, size, STRETCH):
            some = places[first : first + STRETCH]
            pause(len(some))
            # The places come first: a list that grows meanwhile must not be written past the end.
            for at, item in zip(some, items, strict=False):
                element(store, at, item)

    return lower_list


def _lower_record(ty: wit.Record) -> Lower:
    fields = [(name, name.encode(), lower(field)) for name, field in ty.fields]

    def lower_record(store: Holder, address: int, value: Any) -> None:
        if not isinstance(value, dict) or len(value) != len(fields):
            raise mismatch(ty, value)
        new_record(address + 8, len(fields))
        word = address >> 3
        words[word] = RECORD
        at = words[word + 2]
        for name, encoded, field in fields:
            if name not in value:
                raise mismatch(ty, value)
            new_bytes(at, len(encoded), encoded)
            field(store, at + 16, value[name])
            at += _RECORD_ENTRY

    return lower_record


def _lower_tuple(ty: wit.Tuple) -> Lower:
    elements = [lower(element) for element in ty.elements]

    def lower_tuple(store: Holder, address: int, value: Any) -> None:
        if not isinstance(value, tuple | list) or len(value) != len(elements):
            raise mismatch(ty, value)
        new_tuple(address + 8, len(elements))
        word = address >> 3
        words[word] = TUPLE
        at = words[word + 2]
        for element, item in zip(elements, value, strict=True):
            element(store, at, item)
            at += VALUE_SIZE

    return lower_tuple


def _lower_variant(ty: wit.Variant) -> Lower:
    cases = {
        name: (name.encode(), None if payload is None else lower(payload))
        for name, payload in ty.cases
    }

    def lower_variant(store: Holder, address: int, value: Any) -> None:
        case, payload = value if type(value) is Variant else (value, None)
        try:
            encoded, lower_payload = cases[case]
        except (KeyError, TypeError):
            raise mismatch(ty, value) from None
        word = address >> 3
        new_bytes(address + 8, len(encoded), encoded)
        words[word + 3] = 0
        words[word] = VARIANT
        if lower_payload is not None:
            box = words[word + 3] = new_value()
            lower_payload(store, box, payload)
        elif payload is not None:
            raise mismatch(f"case {case} without payload", value)

    return lower_variant


def _lower_enum(ty: wit.Enum) -> Lower:
    names = {name: name.encode() for name in ty.names}

    def lower_enum(_store: Holder, address: int, value: Any) -> None:
        try:
            encoded = names[value]
        except (KeyError, TypeError):
            raise mismatch(ty, value) from None
        new_bytes(address + 8, len(encoded), encoded)
        words[address >> 3] = ENUM

    return lower_enum


def _lower_option(ty: wit.Option) -> Lower:
    payload = lower(ty.payload)
    nested = _nullable(ty.payload)

    def lower_option(store: Holder, address: int, value: Any) -> None:
        word = address >> 3
        words[word + 1] = 0
        words[word] = OPTION
        if value is None:
            return
        if type(value) is Some:
            value = value.value
        elif nested:
            raise mismatch(f"{ty}, None or Some(...)", value)
        box = words[word + 1] = new_value()
        payload(store, box, value)

    return lower_option


def _lower_result(ty: wit.Result) -> Lower:
    source = Source("store, address, value", {})
    source.write_result(ty, "address", "value", lower)
    return source.function(__file__)


def _lower_flags(ty: wit.Flags) -> Lower:
    names = {name: name.encode() for name in ty.names}

    def lower_flags(_store: Holder, address: int, value: Any) -> None:
        if isinstance(value, str) or not isinstance(value, set | frozenset | list | tuple):
            raise mismatch(ty, value)
        try:
            encoded = [names[name] for name in set(value)]
        except (KeyError, TypeError):
            raise mismatch(ty, value) from None
        new_flags(address + 8, len(encoded))
        word = address >> 3
        words[word] = FLAGS
        at = words[word + 2]
        for name in encoded:
            new_bytes(at, len(name), name)
            at += 16

    return lower_flags


def _lower_own(ty: wit.Resource, owned: bool, store: Holder, address: int, value: Any) -> None:
    handed_out = store.handed_out
    if handed_out is None or not isinstance(value, GuestResource) or value.type is not ty:
        raise Gone(f"resource {ty} is of another instance, or its own has ended")
    pointer = handed_out.lower(value, owned=owned)
    word = address >> 3
    words[word + 1] = pointer
    words[word] = RESOURCE
