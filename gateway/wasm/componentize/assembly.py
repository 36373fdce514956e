"""The component around a core module.

```
(component
  <the imports of the world, as far as they are used>
  <the core modules: main, adapter>
  <the shim, instantiated>
  <the resource types that are exported, with destructors in the shim>
  <main, instantiated with lowered functions, or with those of the shim where they need its memory>
  <the adapter, instantiated with main's memory>
  <the fixup, instantiated with what the shim stands for>
  <main, initialized>
  <the exports of the world, lifted>)
```
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.wasm.binary import encode
from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.core_types import CoreFunction, CoreType
from gateway.wasm.binary.extern import ExternName, Sort, SortIndex, encode_extern_name
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.componentize import names
from gateway.wasm.componentize.adapter import REALLOC_FOR_IMPORTS
from gateway.wasm.componentize.component_scope import ComponentScope
from gateway.wasm.componentize.dependencies import dependency_order
from gateway.wasm.componentize.errors import NotComponentizable, described, shown
from gateway.wasm.componentize.exported_interface import exported_interface
from gateway.wasm.componentize.imports import (
    AdapterFunction,
    Builtin,
    ImportedFunction,
    Item,
    MainExport,
)
from gateway.wasm.componentize.shim import (
    FUNCTIONS,
    TABLE,
    fixup_module,
    initialize_module,
    shim_module,
)
from gateway.wasm.componentize.world import Named, Place, Resource, StringEncoding, World
from gateway.wasm.componentize.world_functions import CanonOptions, WorldFunctions

__all__ = ["Guest", "assemble"]

# How large all that is exported may become. Threat: thousands of exported interfaces that use the same
# large type, which each of them repeats. Unit: bytes. Arbitrary: to export all of WASI takes 50 KiB.
MAX_EXPORTED_SIZE: Final = 4 << 20

_DESTRUCTOR_TYPE: Final = CoreFunction((CoreType.I32,), ())


@dataclass(frozen=True, slots=True)
class Guest:
    """A core module of the component.

    Attributes:
        module: what is put into the component.
        imports: by module name and name, what satisfies each import.
        encodings: how it holds the strings of each function that it imports or exports.
    """

    module: CoreModule
    imports: Mapping[tuple[str, str], Item]
    encodings: Mapping[tuple[Place, str], StringEncoding]


class _Role(Enum):
    """The core instances that others take things from."""

    MAIN = "main"
    ADAPTER = "adapter"
    SHIM = "shim"


@dataclass(frozen=True, slots=True)
class _Stub:
    """A function of the shim.

    Attributes:
        name: what the shim exports it as.
        type: its type.
        real: adds what it stands for, once that can be; returns the core function index.
    """

    name: str
    type: CoreFunction
    real: Callable[[], int]


def assemble(world: World, guests: Sequence[Guest], adapted: Mapping[str, CoreFunction]) -> bytes:
    """The component.

    Args:
        world: what it imports and exports.
        guests: the main module and, if it is needed, the adapter.
        adapted: the types of the adapter's functions.

    Raises:
        NotComponentizable: the main module does not export what it takes.
    """
    return _Assembly(world, dict(zip(_Role, guests, strict=False)), adapted).write()


class _Assembly:
    def __init__(
        self, world: World, guests: Mapping[_Role, Guest], adapted: Mapping[str, CoreFunction]
    ) -> None:
        self.world = world
        self.guests = guests
        self.adapted = adapted
        self.main = guests[_Role.MAIN].module
        self.functions = WorldFunctions(world)
        self.out = ComponentWriter()
        self.scope = ComponentScope(self.out, world)
        self.core_instances: dict[_Role, int] = {}
        self.exported_size = 0
        self.aliases: dict[tuple[_Role, str], int] = {}
        # The functions of the shim by what each is for: an item of a guest, or a destructor.
        self.stubs: dict[tuple[_Role, Item] | Named, _Stub] = {}
        self.exported_resources = [
            Named(place, name)
            for place, interface in world.interfaces(exported=True)
            for name, number in interface.types.items()
            if isinstance(world.types[number], Resource)
        ]

    def write(self) -> bytes:
        order = dependency_order(self.world)
        for place in order:
            if not place.exported:
                self.scope.import_place(place)
        modules = {
            role: self.out.embed(
                ComponentSection.CORE_MODULE, guest.module.binary, Sort.CORE_MODULE
            )
            for role, guest in self.guests.items()
        }
        self.instantiate_shim()
        for named in self.exported_resources:
            destructor = self.stub(named) if named in self.stubs else None
            self.scope.define_resource(named, destructor)
        for role, module in modules.items():
            self.core_instances[role] = self.instantiate(role, module)
        self.fix_up()
        self.initialize()

        for place in order:
            if place.exported:
                self.export(place)
        return self.out.finish()

    # Core instances.

    def instantiate_shim(self) -> None:
        """Finds out which functions the shim must have, and instantiates it, unless there are none."""
        for role, guest in self.guests.items():
            for item in guest.imports.values():
                self.plan(role, item)
        for named in self.exported_resources:
            export = names.destructor(named.place, named.name).find(self.main)
            if export is not None:
                self.add_stub(named, _DESTRUCTOR_TYPE, self.alias_later(_Role.MAIN, export))
        if self.stubs:
            module = shim_module([stub.type for stub in self.stubs.values()])
            self.core_instances[_Role.SHIM] = self.instantiate_module(module, [])

    def plan(self, role: _Role, item: Item) -> None:
        """Adds a function to the shim if it takes one to satisfy an import."""
        match item:
            case AdapterFunction(name):
                real = self.alias_later(_Role.ADAPTER, name)
                self.add_stub((role, item), self.adapted[name], real)
            case ImportedFunction(place, name):
                core, needs = self.functions.lowered(place, name)
                # When the adapter is instantiated main's memory is there, but its own realloc is not.
                if needs.realloc if role is _Role.ADAPTER else needs.memory:
                    self.add_stub((role, item), core, lambda: self.lower(role, place, name))
            case _:
                pass

    def add_stub(
        self, purpose: tuple[_Role, Item] | Named, core: CoreFunction, real: Callable[[], int]
    ) -> None:
        self.stubs.setdefault(purpose, _Stub(str(len(self.stubs)), core, real))

    def stub(self, purpose: tuple[_Role, Item] | Named) -> int:
        """The core function of the shim for this purpose."""
        return self.alias(_Role.SHIM, self.stubs[purpose].name)

    def alias(self, role: _Role, name: str, sort: Sort = Sort.CORE_FUNC) -> int:
        """The index of what a core instance exports."""
        if (role, name) not in self.aliases:
            index = self.out.alias_core(sort, self.core_instances[role], name)
            self.aliases[role, name] = index
        return self.aliases[role, name]

    def alias_later(self, role: _Role, name: str) -> Callable[[], int]:
        return lambda: self.alias(role, name)

    def instantiate_module(self, module: bytes, arguments: list[tuple[str, int]]) -> int:
        index = self.out.embed(ComponentSection.CORE_MODULE, module, Sort.CORE_MODULE)
        return self.out.instantiate_core(index, arguments)

    def instantiate(self, role: _Role, module: int) -> int:
        """Instantiates a guest's module with what satisfies its imports."""
        bags: dict[str, dict[str, SortIndex]] = {}
        for (first, second), item in self.guests[role].imports.items():
            bags.setdefault(first, {})[second] = self.satisfy(role, item)
        arguments = [(name, self.out.bag_core(bag.items())) for name, bag in bags.items()]
        return self.out.instantiate_core(module, arguments)

    def satisfy(self, role: _Role, item: Item) -> SortIndex:
        """What is given to a guest for an import."""
        if (role, item) in self.stubs:
            return SortIndex(Sort.CORE_FUNC, self.stub((role, item)))
        match item:
            case MainExport(name, sort):
                return SortIndex(sort, self.alias(_Role.MAIN, name, sort))
            case ImportedFunction(place, name):
                return SortIndex(Sort.CORE_FUNC, self.lower(role, place, name))
            case Builtin(operation, resource):
                definition = bytes([operation]) + encode.u32(self.scope.resource(resource))
                index = self.out.add(ComponentSection.CANON, definition, Sort.CORE_FUNC)
                return SortIndex(Sort.CORE_FUNC, index)
            case AdapterFunction():
                raise AssertionError(item)

    def fix_up(self) -> None:
        """Gives the shim what its functions stand for."""
        if not self.stubs:
            return
        given = [
            (stub.name, SortIndex(Sort.CORE_FUNC, stub.real())) for stub in self.stubs.values()
        ]
        table = self.alias(_Role.SHIM, TABLE, Sort.CORE_TABLE)
        bag = self.out.bag_core([*given, (TABLE, SortIndex(Sort.CORE_TABLE, table))])
        module = fixup_module([stub.type for stub in self.stubs.values()])
        self.instantiate_module(module, [(FUNCTIONS, bag)])

    def initialize(self) -> None:
        """Calls what main exports to be called before everything else."""
        name = names.CoreExportNames(names.INITIALIZE).find(self.main)
        if name is not None:
            function = SortIndex(Sort.CORE_FUNC, self.alias(_Role.MAIN, name))
            bag = self.out.bag_core([("0", function)])
            self.instantiate_module(initialize_module(), [(FUNCTIONS, bag)])

    # Functions across the border.

    def export(self, place: Place) -> None:
        """Lifts the functions of an interface and exports it; or those of the world itself."""
        functions = self.world.places[place].functions
        if not place.interface:
            for name in functions:
                exported = encode_extern_name(ExternName(name))
                self.out.export(exported, Sort.FUNC, self.lift(place, name))
            return
        self.scope.begin_export(place)
        lifted = {name: self.lift(place, name) for name in functions}
        component, arguments = exported_interface(self.world, place, lifted, self.scope.named)
        self.exported_size += len(component)
        if self.exported_size > MAX_EXPORTED_SIZE:
            raise NotComponentizable(
                "what its interfaces export is too much, types that they use of one another included. "
                "Export less."
            )
        index = self.out.embed(ComponentSection.COMPONENT, component, Sort.COMPONENT)
        instance = self.out.instantiate(index, arguments)
        implements = self.world.places[place].implements
        exported = encode_extern_name(ExternName(place.interface, implements))
        self.scope.finish_export(place, self.out.export(exported, Sort.INSTANCE, instance))

    def lower(self, role: _Role, place: Place, name: str) -> int:
        """Makes a core function of an imported one."""
        _, needs = self.functions.lowered(place, name)
        index = self.scope.imported_function(place, name)
        options = self.options(role, place, name, needs, names.REALLOC_FOR_IMPORTS)
        definition = b"\x01\x00" + encode.u32(index) + encode.vector(options)
        return self.out.add(ComponentSection.CANON, definition, Sort.CORE_FUNC)

    def lift(self, place: Place, name: str) -> int:
        """Makes a function of one that the main module exports."""
        export = names.lifted(place, name).find(self.main)
        if export is None:
            raise NotComponentizable(
                f"it does not export {shown(names.lifted(place, name).names[0])}, which its world promises. "
                "Implement the function, and export it under that name."
            )
        _, needs = self.functions.lifted(place, name)
        options = self.options(_Role.MAIN, place, name, needs, names.REALLOC_FOR_EXPORTS)
        post_return = names.post_return(place, name).find(self.main)
        if post_return is not None:
            options.append(b"\x05" + encode.u32(self.alias(_Role.MAIN, post_return)))
        index = encode.u32(self.alias(_Role.MAIN, export))
        function_type = encode.u32(self.scope.function_type(place, name))
        definition = b"\x00\x00" + index + encode.vector(options) + function_type
        return self.out.add(ComponentSection.CANON, definition, Sort.FUNC)

    def options(
        self, role: _Role, place: Place, name: str, needs: CanonOptions, reallocs: tuple[str, ...]
    ) -> list[bytes]:
        """The canonical options of a function that a guest imports or exports."""
        options = []
        if needs.string_encoding:
            options.append(bytes([self.guests[role].encodings[place, name]]))
        if needs.memory:
            options.append(b"\x03" + encode.u32(self.memory(place, name)))
        if needs.realloc:
            options.append(b"\x04" + encode.u32(self.realloc(role, place, name, reallocs)))
        return options

    def memory(self, place: Place, name: str) -> int:
        memory = names.memory(self.main)
        if memory is None:
            raise NotComponentizable(
                f"it exports no memory, which {described(place.interface, name)} needs for what it passes. Link "
                "it so that its memory is exported as `memory`."
            )
        return self.alias(_Role.MAIN, memory, Sort.CORE_MEMORY)

    def realloc(self, role: _Role, place: Place, name: str, reallocs: tuple[str, ...]) -> int:
        if role is _Role.ADAPTER:
            return self.alias(role, REALLOC_FOR_IMPORTS)
        realloc = names.CoreExportNames(reallocs).find(self.main)
        if realloc is None:
            raise NotComponentizable(
                f"it does not export {names.REALLOC[0]}, which {described(place.interface, name)} needs for what "
                "it is given. The bindings that wit-bindgen generates have it: link them whole, or "
                f"export it (-Wl,--export={names.REALLOC[0]})."
            )
        return self.alias(role, realloc)
