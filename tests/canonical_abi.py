"""Values in the linear memory of a guest, as far as the tests of bindings need them.

A value is what `gateway.host.values` says, except that a resource is the number of the guest's handle.

Source: https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md
"""

from __future__ import annotations

from typing import Any

from gateway.host import wit
from gateway.host.values import Err, Ok, Variant


def flat(ty: wit.Type) -> list[str]:
    """The core types of a value; of a variant, one case's, for only their number is looked at."""
    match ty:
        case wit.Bool() | wit.Char() | wit.Enum() | wit.Flags() | wit.Own() | wit.Borrow():
            return ["i32"]
        case wit.Stream() | wit.Future():
            return ["i32"]
        case wit.Integer():
            return ["i64" if ty.bits == 64 else "i32"]
        case wit.String() | wit.List():
            return ["i32", "i32"]
        case wit.Tuple() | wit.Record():
            return [core for part in _parts(ty) for core in flat(part)]
        case wit.Variant() | wit.Option() | wit.Result():
            return ["i32", *max((flat(case) for case in _parts(ty)), key=len, default=[])]
    raise TypeError(f"no test needs {ty}")


def _parts(ty: wit.Type) -> list[wit.Type]:
    """The types of the fields of a record, or of the payloads of a variant, where they have one."""
    match ty:
        case wit.Tuple():
            return list(ty.elements)
        case wit.Record():
            return [part for _, part in ty.fields]
        case wit.Variant():
            return [case for _, case in ty.cases if case is not None]
        case wit.Option():
            return [ty.payload]
        case wit.Result():
            return [case for case in (ty.ok, ty.err) if case is not None]
    return []


def _alignment(ty: wit.Type) -> int:
    match ty:
        case wit.Bool() | wit.Enum() | wit.Flags():
            return 1
        case wit.Integer():
            return ty.bits // 8
        case wit.Variant() | wit.Option() | wit.Result():
            return max(map(_alignment, _parts(ty)), default=1)
    return max(map(_alignment, _parts(ty)), default=4)


def size_of(ty: wit.Type) -> int:
    """How many bytes a value has in memory."""
    match ty:
        case wit.Stream() | wit.Future():
            return 4
        case wit.String() | wit.List():
            return 8
        case wit.Tuple() | wit.Record():
            end = 0
            for part in _parts(ty):
                end = _align(end, part) + size_of(part)
            return _align(end, ty)
        case wit.Variant() | wit.Option() | wit.Result():
            payload = max(map(size_of, _parts(ty)), default=0)
            return _align(_align(1, ty) + payload, ty)
    return _alignment(ty)


