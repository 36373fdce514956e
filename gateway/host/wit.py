"""The types of WIT, as plain values.

What `gateway.host.introspect` reads from a compiled component, and what everything else (values, linking,
`gateway inspect`) works from. Names of records and variants are not part of a component's types, so the types
are structural.

Source: https://component-model.bytecodealliance.org/design/wit.html
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

__all__ = [
    "Bool",
    "Borrow",
    "Bytes",
    "Char",
    "Enum",
    "Flags",
    "Float",
    "Function",
    "Future",
    "Integer",
    "Interface",
    "Item",
    "List",
    "Named",
    "Option",
    "Own",
    "Record",
    "Resource",
    "Result",
    "Stream",
    "String",
    "Tuple",
    "Type",
    "Unsupported",
    "Variant",
    "carried",
    "disguise",
    "extern_text",
    "goes_on",
    "interface_name",
    "leaves",
    "no_import",
    "replaced",
    "settled",
    "split_function",
    "text",
]


class _Written:
    __slots__ = ()

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True, slots=True)
class Bool(_Written):
    """`bool`."""


@dataclass(frozen=True, slots=True)
class Integer(_Written):
    """`u8`, `s8` ... `u64`, `s64`."""

    bits: int
    signed: bool

    @property
    def minimum(self) -> int:
        """The smallest value of the type."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The largest value of the type."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True, slots=True)
class Float(_Written):
    """`f32` or `f64`."""

    bits: int


@dataclass(frozen=True, slots=True)
class Char(_Written):
    """`char`: a Unicode scalar value."""


@dataclass(frozen=True, slots=True)
class String(_Written):
    """`string`."""


@dataclass(frozen=True, slots=True)
class Bytes(_Written):
    """`list<u8>` that crosses the boundary of the host in one block (`gateway.wasm.byte_blocks`).

    Attributes:
        memory: the number of the memory that the block is in: how many core instances are made before it.
        of_guest: whether that is the guest's own, which the host only reads, and not a bridge's.
    """

    memory: int = 0
    of_guest: bool = False


@dataclass(frozen=True, slots=True)
class List(_Written):
    """`list<element>`."""

    element: Type


@dataclass(frozen=True, slots=True)
class Stream(List):
    """`stream<element>`, which whoever calls the function gives or gets as a whole, as a `list` of elements."""


@dataclass(frozen=True, slots=True)
class Future(_Written):
    """`future<payload>`, which whoever calls the function gives or gets as its payload."""

    payload: Type


@dataclass(frozen=True, slots=True)
class Record(_Written):
    """`record { name: type, ... }`."""

    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class Tuple(_Written):
    """`tuple<...>`."""

    elements: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Variant(_Written):
    """`variant { case, case(type), ... }`."""

    cases: tuple[tuple[str, Type | None], ...]


