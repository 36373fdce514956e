"""JSON Schemas of WIT types: what `gateway.rpc.json_values` accepts, and what it emits.

The two differ where several forms of JSON stand for one value: `list<u8>` is accepted as base64 and as an array of
numbers and emitted as base64, integers of 64 bits are emitted as numbers only where every reader can tell them
apart. All that is emitted is accepted. A schema says as much as draft-07 can: it cannot say that a decimal string
is in a type's range, nor that a string is free of lone surrogates.

Records, variants, enums and flags that have a name in an interface are written once, as `interface.type` under
`#/components/schemas`, and referred to. Of two names of one type in one interface the first is taken, for types
have no identity. What has the name and the form of a type of an interface before is taken for that one: it is used
from there, or might as well be. Where the form that is emitted differs, it is `interface.type.out`.

Source: https://json-schema.org/draft-07/json-schema-validation (what OpenRPC 1.3 asks for)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from gateway.host import wit
from gateway.host.values import F32_LIMIT
from gateway.rpc.encode import MAX_SAFE_INTEGER
from gateway.wasm.binary.package_docs import PackageDocs, TypeDocs

__all__ = ["Direction", "Schema", "Schemas", "labels"]

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema, in JSON's types."""

_REFERENCE: Final = "#/components/schemas/"

_NULL: Final[Schema] = {"type": "null"}
_BYTE: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 255}
_BASE64: Final[Schema] = {
    "type": "string",
    "contentEncoding": "base64",
    # The bits of the last character that no byte has are zero (RFC 4648, section 3.5).
    "pattern": (
        "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
    ),
}


class Direction(Enum):
    """Which way a value goes."""

    IN = "in"
    """To the component: the schema is of what is accepted."""
    OUT = "out"
    """From the component: the schema is of what is emitted."""


def labels(names: Iterable[str]) -> dict[str, str]:
    """Short names of interfaces, fit for the keys of components: a letter first, no slash.

    Args:
        names: the full names, `ns:package/interface@1.2.3`.

    Returns:
        For each name the interface's own, or all of it where another interface has that too.
    """
    full_names = list(names)
    short_names = [name.partition("@")[0].rpartition("/")[2] for name in full_names]
    uses = Counter(short_names)
    return {
        full: short if uses[short] == 1 else full.replace("/", ".")
        for full, short in zip(full_names, short_names, strict=True)
    }


class Schemas:
    """The schemas of a component's types.

    Args:
        exports: what the component exports, by full name. Its types have the names of the interfaces they are in.
        docs: what the component says about them.

    Attributes:
        components: the schemas of the types with names that were referred to so far, by the keys that they have
            under `#/components/schemas`.
    """

    def __init__(self, exports: Mapping[str, wit.Item], docs: PackageDocs) -> None:
        self.components: dict[str, Schema] = {}
        self._docs: dict[str, TypeDocs] = {}
        self._wide: dict[wit.Type, bool] = {}
        self._keys: dict[str | None, dict[wit.Type, str]] = {None: {}}
        interfaces = {
            name: item for name, item in exports.items() if isinstance(item, wit.Interface)
        }
        homes: dict[tuple[str, wit.Type], str] = {}
        for name, label in labels(interfaces).items():
            interface = interfaces[name]
            described = docs.interface(name, interface.functions.keys()).types
            keys = self._keys[name] = {}
            for local, ty in interface.types.items():
                # A name for any other type, say `string`, would stand wherever that type is used.
                if isinstance(ty, wit.Named):
                    key = homes.setdefault((local, ty), f"{label}.{local}")
                    keys.setdefault(ty, key)
                    if key not in self._docs:
                        self._docs[key] = described.get(local) or docs.type(local, _items(ty))

    def of(self, ty: wit.Type | None, interface: str | None, direction: Direction) -> Schema:
        """The schema of a type; that of `null` if there is none.

        Args:
            ty: the type.
            interface: the full name of the interface in which it is used, None at the root of the component.
            direction: which way the values go.

        Raises:
            TypeError: the type has no form in JSON, as resources have none.
        """
        return _NULL if ty is None else _Writer(self, interface, direction).schema(ty)

    def key(self, ty: wit.Type, interface: str | None, direction: Direction) -> str | None:
        """The key of a type under `#/components/schemas`, None if it has no name there."""
        if not isinstance(ty, wit.Named):
            return None
        key = self._keys[interface].get(ty)
        if key is not None and direction is Direction.OUT and self._is_wide(ty):
            return f"{key}.out"
        return key

    def docs(self, ty: wit.Type, interface: str | None) -> TypeDocs:
        """What is said about a type that has a name."""
        key = self.key(ty, interface, Direction.IN)
        return TypeDocs() if key is None else self._docs[key]

    def _is_wide(self, ty: wit.Type) -> bool:
        """Whether more forms of JSON are accepted for the type than are emitted."""
        known = self._wide.get(ty)
        if known is None:
            match ty:
                case wit.Integer(bits):
                    known = bits == 64
                case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
                    known = True
                case _:
                    known = any(map(self._is_wide, _parts(ty)))
            self._wide[ty] = known
        return known


