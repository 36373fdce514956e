"""What one instantiation of a component takes from the engine's pools.

The pooling allocator of wasmtime reserves its slots before anything is loaded, and refuses a
component that needs more of them than it was told a component may need. Neither the Python nor the
C interface of wasmtime tells a component's needs, so they are counted here: the component is
instantiated on paper. Every `instantiate` of a core module takes a core instance, and the memories
and tables that the module defines; every `instantiate` of a nested component takes what that
component takes. Which component or module an index stands for follows from the arguments,
aliases and exports between the two, so those are followed as the engine follows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from gateway.wasm.binary.core_module import CoreModule, Limits
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import (
    Alias,
    BagOfExports,
    Canon,
    ExportAlias,
    ExportDefinition,
    Import,
    Instantiation,
    Lift,
    Lower,
    OuterAlias,
    TaskBuiltin,
    items,
    read_alias,
    read_canon,
    read_core_instance,
    read_export,
    read_import,
    read_instance,
)
from gateway.wasm.binary.extern import ExternType, Sort, SortIndex
from gateway.wasm.binary.sections import (
    MAX_NESTING,
    PREAMBLE_SIZE,
    ComponentSection,
    is_component,
    sections,
)
from gateway.wasm.binary.type_format import read_type
from gateway.wasm.binary.types import Declaration, Func, FutureOf, InstanceType, StreamOf
from gateway.wasm.instance_limits import Extents

__all__ = ["Footprint", "Measureless", "Needs", "footprint", "needs"]

# How many definitions, members of instances, memories and tables are followed in all. Threat: a component that
# instantiates another twice, which instantiates a third twice, and so on: forty levels are more
# instances than there are bytes in any memory. Arbitrary; a component made of Python has two
# thousand.
MAX_DEFINITIONS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one instantiation of a component takes.

    Attributes:
        core_instances: core instances. Exact for a component that does not call, within itself,
            from one nested component into another. For one that does, wasmtime adds core instances
            of its own that adapt such calls; it takes at most one for each function called so, and
            that many are counted. (A core instance is a number in the pool, not reserved memory.)
        memories: linear memories; and one more if a core module has references whose targets are
            garbage-collected, for their heap comes from the pool of memories.
        tables: tables.
        memories_per_module: the most memories that one core module defines. This and what follows
            count for core modules that are not instantiated too.
        tables_per_module: the most tables that one core module defines.
        memory_bytes: the largest size, in bytes, that a memory has from the beginning.
        table_elements: the largest size, in elements, that a table has from the beginning.
        wide: whether a memory has 64-bit addresses, and so may be larger than 4 GiB.
    """

    core_instances: int = 0
    memories: int = 0
    tables: int = 0
    memories_per_module: int = 0
    tables_per_module: int = 0
    memory_bytes: int = 0
    table_elements: int = 0
    wide: bool = False


class Needs(NamedTuple):
    """What one instantiation of a component takes, and what callers find in the instance.

    Attributes:
        footprint: what it takes from the engine's pools.
        extents: the memories and tables that it has.
        callable: how many of the component instances in it, itself included, have functions of their own.
        functions: whether it exports a function that is no resource's, alone or in an instance.
        resources: the resource types that it exports in instances: the names of both.
        shared: whether a module in it, instantiated or not, has a memory that threads share.
        tasks: whether it has to do with tasks, streams or futures of the component model.
    """

    footprint: Footprint
    extents: Extents
    callable: int
    functions: bool
    resources: tuple[tuple[str, str], ...]
    shared: bool
    tasks: bool


class Measureless(Exception):
    """A component instantiates modules and components without measure. The engine would try to compile it."""


def footprint(data: bytes) -> Footprint | None:
    """What one instantiation of the component `data` takes from the engine's pools.

    Returns:
        None where that cannot be told, as `needs`.

    Raises:
        Measureless: as `needs`.
    """
    needed = needs(data)
    return None if needed is None else needed.footprint