@dataclass(frozen=True, slots=True)
class Enum(_Written):
    """`enum { name, ... }`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option(_Written):
    """`option<payload>`."""

    payload: Type


@dataclass(frozen=True, slots=True)
class Result(_Written):
    """`result<ok, err>`, each side of which may be absent."""

    ok: Type | None
    err: Type | None


@dataclass(frozen=True, slots=True)
class Flags(_Written):
    """`flags { name, ... }`."""

    names: tuple[str, ...]


@dataclass(eq=False, slots=True)
class Resource(_Written):
    """A resource type; two uses of one resource type are the same object.

    Attributes:
        name: the name under which it was seen first, for messages.
        imported: whether the component imports it (the host defines it) rather than exports it.
        host_id: the number under which the host defines it, unique in the process.
    """

    name: str
    imported: bool
    host_id: int = field(default_factory=count(1).__next__)


@dataclass(frozen=True, slots=True)
class Own(_Written):
    """`own<resource>`."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Borrow(_Written):
    """`borrow<resource>`."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Unsupported(_Written):
    """A type whose values do not cross: `error-context`, and a `stream` or `future` of nothing."""

    name: str


Type = (
    Bool
    | Integer
    | Float
    | Char
    | String
    | Bytes
    | List
    | Future
    | Record
    | Tuple
    | Variant
    | Enum
    | Option
    | Result
    | Flags
    | Own
    | Borrow
    | Unsupported
)

Named = Record | Variant | Enum | Flags
"""The types that WIT has only by a name."""


@dataclass(frozen=True, slots=True)
class Function(_Written):
    """`func(name: type, ...) -> type`, or `async func`.

    Attributes:
        over_time: the same with the streams and futures that it has in WIT, which go on when the call has begun or
            returned; None where it has none.
    """

    params: tuple[tuple[str, Type], ...]
    result: Type | None
    is_async: bool = False
    over_time: Function | None = None

    def leaves(self) -> Iterator[Type]:
        """Every type that its parameters and its result are made of."""
        for _, param in self.params:
            yield from leaves(param)
        yield from leaves(self.result)


@dataclass(frozen=True, slots=True)
class Interface:
    """An imported or exported instance: what it holds, by name, in its own order.

    Attributes:
        others: what is neither function, resource nor type, by name: `core module`, `component`, `instance`.
        implements: the full name of the interface that it is, where its own name is a label.
    """

    functions: Mapping[str, Function] = field(default_factory=dict)
    resources: Mapping[str, Resource] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    implements: str | None = None


Item = Function | Interface | Resource | Type | str
"""What a component imports or exports by name; a string names a kind that has no type here (`core module`)."""


def interface_name(name: str, item: Item) -> str:
    """The full name of an imported interface: that of the import, unless this is a label."""
    return (isinstance(item, Interface) and item.implements) or name


def extern_text(name: str, item: Item) -> str:
    """An import or export as worlds of WIT have it: `label: interface`, or its name."""
    interface = interface_name(name, item)
    return name if interface == name else f"{name}: {interface}"


def no_import(wanted: str, imports: Mapping[str, Item]) -> str:
    """Say, after "does not import it", which was meant; or what is imported, of WASI last."""
    interfaces = {name: item for name, item in imports.items() if isinstance(item, Interface)}
    near = difflib.get_close_matches(wanted, interfaces.keys() - {wanted}, n=1, cutoff=0.8)
    if near:
        return f'; did you mean "{near[0]}"?'
    told = sorted(
        (extern_text(name, item) for name, item in interfaces.items()),
        key=lambda text: text.startswith("wasi:"),
    )
    return f" (it imports {', '.join(told) or 'no interfaces'})"


def text(item: object, names: Mapping[Type, str] | None = None) -> str:
    """Write a type as WIT does.

    Args:
        item: a type, function or resource.
        names: the names of types that are not to be written out.
    """
    if names and (name := names.get(item)) is not None:  # type: ignore[call-overload]
        return str(name)

    def optional(ty: Type | None) -> str:
        return "_" if ty is None else text(ty, names)

    def typed(pairs: tuple[tuple[str, Type], ...]) -> str:
        return ", ".join(f"{name}: {text(ty, names)}" for name, ty in pairs)

    match item:
        case Bool():
            return "bool"
        case Integer(bits, signed):
            return f"{'s' if signed else 'u'}{bits}"
        case Float(bits):
            return f"f{bits}"
        case Char():
            return "char"
        case String():
            return "string"
        case Bytes():
            return "list<u8>"
        case Stream(element):
            return f"stream<{text(element, names)}>"
        case List(element):
            return f"list<{text(element, names)}>"
        case Future(payload):
            return f"future<{text(payload, names)}>"
        case Record(fields):
            return f"record {{ {typed(fields)} }}"
        case Tuple(elements):
            return f"tuple<{', '.join(text(element, names) for element in elements)}>"
        case Variant(cases):
            written = (case if ty is None else f"{case}({text(ty, names)})" for case, ty in cases)
            return f"variant {{ {', '.join(written)} }}"
        case Enum(members):
            return f"enum {{ {', '.join(members)} }}"
        case Flags(members):
            return f"flags {{ {', '.join(members)} }}"
        case Option(payload):
            return f"option<{text(payload, names)}>"
        case Result(None, None):
            return "result"
        case Result(ok, None):
            return f"result<{optional(ok)}>"
        case Result(ok, err):
            return f"result<{optional(ok)}, {optional(err)}>"
        case Own(resource):
            return resource.name
        case Borrow(resource):
            return f"borrow<{resource.name}>"
        case Resource(name) | Unsupported(name):
            return name
        case Function(params, result, is_async):
            returned = "" if result is None else f" -> {optional(result)}"
            return f"{'async ' * is_async}func({typed(params)}){returned}"
    raise TypeError(f"not a WIT type: {item!r}")


def split_function(full_name: str) -> tuple[str, str | None, str]:
    """A function's kind, the resource that it belongs to, and its name there: "[method]fields.get", say.

    Source: the component model's Explainer.md, "Import and Export Definitions", `plainname`.
    """
    kind, bracket, rest = full_name.removeprefix("[").partition("]")
    if not bracket:
        return "", None, full_name
    owner, _, name = rest.partition(".")
    return kind, owner, name


def leaves(ty: Type | None) -> Iterator[Type]:
    """Every type that a type is made of, itself if it is made of none or carries them over time."""
    match ty:
        case Stream(carried) | Future(carried):
            yield ty
            yield from leaves(carried)
        case List(element):
            yield from leaves(element)
        case Option(payload):
            yield from leaves(payload)
        case Result(ok, err):
            yield from leaves(ok)
            yield from leaves(err)
        case Tuple(elements):
            for element in elements:
                yield from leaves(element)
        case Record(pairs) | Variant(pairs):
            for _, part in pairs:
                yield from leaves(part)
        case None:
            return
        case _:
            yield ty


def goes_on(ty: Type | None) -> bool:
    """Whether there are streams or futures in it."""
    return any(isinstance(leaf, Stream | Future) for leaf in leaves(ty))


def replaced(ty: Type, replace: Callable[[Type], Type | None]) -> Type:
    """A type in which others, of its own parts too, are replaced wherever `replace` gives something for them."""
    found = replace(ty)
    if found is not None:
        return found

    def inner(part: Type) -> Type:
        return replaced(part, replace)

    def optional(part: Type | None) -> Type | None:
        return None if part is None else inner(part)

    match ty:
        case Stream(element):
            return Stream(inner(element))
        case Future(payload):
            return Future(inner(payload))
        case List(element):
            return List(inner(element))
        case Option(payload):
            return Option(inner(payload))
        case Record(fields):
            return Record(tuple((name, inner(field)) for name, field in fields))
        case Tuple(elements):
            return Tuple(tuple(map(inner, elements)))
        case Variant(cases):
            return Variant(tuple((name, optional(payload)) for name, payload in cases))
        case Result(ok, err):
            return Result(optional(ok), optional(err))
    return ty


def carried(function: Function) -> Function:
    """The type of a function that takes and gives all as a whole: lists and payloads for streams and futures."""

    def whole(ty: Type) -> Type | None:
        match ty:
            case Stream(element):
                return List(of(element))
            case Future(payload):
                return of(payload)
        return None

    def of(ty: Type) -> Type:
        return replaced(ty, whole)

    params = tuple((name, of(param)) for name, param in function.params)
    return Function(params, None if function.result is None else of(function.result))


def settled(exports: Mapping[str, Item]) -> dict[str, Item]:
    """What a component exports, with a future's payload in place of each future."""

    def payload(ty: Type) -> Type | None:
        return of(ty.payload) if isinstance(ty, Future) else None

    def of(ty: Type) -> Type:
        return replaced(ty, payload)

    def item(found: Item) -> Item:
        match found:
            case Function(params, result, is_async):
                return Function(
                    tuple((name, of(param)) for name, param in params),
                    None if result is None else of(result),
                    is_async,
                    found if any(map(goes_on, found.leaves())) else None,
                )
            case Interface(functions, resources, types, others):
                return Interface(
                    {name: item(function) for name, function in functions.items()},  # type: ignore[misc]
                    resources,
                    {name: of(ty) for name, ty in types.items()},
                    others,
                )
            case Resource() | str():
                return found
            case _:
                return of(found)

    return {name: item(found) for name, found in exports.items()}


