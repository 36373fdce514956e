"""How a component lowers the functions that it imports: in which memory, and who gets what comes of it.

The host can name a memory by how many core instances are made before the one that defines it. Those of a component
follow from its definitions, as long as nothing is instantiated that the engine may make instances of its own for:
components, and adapters of functions which are not the host's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.definitions import (
    BagOfExports,
    Canon,
    CanonOption,
    CanonOptions,
    CoreExportAlias,
    ExportAlias,
    Instantiation,
    Lift,
    Lower,
    ResourceBuiltin,
    TaskBuiltin,
    items,
    read_alias,
    read_canon,
    read_core_instance,
    read_export,
    read_import,
    read_instance,
)
from gateway.wasm.binary.extern import Sort, SortIndex
from gateway.wasm.binary.sections import ComponentSection, sections
from gateway.wasm.binary.type_format import destructors
from gateway.wasm.byte_blocks.prelude import UnbridgeableError

__all__ = ["ImportedFunction", "Lowering", "Lowerings", "Place", "read_lowerings"]

T = TypeVar("T")

# How many core instances, and imports of the modules that they are made of, are looked at for the sake of
# memories. Threat: modules that import and export a memory, each instantiated with the one before. Arbitrary; a
# component made of Python has some hundred imports between its memory and what lowers functions with it.
MAX_STEPS: Final = 100_000

ImportedFunction = tuple[int, str]
"""The index of an imported instance, and the name of a function there."""

_CORE_FUNCTIONS: Final = (CanonOption.REALLOC, CanonOption.POST_RETURN, CanonOption.CALLBACK)
_USUAL: Final = frozenset(
    {
        CanonOption.UTF8,
        CanonOption.UTF16,
        CanonOption.LATIN1_UTF16,
        CanonOption.MEMORY,
        CanonOption.REALLOC,
    }
)


@dataclass(frozen=True, slots=True)
class Lowering:
    """A `canon lower` of an imported function.

    Attributes:
        core_function: the index of what it defines.
        memory: the index of the core memory that it names, if it does.
        realloc: that of the core function.
        user: where the first core instance is defined that has it; None if there is none.
        is_given: whether it goes to nothing but core instances that give names to items.
    """

    core_function: int
    memory: int | None
    realloc: int | None
    user: Place | None
    is_given: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a core instance is defined.

    Attributes:
        at: where its definition starts in the file.
        before: how many are defined before it in its section.
        core_instances: how many items the index space has there; likewise the two below.
        core_functions: ditto.
        core_modules: ditto.
        made: how many core instances are made before it, of modules; None if that cannot be told.
    """

    at: int
    before: int
    core_instances: int
    core_functions: int
    core_modules: int
    made: int | None

    def follows(self, lowering: Lowering) -> bool:
        """Whether a lowering is before it that bytes can be delivered for."""
        return (
            lowering.memory is not None
            and lowering.realloc is not None
            and lowering.core_function < self.core_functions
        )


@dataclass(frozen=True, slots=True)
class Lowerings:
    """The imported functions that a component lowers, all with one memory.

    Attributes:
        memory: how many core instances of the component are made before the one whose first memory that is.
        functions: how it lowers those of imported instances that it lowers as usual, and does nothing else with.
        others: the other functions of imported instances that it lowers.
        core_modules: how many core modules there are in it.
        destroys: whether there are types that cannot be read, so that a resource may have one of the functions for
            a destructor.
    """

    memory: int
    functions: Mapping[ImportedFunction, Sequence[Lowering]]
    others: AbstractSet[ImportedFunction]
    core_modules: int
    destroys: bool

    def place(self, functions: AbstractSet[ImportedFunction]) -> Place | None:
        """Where the first core instance is that has one of some functions.

        Returns:
            None if there is none, if it cannot be told, or if nothing can be put before it.
        """
        if self.destroys or not functions.isdisjoint(self.others):
            return None
        lowerings = [each for function in functions for each in self.functions.get(function, ())]
        users = [each.user for each in lowerings if each.user is not None]
        place = min(users, key=lambda place: place.at, default=None)
        if place is None or place.made is None or place.core_modules != self.core_modules:
            return None
        return place if all(each.is_given for each in lowerings) else None

    def of(self, instance: int) -> dict[str, Sequence[Lowering]]:
        """Those of an imported instance, by name."""
        return {
            name: lowerings
            for (owner, name), lowerings in self.functions.items()
            if owner == instance
        }