def needs(data: bytes) -> Needs | None:
    """What one instantiation of the component `data` takes.

    Returns:
        None where that cannot be told: the host is to supply a core module, the component uses
        definitions that are not known here, or it is damaged.

    Raises:
        Measureless: it is more than `MAX_DEFINITIONS`.
    """
    try:
        return _needs(_read_component(data, 0, len(data), depth=0))
    except (MalformedBinary, _UntoldError):
        return None


def _needs(component: _Component) -> Needs:
    count = _Count()
    instance = count.instantiate(_Closure(component, None), arguments=None, depth=0)
    modules = list(_modules(component))
    collects = any(module.collects for module in modules)
    tables_per_module = max((len(module.tables) for module in modules), default=0)
    heap = (Limits(0, None),) if collects else ()
    return Needs(
        Footprint(
            core_instances=count.core_instances,
            memories=len(count.memories) + collects,
            # The pool must be able to hold those of any module, instantiated or not.
            tables=max(len(count.tables), tables_per_module),
            memories_per_module=max((len(module.memories) for module in modules), default=0),
            tables_per_module=tables_per_module,
            memory_bytes=max((it.minimum for m in modules for it in m.memories), default=0),
            table_elements=max((it.minimum for m in modules for it in m.tables), default=0),
            wide=any(module.wide for module in modules),
        ),
        Extents((*count.memories, *heap), tuple(count.tables)),
        count.callable,
        _has_functions(instance),
        tuple(_resources(instance)),
        any(module.shared for module in modules),
        _has_tasks(component),
    )


def _has_tasks(component: _Component) -> bool:
    return any(
        isinstance(each, TaskBuiltin)
        or each is _Type.OVER_TIME
        or (isinstance(each, _Component) and _has_tasks(each))
        for each in component.definitions
    )


def _has_functions(instance: _Instance) -> bool:
    """Whether an instance, or one that it exports, has a function that is no resource's."""
    if instance.exports is None:  # the host's
        return True
    return any(
        (isinstance(item, _Function) and not name.startswith("["))
        or (isinstance(item, _Instance) and _has_functions(item))
        for name, item in instance.exports.items()
    )


def _resources(instance: _Instance) -> Iterator[tuple[str, str]]:
    for name, item in (instance.exports or {}).items():
        if isinstance(item, _Instance) and item.exports is not None:
            for local, inner in item.exports.items():
                if inner is _Type.RESOURCE:
                    yield name, local


class _UntoldError(Exception):
    """The component is readable, but its footprint does not follow from its bytes."""


class _Function(Enum):
    """Where a component function comes from, which is all that matters of it here."""

    HOST = auto()
    LIFTED = auto()


class _Type(Enum):
    """A type, of which nothing else matters here. One that the host supplies is no resource of the component's."""

    RESOURCE = auto()
    OVER_TIME = auto()
    """Of a stream, a future or an asynchronous function, or of an instance that has such."""

    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _CoreInstantiation:
    module: int


@dataclass(frozen=True, slots=True)
class _Component:
    """A component as written: its definitions in order, without those that cannot matter."""

    definitions: list[_Definition]


@dataclass(frozen=True, slots=True)
class _Closure:
    """A component and the instance around it, to which its outer aliases refer."""

    component: _Component
    parent: _Scope | None


@dataclass(frozen=True, slots=True)
class _Instance:
    """The exports of an instance; None when the host supplies it."""

    exports: Mapping[str, _Item] | None


_Item = CoreModule | _Closure | _Instance | _Function | _Type
_Definition = (
    CoreModule
    | _Component
    | _Type
    | _CoreInstantiation
    | Instantiation
    | BagOfExports
    | Alias
    | Canon
    | Import
    | ExportDefinition
)

_RESOURCE: Final = 0x3F
"""How the definition of a resource type begins."""

_HOST_INSTANCE: Final = _Instance(None)
_COUNTED_SORTS: Final = (
    Sort.CORE_MODULE,
    Sort.COMPONENT,
    Sort.INSTANCE,
    Sort.FUNC,
    Sort.TYPE,
)


