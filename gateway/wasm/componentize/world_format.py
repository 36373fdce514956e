r"""How the world of a core module is written: in custom sections named `component-type...`.

Such a section is a component in binary form. Its custom section `wit-component-encoding` has two
bytes, the version of this convention and the string encoding of the module; its one type, under the
name of the WIT package, is a component type that exports the world, itself a component type, by the
world's name:

    (component
      (@custom "wit-component-encoding" "\04\00")
      (type (component
        (type (component <the world: imports and exports> ))
        (export "test:guests/guest" (component (type 0)))))
      (export "guest" (type 0)))

Source: wit-component, `metadata.rs`; Component Model, `Binary.md` "Type Definitions".
"""

from dataclasses import dataclass, field, replace
from typing import Final

from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import ExportAlias, OuterAlias, read_alias
from gateway.wasm.binary.extern import (
    ExternName,
    ExternType,
    Sort,
    read_extern_name,
    read_extern_type,
)
from gateway.wasm.binary.sections import ComponentSection, is_component, sections
from gateway.wasm.binary.type_format import UnsupportedType, read_type
from gateway.wasm.binary.types import (
    Declaration,
    ExportDeclaration,
    Func,
    FutureOf,
    InstanceType,
    StreamOf,
    ValType,
    remap,
)
from gateway.wasm.componentize.errors import NotComponentizable
from gateway.wasm.componentize.world import (
    Interface,
    Named,
    Place,
    Resource,
    StringEncoding,
    Types,
    World,
)

__all__ = ["read_world"]

_ENCODING_SECTION: Final = "wit-component-encoding"
_ENCODING_VERSION: Final = 4

_COMPONENT_TYPE: Final = 0x41
_OF_WASI_0_3: Final = {Func: "an asynchronous function", FutureOf: "`future`", StreamOf: "`stream`"}
# How often instance types may be used in the mean. Threat: a large one that thousands of interfaces are
# said to be of. Unit: bytes of what is used for each byte of the section. Arbitrary: tools write each
# instance type where it is used, once.
_MAX_REPEATED: Final = 4
_OLD_BINDINGS: Final = (
    "Generate its bindings again with a current wit-bindgen, or embed the world again with a current "
    "wasm-tools (component embed)."
)


def read_world(data: bytes, types: Types) -> tuple[World, StringEncoding]:
    """The world in the payload of a `component-type` section.

    Args:
        data: the payload.
        types: where the types of the world are added.

    Raises:
        MalformedBinary: it is damaged, or uses what WASI 0.2 and its tools have no need of. The
            offset is one in `data`.
        NotComponentizable: it is written in another version of the convention.
    """
    if not is_component(data):
        raise NotComponentizable(f"its world is written in an old form. {_OLD_BINDINGS}")
    encoding = None
    world = None
    for section in sections(data):
        cursor = Cursor(data, section.start, section.end)
        if section.name == _ENCODING_SECTION:
            encoding = _read_encoding(cursor)
        elif section.id == ComponentSection.TYPE and world is None:
            world = _read_package(cursor, types)
    if encoding is None:
        raise NotComponentizable(
            f"its world does not say how strings are encoded ({_ENCODING_SECTION}). {_OLD_BINDINGS}"
        )
    if world is None:
        raise MalformedBinary(len(data), "no type in the section that should have a world")
    return world, encoding


def _read_encoding(cursor: Cursor) -> StringEncoding:
    version = cursor.byte()
    if version != _ENCODING_VERSION:
        raise NotComponentizable(
            f"its world is written in version {version} of a convention that is read in version "
            f"{_ENCODING_VERSION}. {_OLD_BINDINGS}"
        )
    encoding = cursor.byte()
    if encoding not in set(StringEncoding):
        raise cursor.malformed(f"the unknown string encoding {encoding:#04x}")
    return StringEncoding(encoding)


def _read_package(cursor: Cursor, types: Types) -> World:
    """The type section: a component type around the world, which is its first type."""
    if cursor.count() != 1 or cursor.byte() != _COMPONENT_TYPE:
        raise cursor.malformed("not one component type, which is what holds a world")
    for _ in range(cursor.count()):
        match cursor.byte():
            case 0x01 if cursor.peek() == _COMPONENT_TYPE:
                cursor.byte()
                return _WorldReader(types).read(cursor)
            case other:
                raise cursor.malformed(f"{other:#04x} where a world should be declared")
    raise cursor.malformed("a package without a world")


@dataclass(slots=True)
class _Scope:
    """The type index space of a component type or an instance type.

    Attributes:
        types: where the types of the world are.
        exported: whether it is that of an interface that the world exports.
        items: for each index a number in `types`, or an instance type and how many bytes it has, which
            is read where it is used.
    """

    types: Types
    exported: bool = False
    items: list[int | tuple[InstanceType, int]] = field(default_factory=list)

    def number(self, cursor: Cursor, index: int) -> int:
        """The number of a value type or resource type."""
        item = self._item(cursor, index)
        if not isinstance(item, int) or isinstance(self.types[item], Func):
            raise cursor.malformed(f"type {index} is not the type of a value")
        return item

    def function(self, cursor: Cursor, index: int) -> int:
        """The number of a function type."""
        item = self._item(cursor, index)
        if not isinstance(item, int) or not isinstance(self.types[item], Func):
            raise cursor.malformed(f"type {index} is not the type of a function")
        return item

    def instance(self, cursor: Cursor, index: int) -> tuple[InstanceType, int]:
        """An instance type and its size."""
        item = self._item(cursor, index)
        if isinstance(item, int):
            raise cursor.malformed(f"type {index} is not the type of an instance")
        return item

    def _item(self, cursor: Cursor, index: int) -> int | tuple[InstanceType, int]:
        if index >= len(self.items):
            raise cursor.malformed(f"there is no type {index}")
        return self.items[index]