def _align(at: int, ty: wit.Type) -> int:
    alignment = _alignment(ty)
    return -(-at // alignment) * alignment


class _Heap:
    """What arguments point to."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.data = bytearray()

    def put(self, data: bytes) -> int:
        """Add bytes, aligned for anything; returns their address."""
        address = self._at + len(self.data)
        self.data += data + bytes(-len(data) % 8)
        return address


def store_arguments(ty: wit.Function, args: tuple[Any, ...], heap: int) -> bytes:
    """What to put at the address `heap`: eight bytes for each flat argument, then what they point to."""
    rest = _Heap(heap + 8 * sum(len(flat(param)) for _, param in ty.params))
    slots: list[int] = []
    for (_, param), value in zip(ty.params, args, strict=True):
        slots += _flatten(param, value, rest)
    return b"".join((slot % (1 << 64)).to_bytes(8, "little") for slot in slots) + rest.data


def store(ty: wit.Type, value: Any, at: int) -> bytes:
    """What to put at an address: a value, then what it points to."""
    rest = _Heap(at + size_of(ty))
    return _store(ty, value, rest) + rest.data


def _flatten(ty: wit.Type, value: Any, heap: _Heap) -> list[int]:
    """The flat form of a value."""
    match ty:
        case wit.Stream() | wit.Future():
            return [value]
        case wit.String() | wit.List():
            return list(_store_list(ty, value, heap))
        case wit.Tuple() | wit.Record():
            parts = zip(_parts(ty), _values(ty, value), strict=True)
            return [slot for part, inner in parts for slot in _flatten(part, inner, heap)]
        case wit.Variant() | wit.Option() | wit.Result():
            index, payload, inner = _case(ty, value)
            slots = [index, *([] if payload is None else _flatten(payload, inner, heap))]
            return slots + [0] * (len(flat(ty)) - len(slots))
    return [_number(ty, value)]


def _store(ty: wit.Type, value: Any, heap: _Heap) -> bytes:
    """The form of a value in memory."""
    match ty:
        case wit.String() | wit.List():
            return b"".join(word.to_bytes(4, "little") for word in _store_list(ty, value, heap))
        case wit.Tuple() | wit.Record():
            data = b""
            for part, inner in zip(_parts(ty), _values(ty, value), strict=True):
                data = data.ljust(_align(len(data), part), b"\0") + _store(part, inner, heap)
            return data.ljust(size_of(ty), b"\0")
        case wit.Variant() | wit.Option() | wit.Result():
            index, payload, inner = _case(ty, value)
            data = bytes((index,)).ljust(_align(1, ty), b"\0")
            if payload is not None:
                data += _store(payload, inner, heap)
            return data.ljust(size_of(ty), b"\0")
    return _number(ty, value).to_bytes(size_of(ty), "little")


def _store_list(ty: wit.String | wit.List, value: Any, heap: _Heap) -> tuple[int, int]:
    """Where the elements of a list are, and how many."""
    match ty:
        case wit.String():
            data = value.encode()
            return heap.put(data), len(data)
        case wit.List(element=wit.Integer(bits=8)):
            return heap.put(value), len(value)
    return heap.put(b"".join(_store(ty.element, inner, heap) for inner in value)), len(value)


def _values(ty: wit.Tuple | wit.Record, value: Any) -> list[Any]:
    return [value[name] for name, _ in ty.fields] if isinstance(ty, wit.Record) else list(value)


def _case(
    ty: wit.Variant | wit.Option | wit.Result, value: Any
) -> tuple[int, wit.Type | None, Any]:
    """The number of the case that a value is, its type, and what is in it."""
    match ty:
        case wit.Variant():
            names = [name for name, _ in ty.cases]
            index = names.index(value.case)
            return index, ty.cases[index][1], value.payload
        case wit.Option():
            return (0, None, None) if value is None else (1, ty.payload, value)
        case wit.Result():
            return (1, ty.err, value.value) if isinstance(value, Err) else (0, ty.ok, value.value)


def _number(ty: wit.Type, value: Any) -> int:
    match ty:
        case wit.Enum():
            return ty.names.index(value)
        case wit.Flags():
            return sum(1 << ty.names.index(name) for name in value)
        case wit.Bool() | wit.Integer() | wit.Own() | wit.Borrow():
            return int(value)
    raise TypeError(f"no test passes {ty}")


def load(ty: wit.Type, memory: bytes, at: int) -> Any:
    """The value that is at an address."""
    match ty:
        case wit.Bool():
            return bool(memory[at])
        case wit.Integer():
            return int.from_bytes(memory[at : at + ty.bits // 8], "little", signed=ty.signed)
        case wit.Own() | wit.Borrow() | wit.Stream() | wit.Future():
            return _word(memory, at)
        case wit.Enum():
            return ty.names[memory[at]]
        case wit.Flags():
            return {name for bit, name in enumerate(ty.names) if memory[at] >> bit & 1}
        case wit.String():
            return _bytes(memory, at).decode()
        case wit.List(element=wit.Integer(bits=8)):
            return _bytes(memory, at)
        case wit.List():
            start, size = _word(memory, at), size_of(ty.element)
            return [
                load(ty.element, memory, start + index * size)
                for index in range(_word(memory, at + 4))
            ]
        case wit.Tuple():
            return tuple(_load_parts(ty, memory, at))
        case wit.Record():
            names = [name for name, _ in ty.fields]
            return dict(zip(names, _load_parts(ty, memory, at), strict=True))
        case wit.Variant():
            name, case = ty.cases[memory[at]]
            return Variant(name, _load_payload(ty, case, memory, at))
        case wit.Option():
            return _load_payload(ty, ty.payload, memory, at) if memory[at] else None
        case wit.Result():
            if memory[at]:
                return Err(_load_payload(ty, ty.err, memory, at))
            return Ok(_load_payload(ty, ty.ok, memory, at))
    raise TypeError(f"no test receives {ty}")


def _load_parts(ty: wit.Type, memory: bytes, at: int) -> list[Any]:
    values = []
    for part in _parts(ty):
        at = _align(at, part)
        values.append(load(part, memory, at))
        at += size_of(part)
    return values


def _load_payload(variant: wit.Type, payload: wit.Type | None, memory: bytes, at: int) -> Any:
    if payload is None:
        return None
    # After the one byte of the discriminant, where the payload of any case could stand.
    return load(payload, memory, at + _align(1, variant))


def _word(memory: bytes, at: int) -> int:
    return int.from_bytes(memory[at : at + 4], "little")


def _bytes(memory: bytes, at: int) -> bytes:
    start = _word(memory, at)
    return memory[start : start + _word(memory, at + 4)]