@dataclass(slots=True)
class _Scope:
    """An instance in the making: the index spaces of its component, filled as far as it got."""

    parent: _Scope | None
    spaces: dict[Sort, list[_Item]] = field(
        default_factory=lambda: {sort: [] for sort in _COUNTED_SORTS}
    )

    def add(self, sort: Sort, item: _Item) -> None:
        if sort in self.spaces:
            self.spaces[sort].append(item)

    def get(self, sort: Sort, index: int) -> _Item:
        space = self.spaces.get(sort, [])
        if index >= len(space):
            if sort is Sort.TYPE:
                return _Type.OTHER
            raise _UntoldError
        return space[index]

    def outwards(self, levels: int) -> _Scope:
        scope = self
        for _ in range(levels):
            if scope.parent is None:
                raise _UntoldError
            scope = scope.parent
        return scope

    def named(self, members: Mapping[str, SortIndex]) -> dict[str, _Item]:
        """Those of `members` that are of a sort that counts."""
        return {
            name: self.get(member.sort, member.index)
            for name, member in members.items()
            if member.sort in self.spaces
        }


class _Count:
    """Adds up what an instantiation takes."""

    def __init__(self) -> None:
        self.core_instances = 0
        self.callable = 0
        self.memories: list[Limits] = []
        self.tables: list[Limits] = []
        self.left = MAX_DEFINITIONS

    def instantiate(
        self, closure: _Closure, arguments: Mapping[str, _Item] | None, depth: int
    ) -> _Instance:
        """Follows the definitions of a component; `arguments` is None for those of the host."""
        if depth > MAX_NESTING:
            raise _UntoldError
        scope = _Scope(closure.parent)
        exports: dict[str, _Item] = {}
        self.callable += any(isinstance(each, Lift) for each in closure.component.definitions)
        for definition in closure.component.definitions:
            self.spend(definition)
            match definition:
                case CoreModule():
                    scope.add(Sort.CORE_MODULE, definition)
                case _Type():
                    scope.add(Sort.TYPE, definition)
                case _Component():
                    scope.add(Sort.COMPONENT, _Closure(definition, scope))
                case _CoreInstantiation(module):
                    self.take(scope.get(Sort.CORE_MODULE, module))
                case Instantiation(source, members):
                    inner = scope.get(Sort.COMPONENT, source)
                    if not isinstance(inner, _Closure):
                        raise _UntoldError
                    instance = self.instantiate(inner, scope.named(members), depth + 1)
                    scope.add(Sort.INSTANCE, instance)
                case BagOfExports(members):
                    scope.add(Sort.INSTANCE, _Instance(scope.named(members)))
                case ExportAlias(sort, index, name) if sort in scope.spaces:
                    scope.add(sort, _export(scope.get(Sort.INSTANCE, index), sort, name))
                case OuterAlias(sort, levels, index) if sort in scope.spaces:
                    scope.add(sort, scope.outwards(levels).get(sort, index))
                case Lift():
                    scope.add(Sort.FUNC, _Function.LIFTED)
                case Lower(function):
                    if scope.get(Sort.FUNC, function) is _Function.LIFTED:
                        self.core_instances += 1
                case Import(_, ExternType(Sort.TYPE, index)):
                    new = _Type.RESOURCE if index is None else scope.get(Sort.TYPE, index)
                    scope.add(Sort.TYPE, new)
                case Import(name, extern) if extern.sort in scope.spaces:
                    scope.add(extern.sort, _argument(arguments, name.name, extern.sort))
                case ExportDefinition(name, item) if item.sort in scope.spaces:
                    exports[name.name] = scope.get(item.sort, item.index)
                    scope.add(item.sort, exports[name.name])
                case _:
                    pass
        return _Instance(exports)

    def spend(self, definition: _Definition) -> None:
        match definition:
            case Instantiation(_, members) | BagOfExports(members):
                self.left -= 1 + len(members)
            case _:
                self.left -= 1
        if self.left < 0:
            raise Measureless

    def take(self, module: _Item) -> None:
        if not isinstance(module, CoreModule):
            raise _UntoldError
        self.core_instances += 1
        self.memories += module.memories
        self.tables += module.tables
        self.left -= len(module.memories) + len(module.tables)


