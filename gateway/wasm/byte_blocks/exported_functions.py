"""The functions that a component exports, with their types.

The binary says nowhere what type an export has: that follows from what it is an export of. So the component is
instantiated on paper, as for its footprint (`gateway.wasm.footprint`), and what is followed here are types, and
the functions that are lifted in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import (
    BagOfExports,
    CoreExportAlias,
    ExportAlias,
    Instantiation,
    Lift,
    OuterAlias,
    items,
    read_alias,
    read_canon,
    read_export,
    read_import,
    read_instance,
)
from gateway.wasm.binary.extern import Sort, SortIndex
from gateway.wasm.binary.sections import MAX_NESTING, PREAMBLE_SIZE, ComponentSection, sections
from gateway.wasm.binary.type_format import read_type
from gateway.wasm.binary.types import (
    Borrow,
    ExportDeclaration,
    Func,
    FutureOf,
    InstanceType,
    Own,
    Primitive,
    StreamOf,
    TypeDefinition,
    ValType,
    remap,
)
from gateway.wasm.byte_blocks.prelude import UnbridgeableError

__all__ = ["ExportedFunction", "ExportedFunctions", "read_exported_functions"]

# How many definitions, types in interfaces and members of instances are followed. Threat: a component that
# instantiates another twice, which instantiates a third twice, and so on. Arbitrary; a component made of Python
# has two thousand.
MAX_STEPS: Final = 100_000

_RESOURCE: Final = 0x3F
"""How the definition of a resource type begins."""


@dataclass(frozen=True, slots=True)
class ExportedFunction:
    """A function that a component exports.

    Attributes:
        interface: the exported instance that it is in, None for one of the component itself.
        name: its name there.
        type: its type; the indices are those of `ExportedFunctions.types`.
    """

    interface: str | None
    name: str
    type: Func


@dataclass(frozen=True, slots=True)
class ExportedFunctions:
    """The functions that a component exports and lifts itself, without those whose types have handles or streams.

    Attributes:
        types: what their types are made of, each but once, and each after its parts.
        functions: in order.
    """

    types: Sequence[TypeDefinition]
    functions: Sequence[ExportedFunction]


def read_exported_functions(component: bytes) -> ExportedFunctions:
    """Follow the definitions of a component.

    Raises:
        MalformedBinary: it is damaged, or has definitions of unknown forms.
        UnbridgeableError: it is of more than can be followed.
    """
    reader = _Reader(component)
    exports = reader.instantiate(_Closure(0, len(component), ()), {}, 0)
    functions = []
    for name, item in exports.items():
        if isinstance(item, Func):
            functions.append(ExportedFunction(None, name, item))
        elif isinstance(item, dict):
            functions += (
                ExportedFunction(name, inner, function)
                for inner, function in item.items()
                if isinstance(function, Func)
            )
    return ExportedFunctions(reader.types, functions)


@dataclass(frozen=True, slots=True)
class _Closure:
    """Where a component stands in the file, and the index spaces around it."""

    start: int
    end: int
    outer: tuple["_Spaces", ...]


# In each index space: types, a value type or that of a function; functions, the type of one that is lifted; of
# instances and their types, by name, what they have. None for anything else.
_Item = ValType | Func | dict[str, "_Item"] | _Closure | None
_Spaces = dict[Sort, list[_Item]]

_FOLLOWED: Final = (Sort.TYPE, Sort.FUNC, Sort.INSTANCE, Sort.COMPONENT)


class _OpaqueError(Exception):
    """A type has a part that no other component can say without having it."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.types: list[TypeDefinition] = []
        self._data = data
        self._known: dict[TypeDefinition, int] = {}
        self._left = MAX_STEPS

    def instantiate(
        self, closure: _Closure, arguments: Mapping[str, _Item], depth: int
    ) -> dict[str, _Item]:
        """What an instance of a component exports, given what it imports."""
        if depth > MAX_NESTING:
            raise UnbridgeableError
        exports: dict[str, _Item] = {}
        spaces: _Spaces = {sort: [] for sort in _FOLLOWED}
        scope = (*closure.outer, spaces)
        for section in sections(self._data, closure.start + PREAMBLE_SIZE, closure.end):
            self._spend()
            cursor = Cursor(self._data, section.start, section.end)
            match section.id:
                case ComponentSection.COMPONENT:
                    nested = _Closure(section.start, section.end, scope)
                    spaces[Sort.COMPONENT].append(nested)
                case ComponentSection.TYPE:
                    self._read_types(cursor, scope)
                case ComponentSection.IMPORT:
                    for imported in items(cursor, read_import):
                        sort, index = imported.type.sort, imported.type.index
                        given = arguments.get(imported.name.name)
                        if given is None and index is not None and sort is not Sort.FUNC:
                            # Of the host is what the type says.
                            given = _at(spaces[Sort.TYPE], index)
                        self._add(spaces, sort, given)
                case ComponentSection.ALIAS:
                    for alias in items(cursor, read_alias):
                        self._add(spaces, alias.sort, _aliased(alias, scope))
                case ComponentSection.CANON:
                    for canon in items(cursor, read_canon):
                        if isinstance(canon, Lift):
                            lifted = _at(spaces[Sort.TYPE], canon.type)
                            self._add(spaces, Sort.FUNC, None if canon.is_async else lifted)
                case ComponentSection.INSTANCE:
                    for instance in items(cursor, read_instance):
                        made = self._instance(instance, spaces, depth)
                        self._add(spaces, Sort.INSTANCE, made)
                case ComponentSection.EXPORT:
                    for export in items(cursor, read_export):
                        item = exports[export.name.name] = _found(spaces, export.item)
                        self._add(spaces, export.item.sort, item)
        return exports

    def _spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise UnbridgeableError

    def _add(self, spaces: _Spaces, sort: Sort, item: _Item) -> None:
        self._spend()
        if sort in spaces:
            spaces[sort].append(item)

    def _instance(
        self, instance: Instantiation | BagOfExports, spaces: _Spaces, depth: int
    ) -> dict[str, _Item]:
        match instance:
            case BagOfExports(members):
                return self._members(members, spaces)
            case Instantiation(source, members):
                component = _at(spaces[Sort.COMPONENT], source)
                given = self._members(members, spaces)
                if isinstance(component, _Closure):
                    return self.instantiate(component, given, depth + 1)
        return {}

    def _members(self, members: Mapping[str, SortIndex], spaces: _Spaces) -> dict[str, _Item]:
        self._spend(len(members))
        return {name: _found(spaces, member) for name, member in members.items()}

    def _read_types(self, cursor: Cursor, scope: Sequence[_Spaces]) -> None:
        """A `type` section; from the first type on that is of no known form, all are unknown."""
        space = scope[-1][Sort.TYPE]
        left = cursor.count()
        self._spend(left)
        try:
            while left:
                if cursor.peek() == _RESOURCE:
                    cursor.skip(2)  # the opcode, and the type of what represents it
                    if cursor.byte():
                        cursor.u32()  # its destructor
                    space.append(None)
                else:
                    definition = read_type(cursor)
                    space.append(
                        self._interface(definition, scope)
                        if isinstance(definition, InstanceType)
                        else self._defined(definition, space)
                    )
                left -= 1
        except MalformedBinary:
            space += [None] * left

    def _interface(self, definition: InstanceType, scope: Sequence[_Spaces]) -> dict[str, _Item]:
        """What an instance of the type has: its functions are the host's, so they are None."""
        self._spend(len(definition.declarations))
        local: list[_Item] = []
        exports: dict[str, _Item] = {}
        for declaration in definition.declarations:
            match declaration:
                case OuterAlias(_, count, index):
                    if count > len(scope):
                        raise UnbridgeableError
                    local.append(_at(scope[-count][Sort.TYPE] if count else local, index))
                case ExportDeclaration(name, extern):
                    item = None
                    if extern.sort is Sort.TYPE:
                        item = None if extern.index is None else _at(local, extern.index)
                        local.append(item)
                    exports[name.name] = None if isinstance(item, Func) else item
                case InstanceType():
                    local.append(None)
                case inner:
                    local.append(self._defined(inner, local))
        return exports

    def _defined(self, definition: TypeDefinition, space: Sequence[_Item]) -> _Item:
        """A type of an index space, in terms of `types`."""

        def part(valtype: ValType) -> ValType:
            found = valtype if isinstance(valtype, Primitive) else _at(space, valtype)
            if not isinstance(found, Primitive | int):
                raise _OpaqueError
            return found

        match definition:
            case Primitive():
                return definition
            case Own() | Borrow() | StreamOf() | FutureOf():
                return None
        try:
            defined = remap(definition, part, lambda index: index)
        except _OpaqueError:
            return None
        if isinstance(defined, Func):
            return None if defined.is_async else defined
        index = self._known.get(defined)
        if index is None:
            index = self._known[defined] = len(self.types)
            self.types.append(defined)
        return index


def _at(space: Sequence[_Item], index: int) -> _Item:
    if index >= len(space):
        raise UnbridgeableError
    return space[index]


def _found(spaces: _Spaces, item: SortIndex) -> _Item:
    if item.sort not in spaces:
        return None
    found = _at(spaces[item.sort], item.index)
    # What is exported as a type is no function.
    return None if item.sort is Sort.TYPE and isinstance(found, Func) else found


def _aliased(alias: ExportAlias | CoreExportAlias | OuterAlias, scope: Sequence[_Spaces]) -> _Item:
    match alias:
        case ExportAlias(_, index, name):
            instance = _at(scope[-1][Sort.INSTANCE], index)
            return instance.get(name) if isinstance(instance, dict) else None
        case OuterAlias(sort, count, index) if sort in _FOLLOWED:
            if count >= len(scope):
                raise UnbridgeableError
            return _at(scope[-1 - count][sort], index)
    return None