def in_blocks(function: Function, memory: int) -> Function:
    """The type of a function whose bytes all cross in blocks.

    Args:
        function: its type.
        memory: the number of the memory that the bytes are in.
    """

    def bytes_of(ty: Type) -> Type | None:
        return Bytes(memory) if ty == List(Integer(8, signed=False)) else None

    def told(ty: Type) -> Type:
        return replaced(ty, bytes_of)

    params = tuple((name, told(ty)) for name, ty in function.params)
    return replace(
        function, params=params, result=None if function.result is None else told(function.result)
    )


def disguise(function: Function, pairs: Iterable[Type | None]) -> Function:
    """Tell what a function's `tuple<u32, u32>` are.

    Args:
        function: its type as the engine tells it.
        pairs: for each of them, depth first through the parameters and then the result, what stands in its place;
            None for one that is such a tuple.
    """
    stand_ins = iter(pairs)

    def instead(ty: Type) -> Type | None:
        if not isinstance(ty, Tuple) or ty.elements != (Integer(32, False),) * 2:
            return None
        return next(stand_ins) or ty

    def told(ty: Type) -> Type:
        return replaced(ty, instead)

    params = tuple((name, told(ty)) for name, ty in function.params)
    return Function(
        params, None if function.result is None else told(function.result), function.is_async
    )