def _modules(component: _Component) -> Iterator[CoreModule]:
    for definition in component.definitions:
        if isinstance(definition, CoreModule):
            yield definition
        elif isinstance(definition, _Component):
            yield from _modules(definition)


def _argument(arguments: Mapping[str, _Item] | None, name: str, sort: Sort) -> _Item:
    if arguments is None:
        return _supplied_by_host(sort)
    if name not in arguments:
        raise _UntoldError
    return arguments[name]


def _export(instance: _Item, sort: Sort, name: str) -> _Item:
    if not isinstance(instance, _Instance):
        raise _UntoldError
    if instance.exports is None:
        return _supplied_by_host(sort)
    if name not in instance.exports:
        if sort is Sort.TYPE:
            return _Type.OTHER
        raise _UntoldError
    return instance.exports[name]


def _supplied_by_host(sort: Sort) -> _Item:
    match sort:
        case Sort.FUNC:
            return _Function.HOST
        case Sort.INSTANCE:
            return _HOST_INSTANCE
        case Sort.TYPE:
            return _Type.OTHER
        case _:
            raise _UntoldError


def _read_component(data: bytes, start: int, end: int, depth: int) -> _Component:
    if depth > MAX_NESTING:
        raise MalformedBinary(start, f"nested more than {MAX_NESTING} levels deep")
    if not is_component(data, start):
        raise MalformedBinary(start, "no component starts here")
    definitions: list[_Definition] = []
    for section in sections(data, start + PREAMBLE_SIZE, end):
        cursor = Cursor(data, section.start, section.end)
        match section.id:
            case ComponentSection.CORE_MODULE:
                definitions.append(CoreModule(data, section.start, section.end))
            case ComponentSection.COMPONENT:
                definitions.append(_read_component(data, section.start, section.end, depth + 1))
            case ComponentSection.CORE_INSTANCE:
                definitions.extend(_core_instantiations(cursor))
            case ComponentSection.INSTANCE:
                definitions.extend(items(cursor, read_instance))
            case ComponentSection.ALIAS:
                definitions.extend(items(cursor, read_alias))
            case ComponentSection.CANON:
                definitions.extend(items(cursor, read_canon))
            case ComponentSection.IMPORT:
                definitions.extend(items(cursor, read_import))
            case ComponentSection.EXPORT:
                definitions.extend(items(cursor, read_export))
            case ComponentSection.TYPE:
                definitions.extend(_types(cursor))
            case ComponentSection.CUSTOM | ComponentSection.CORE_TYPE | ComponentSection.START:
                # Names, types and the start function take nothing and define nothing that does.
                pass
            case _:  # newer than this package, or damage
                raise _UntoldError
    return _Component(definitions)


def _types(cursor: Cursor) -> Iterator[_Type]:
    """A `type` section; from the first type on that is of no known form, all count as no resources."""
    left = cursor.count()
    try:
        while left:
            kind = _Type.RESOURCE
            if cursor.peek() == _RESOURCE:
                cursor.skip(2)  # the opcode, and the type of what represents it
                if cursor.byte():
                    cursor.u32()  # its destructor
            else:
                kind = _Type.OVER_TIME if _is_over_time(read_type(cursor)) else _Type.OTHER
            left -= 1
            yield kind
    except MalformedBinary:
        yield from [_Type.OTHER] * left


def _is_over_time(ty: Declaration) -> bool:
    match ty:
        case StreamOf() | FutureOf() | Func(is_async=True):
            return True
        case InstanceType(declarations):
            return any(map(_is_over_time, declarations))
    return False


def _core_instantiations(cursor: Cursor) -> Iterator[_CoreInstantiation]:
    for instance in items(cursor, read_core_instance):
        if isinstance(instance, Instantiation):
            yield _CoreInstantiation(instance.source)