class _WorldReader:
    def __init__(self, types: Types) -> None:
        self.types = types
        self.world = World(types)
        self.scope = _Scope(types)
        # How many bytes of instance types have been read, those that are used twice counted twice.
        self.read_size = 0
        # The instance index space.
        self.instances: list[Place] = []

    def read(self, cursor: Cursor) -> World:
        """Reads the declarations of a component type, whose opcode has been read."""
        for _ in range(cursor.count()):
            match cursor.byte():
                case 0x01:
                    start = cursor.at
                    definition = read_type(cursor)
                    if isinstance(definition, InstanceType):
                        self.scope.items.append((definition, cursor.at - start))
                    else:
                        self.define(cursor, self.scope, definition)
                case 0x02:
                    self.alias(cursor)
                case 0x03:
                    self.extern(cursor, exported=False)
                case 0x04:
                    self.extern(cursor, exported=True)
                case other:
                    raise cursor.malformed(f"the unknown declaration {other:#04x}")
        return self.world

    def define(self, cursor: Cursor, scope: _Scope, definition: Declaration) -> None:
        """Adds a definition to the type index space of `scope`."""

        def number(index: int) -> int:
            return scope.number(cursor, index)

        def valtype(each: ValType) -> ValType:
            return number(each) if isinstance(each, int) else each

        match definition:
            case StreamOf() | FutureOf() | Func(is_async=True):
                raise UnsupportedType(cursor.at, _OF_WASI_0_3[type(definition)])
            case OuterAlias(_, count, index):
                outer = {0: scope, 1: self.scope}.get(count)
                if outer is None:
                    raise cursor.malformed("an alias of something outside of the world")
                scope.items.append(self.used(scope, outer.number(cursor, index)))
            case ExportDeclaration() | InstanceType():
                raise AssertionError(definition)
            case _:
                scope.items.append(self.types.add(remap(definition, valtype, number)))

    def used(self, scope: _Scope, number: int) -> int:
        """A type that an interface uses of another one; for one that is exported, for itself alone."""
        named = self.types[number]
        if not scope.exported or not isinstance(named, Named) or named.place.exported:
            return number
        own = self.types.add(named)
        self.world.export_uses.append(own)
        return own

    def alias(self, cursor: Cursor) -> None:
        """An alias in the world: of a type that one of its interfaces has."""
        match read_alias(cursor):
            case ExportAlias(Sort.TYPE, instance, name) if instance < len(self.instances):
                place = self.instances[instance]
                if name not in self.world.at(place).types:
                    raise cursor.malformed(f"{place.interface} has no type {name}")
                self.scope.items.append(self.types.add(Named(place, name)))
            case _:
                raise cursor.malformed("an alias, in a world, of something but an interface's type")

    def extern(self, cursor: Cursor, *, exported: bool) -> None:
        """An import or export of the world."""
        extern_name = read_extern_name(cursor)
        implements = extern_name.implements
        name = _plain(cursor, replace(extern_name, implements=""))
        extern = read_extern_type(cursor)
        if exported and extern.sort is Sort.TYPE:
            raise cursor.malformed(f"the world exports the type {name}, outside of an interface")
        if extern.sort is not Sort.INSTANCE:
            self.member(cursor, self.scope, Place(exported, ""), name, extern)
            return
        place = Place(exported, name)
        if not name or place in self.world.places:
            raise cursor.malformed(f"{name!r} is imported or exported twice")
        self.instances.append(place)
        instance, size = self.scope.instance(cursor, extern.index or 0)
        self.read_size += size
        if self.read_size > _MAX_REPEATED * len(cursor.data):
            raise cursor.malformed("interfaces that share their types too often")
        self.interface(cursor, place, instance)
        self.world.at(place).implements = implements

    def interface(self, cursor: Cursor, place: Place, instance: InstanceType) -> None:
        """The members of an interface."""
        self.world.at(place)
        scope = _Scope(self.types, place.exported)
        for declaration in instance.declarations:
            if isinstance(declaration, ExportDeclaration):
                name = _plain(cursor, declaration.name)
                self.member(cursor, scope, place, name, declaration.type)
            else:
                self.define(cursor, scope, declaration)

    def member(
        self, cursor: Cursor, scope: _Scope, place: Place, name: str, extern: ExternType
    ) -> None:
        """A type or a function of an interface, or of the world itself."""
        interface: Interface = self.world.at(place)
        match extern:
            case ExternType(Sort.FUNC, int(index)) if name not in interface.functions:
                interface.functions[name] = scope.function(cursor, index)
            case ExternType(Sort.TYPE, bound) if name not in interface.types:
                number = (
                    self.types.add(Resource()) if bound is None else scope.number(cursor, bound)
                )
                interface.types[name] = number
                scope.items.append(self.types.add(Named(place, name)))
            case _:
                raise cursor.malformed(f"{name!r} is there twice, or no type or function")


def _plain(cursor: Cursor, name: ExternName) -> str:
    if name != ExternName(name.name):
        raise cursor.malformed(f"{name.name!r} has options, which are not read here")
    return name.name