class _Writer:
    """Writes schemas for one interface and one direction."""

    def __init__(self, schemas: Schemas, interface: str | None, direction: Direction) -> None:
        self._schemas = schemas
        self._interface = interface
        self._direction = direction

    def schema(self, ty: wit.Type) -> Schema:
        key = self._schemas.key(ty, self._interface, self._direction)
        if key is None:
            return self._form(ty, TypeDocs())
        components = self._schemas.components
        if key not in components:
            docs = self._schemas.docs(ty, self._interface)
            form = self._form(ty, docs)
            components[key] = _described({"title": key, **form}, docs.docs)
        return {"$ref": _REFERENCE + key}

    def _form(self, ty: wit.Type, docs: TypeDocs) -> Schema:
        match ty:
            case wit.Bool():
                return {"type": "boolean"}
            case wit.Integer():
                return self._integer(ty)
            case wit.Float():
                return _float(ty)
            case wit.Char():
                return {"type": "string", "minLength": 1, "maxLength": 1}
            case wit.String():
                return {"type": "string"}
            case wit.Bytes() | wit.List(element=wit.Integer(bits=8, signed=False)):
                if self._direction is Direction.OUT:
                    return _BASE64
                return {"anyOf": [_BASE64, {"type": "array", "items": _BYTE}]}
            case wit.List(element):
                return {"type": "array", "items": self.schema(element)}
            case wit.Tuple(elements):
                return {
                    "type": "array",
                    "items": [self.schema(element) for element in elements],
                    "minItems": len(elements),
                    "maxItems": len(elements),
                }
            case wit.Record(fields):
                return _object(
                    {name: _described(self.schema(of), docs.items.get(name)) for name, of in fields}
                )
            case wit.Variant(cases):
                return {
                    "oneOf": [
                        _described(self._case(name, payload), docs.items.get(name))
                        for name, payload in cases
                    ]
                }
            case wit.Enum(names):
                return _described({"type": "string", "enum": list(names)}, _itemized(docs))
            case wit.Flags(names):
                form = {
                    "type": "array",
                    "items": {"type": "string", "enum": list(names)},
                    "uniqueItems": True,
                }
                return _described(form, _itemized(docs))
            case wit.Option(payload):
                # The value itself, wherever its own `null` cannot be taken for that of the option.
                nested = isinstance(payload, wit.Option)
                some = self._case("some", payload) if nested else self.schema(payload)
                return {"anyOf": [_NULL, some]}
            case wit.Result(ok, err):
                return {"oneOf": [self._case("ok", ok), self._case("err", err)]}
            case wit.Own() | wit.Borrow() | wit.Future() | wit.Unsupported():
                raise TypeError(f"values of type {ty} have no form in JSON")

    def _case(self, name: str, payload: wit.Type | None) -> Schema:
        return _object({name: _NULL if payload is None else self.schema(payload)})

    def _integer(self, ty: wit.Integer) -> Schema:
        minimum, maximum = ty.minimum, ty.maximum
        sign = "-?" if ty.signed else ""
        if ty.bits < 64:
            return {"type": "integer", "minimum": minimum, "maximum": maximum}
        if self._direction is Direction.IN:
            decimal = f"^{sign}[0-9]{{1,20}}$"
        else:
            minimum, maximum = max(minimum, -MAX_SAFE_INTEGER), MAX_SAFE_INTEGER
            decimal = f"^{sign}[1-9][0-9]{{15,19}}$"
        return {
            "description": f"{ty}, in decimal where it may be beyond 2^53-1",
            "anyOf": [
                {"type": "integer", "minimum": minimum, "maximum": maximum},
                {"type": "string", "pattern": decimal},
            ],
        }


def _float(ty: wit.Float) -> Schema:
    number: Schema = {"type": "number"}
    if ty.bits == 32:
        number |= {"exclusiveMinimum": -F32_LIMIT, "exclusiveMaximum": F32_LIMIT}
    return {"anyOf": [number, {"enum": ["NaN", "Infinity", "-Infinity"]}]}


def _object(properties: dict[str, Schema]) -> Schema:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _described(schema: Schema, docs: str | None) -> Schema:
    if docs is None:
        return schema
    if "$ref" in schema:  # what stands beside it is ignored (core specification, section 8.3)
        return {"description": docs, "allOf": [schema]}
    known = schema.get("description")
    return {**schema, "description": docs if known is None else f"{docs}\n\n{known}"}


def _itemized(docs: TypeDocs) -> str | None:
    """What is said about names that have no schema of their own, as a list in Markdown."""
    return "\n".join(f"- `{name}`: {text}" for name, text in docs.items.items()) or None


def _items(ty: wit.Named) -> tuple[str, ...]:
    match ty:
        case wit.Record(pairs) | wit.Variant(pairs):
            return tuple(name for name, _ in pairs)
        case wit.Enum(names) | wit.Flags(names):
            return names


def _parts(ty: wit.Type) -> Iterator[wit.Type]:
    """The types that a type is made of directly."""
    match ty:
        case wit.List(element):
            yield element
        case wit.Option(payload):
            yield payload
        case wit.Tuple(elements):
            yield from elements
        case wit.Record(pairs) | wit.Variant(pairs):
            yield from (part for _, part in pairs if part is not None)
        case wit.Result(ok, err):
            yield from (part for part in (ok, err) if part is not None)