def read_lowerings(component: bytes) -> Lowerings | None:
    """How a component lowers the functions that it imports.

    Returns:
        None if it does so with several memories, with none, or with one of which it cannot be told where it is.

    Raises:
        MalformedBinary: it is damaged, or has definitions of unknown forms.
        UnbridgeableError: it has tasks, or its memories are too many steps away.
    """
    reader = _Reader(component)
    for section in sections(component):
        reader.read(section.id, Cursor(component, section.start, section.end))
    if len(reader.used) != 1:
        return None
    (memory,) = reader.used
    if memory is None:
        return None
    functions = {
        function: [reader.lowering(core_function) for core_function in core_functions]
        for function, core_functions in reader.lowered.items()
        if function not in reader.otherwise and function[0] not in reader.given
    }
    others = reader.lowered.keys() - functions
    return Lowerings(memory, functions, others, len(reader.modules), reader.destroys)


@dataclass(frozen=True, slots=True)
class _Made:
    """A core instance of a module, and how many were made before it, if that is known."""

    number: int | None
    instantiation: Instantiation


@dataclass(slots=True)
class _Reader:
    """Follows definitions; the index spaces are as far as they have been read.

    Attributes:
        lowered: the core functions that those of imported instances are lowered to.
        options: how each of these core functions is lowered.
        users: where each is first given to a core instance.
        used_otherwise: the core functions that canonical definitions and resources have.
        destroys: as `Lowerings.destroys`.
        otherwise: the functions of imported instances with which something else is done, or in an unusual way.
        given: the instances that are given to others.
        used: the memories that functions are lowered with.
        functions: the component functions: one of an imported instance, or whether another is the host's.
        memories: the core memories, as `Lowerings.memory`; None where that cannot be told.
        core_instances: what they are made of.
        modules: the core modules; None for one that is not here.
        core_functions: how many there are.
        imported: how many instances are imported.
        made: how many core instances of modules are made; None if that cannot be told any more.
    """

    data: bytes
    lowered: dict[ImportedFunction, list[int]] = field(default_factory=dict)
    options: dict[int, CanonOptions] = field(default_factory=dict)
    users: dict[int, Place] = field(default_factory=dict)
    used_otherwise: set[int] = field(default_factory=set)
    destroys: bool = False
    otherwise: set[ImportedFunction] = field(default_factory=set)
    given: set[int] = field(default_factory=set)
    used: set[int | None] = field(default_factory=set)
    functions: list[ImportedFunction | bool] = field(default_factory=list)
    memories: list[int | None] = field(default_factory=list)
    core_instances: list[_Made | BagOfExports] = field(default_factory=list)
    modules: list[CoreModule | None] = field(default_factory=list)
    core_functions: int = 0
    imported: int = 0
    made: int | None = 0
    left: int = MAX_STEPS

    def read(self, section: int, cursor: Cursor) -> None:
        """Read a section."""
        match section:
            case ComponentSection.CORE_MODULE:
                self.modules.append(CoreModule(self.data, cursor.at, cursor.end))
            case ComponentSection.CORE_INSTANCE:
                for before in range(cursor.count()):
                    at = cursor.at
                    self.instantiate_core(read_core_instance(cursor), at, before)
                cursor.finish()
            case ComponentSection.INSTANCE:
                for instance in items(cursor, read_instance):
                    self.instantiate(instance)
            case ComponentSection.ALIAS:
                for alias in items(cursor, read_alias):
                    match alias:
                        case ExportAlias(Sort.FUNC, index, name) if index < self.imported:
                            self.functions.append((index, name))
                        case CoreExportAlias(Sort.CORE_MEMORY, index, name):
                            self.memories.append(self.home(index, name))
                        case _:
                            self.add_unknown(alias.sort)
            case ComponentSection.CANON:
                for canon in items(cursor, read_canon):
                    self.add_canon(canon)
            case ComponentSection.IMPORT:
                for imported in items(cursor, read_import):
                    self.imported += imported.type.sort is Sort.INSTANCE
                    if imported.type.sort is Sort.FUNC:
                        self.functions.append(True)
            case ComponentSection.EXPORT:
                for export in items(cursor, read_export):
                    self.give(export.item)
                    if export.item.sort is Sort.FUNC:
                        self.functions.append(_at(self.functions, export.item.index))
            case ComponentSection.TYPE:
                self.note_destructors(cursor)
            case ComponentSection.CUSTOM | ComponentSection.CORE_TYPE | ComponentSection.COMPONENT:
                pass
            case _:
                raise UnbridgeableError

    def add_canon(self, canon: Canon) -> None:
        """Add what a canonical definition defines."""
        match canon:
            case Lift(core_function, _, options):
                self.functions.append(False)
                self.use(options)
                self.used_otherwise.add(core_function)
            case Lower(function, options):
                self.use(options)
                index = options.get(CanonOption.MEMORY)
                if index is not None:
                    self.used.add(_at(self.memories, index))
                lowered = _at(self.functions, function)
                if isinstance(lowered, tuple):
                    self.lowered.setdefault(lowered, []).append(self.core_functions)
                    self.options[self.core_functions] = options
                    if not options.keys() <= _USUAL:
                        self.otherwise.add(lowered)
                elif not lowered:
                    self.made = None
                self.core_functions += 1
            case ResourceBuiltin():
                self.core_functions += 1
            case TaskBuiltin():
                raise UnbridgeableError

    def use(self, options: CanonOptions) -> None:
        """Note the core functions among options."""
        for option in _CORE_FUNCTIONS:
            index = options.get(option)
            if index is not None:
                self.used_otherwise.add(index)

    def note_destructors(self, cursor: Cursor) -> None:
        """Note the core functions that are destructors, in a `type` section."""
        try:
            for _, _, destructor in destructors(cursor):
                self.used_otherwise.add(destructor)
        except MalformedBinary:  # or newer than this package
            self.destroys = True

    def lowering(self, core_function: int) -> Lowering:
        """What is known of a core function that an imported one is lowered to."""
        options = self.options[core_function]
        return Lowering(
            core_function,
            options.get(CanonOption.MEMORY),
            options.get(CanonOption.REALLOC),
            self.users.get(core_function),
            core_function not in self.used_otherwise,
        )

    def instantiate_core(
        self, core_instance: Instantiation | BagOfExports, at: int, before: int
    ) -> None:
        """Add a core instance, which is defined at this place of its section."""
        if isinstance(core_instance, BagOfExports):
            functions = {
                item.index
                for item in core_instance.exports.values()
                if item.sort is Sort.CORE_FUNC and item.index in self.options
            }
            place = Place(
                *(at, before, len(self.core_instances), self.core_functions),
                *(len(self.modules), self.made),
            )
            for function in functions:
                self.users.setdefault(function, place)
            self.core_instances.append(core_instance)
            return
        self.core_instances.append(_Made(self.made, core_instance))
        if self.made is not None:
            self.made += 1

    def instantiate(self, instance: Instantiation | BagOfExports) -> None:
        """Note what an instance gets, and may be made of."""
        if isinstance(instance, Instantiation):
            self.made = None
            members = instance.arguments
        else:
            members = instance.exports
        for member in members.values():
            self.give(member)

    def give(self, item: SortIndex) -> None:
        """Note that an item is given to others."""
        if item.sort is Sort.INSTANCE:
            self.given.add(item.index)
        elif item.sort is Sort.FUNC:
            function = _at(self.functions, item.index)
            if isinstance(function, tuple):
                self.otherwise.add(function)

    def add_unknown(self, sort: Sort) -> None:
        """Add an item that an alias stands for and nothing is known of."""
        match sort:
            case Sort.FUNC:
                self.functions.append(False)
            case Sort.CORE_MEMORY:
                self.memories.append(None)
            case Sort.CORE_MODULE:
                self.modules.append(None)
            case Sort.CORE_FUNC:
                self.core_functions += 1

    def home(self, instance: int, name: str) -> int | None:
        """Where the memory is defined that a core instance exports by this name, as `memories`."""
        while True:
            self.spend(1)
            made = _at(self.core_instances, instance)
            if isinstance(made, BagOfExports):
                item = made.exports.get(name)
                if item is None or item.sort is not Sort.CORE_MEMORY:
                    return None
                return _at(self.memories, item.index)
            module = _at(self.modules, made.instantiation.source)
            if module is None or not module.exports_a(Sort.CORE_MEMORY, name):
                return None
            self.spend(len(module.imports))
            imports = [each for each in module.imports if each.sort is Sort.CORE_MEMORY]
            index = module.exports[name].index
            if index >= len(imports):
                return made.number if index == len(imports) else None
            given = made.instantiation.arguments.get(imports[index].module)
            if given is None or given.sort is not Sort.CORE_INSTANCE:
                return None
            instance, name = given.index, imports[index].name

    def spend(self, steps: int) -> None:
        """Count steps."""
        self.left -= steps
        if self.left < 0:
            raise UnbridgeableError


def _at(space: Sequence[T], index: int) -> T:
    if index >= len(space):
        raise MalformedBinary(0, f"an index of what is not there: {index}")
    return space[index]
