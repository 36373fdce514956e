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
        case wit.Bool() | wit.Char() | wit.Enum() | wit.Own() | wit.Borrow():
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
        case wit.Bool() | wit.Enum():
            return 1
        case wit.Integer():
            return ty.bits // 8
        case wit.Variant() | wit.Option() | wit.Result():
            return max(map(_alignment, _parts(ty)), default=1)
    return max(map(_alignment, _parts(ty)), default=4)


def _size(ty: wit.Type) -> int:
    match ty:
        case wit.String() | wit.List():
            return 8
        case wit.Tuple() | wit.Record():
            end = 0
            for part in _parts(ty):
                end = _align(end, part) + _size(part)
            return _align(end, ty)
        case wit.Variant() | wit.Option() | wit.Result():
            payload = max(map(_size, _parts(ty)), default=0)
            return _align(_align(1, ty) + payload, ty)
    return _alignment(ty)


def _align(at: int, ty: wit.Type) -> int:
    alignment = _alignment(ty)
    return -(-at // alignment) * alignment


def store_arguments(ty: wit.Function, args: tuple[Any, ...], heap: int) -> bytes:
    """What to put at the address `heap`: eight bytes for each flat argument, then what they point to."""
    slots: list[int] = []
    tail = b""
    end = heap + 8 * sum(len(flat(param)) for _, param in ty.params)
    for (_, param), value in zip(ty.params, args, strict=True):
        data: bytes | None = None
        match param:
            case wit.String():
                data = value.encode()
            case wit.List(element=wit.Integer(bits=8)):
                data = value
            case wit.List(element=wit.Own() | wit.Borrow()):
                data = b"".join(handle.to_bytes(4, "little") for handle in value)
            case wit.Enum():
                slots.append(param.names.index(value))
            case wit.Result(ok=None, err=None):
                slots.append(isinstance(value, Err))
            case wit.Integer() | wit.Own() | wit.Borrow():
                slots.append(value)
            case _:
                raise TypeError(f"no test passes {param}")
        if data is not None:
            length = len(value) if isinstance(value, list) else len(data)
            slots += [end + len(tail), length]
            tail += data + bytes(-len(data) % 8)
    return b"".join(slot.to_bytes(8, "little") for slot in slots) + tail


def load(ty: wit.Type, memory: bytes, at: int) -> Any:
    """The value that is at an address."""
    match ty:
        case wit.Bool():
            return bool(memory[at])
        case wit.Integer():
            return int.from_bytes(memory[at : at + ty.bits // 8], "little", signed=ty.signed)
        case wit.Own() | wit.Borrow():
            return _word(memory, at)
        case wit.Enum():
            return ty.names[memory[at]]
        case wit.String():
            return _bytes(memory, at).decode()
        case wit.List(element=wit.Integer(bits=8)):
            return _bytes(memory, at)
        case wit.List():
            start, size = _word(memory, at), _size(ty.element)
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
        at += _size(part)
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
