"""What satisfies each import of a core module."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.core_module import CoreImport, CoreModule
from gateway.wasm.binary.core_types import CoreFunction
from gateway.wasm.binary.extern import Sort
from gateway.wasm.componentize import names
from gateway.wasm.componentize.adapter_reduction import MAIN_MODULE
from gateway.wasm.componentize.errors import NotComponentizable, described, shown
from gateway.wasm.componentize.merge import canonical_place
from gateway.wasm.componentize.names import ResourceOperation
from gateway.wasm.componentize.world import Named, Place, Resource, World
from gateway.wasm.componentize.world_functions import WorldFunctions

__all__ = [
    "ADAPTED",
    "AdapterFunction",
    "Builtin",
    "ImportedFunction",
    "Item",
    "MainExport",
    "Resolver",
    "from_main",
]

ADAPTED: Final = "wasi_snapshot_preview1"
"""The module name of WASI preview 1, which an adapter provides."""

_ASYNCHRONOUS: Final = (
    "[async", "[backpressure", "[callback]", "[cancellable]", "[context", "[error-context", "[future",
    "[stream", "[subtask", "[task", "[thread", "[waitable", "[yield",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportedFunction:
    """A function that the world imports, to be lowered."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Builtin:
    """What a module does with the handles of a resource type."""

    operation: ResourceOperation
    resource: Named


@dataclass(frozen=True, slots=True)
class AdapterFunction:
    """A function that the adapter exports."""

    name: str


@dataclass(frozen=True, slots=True)
class MainExport:
    """An export of the main module, which the adapter imports."""

    name: str
    sort: Sort


Item = ImportedFunction | Builtin | AdapterFunction | MainExport


def from_main(main: CoreModule, wanted: CoreImport) -> MainExport | None:
    """What an import of the adapter stands for, if it is the main module that has it.

    Raises:
        NotComponentizable: the main module does not have it.
    """
    if wanted.sort is Sort.CORE_MEMORY:
        memory = names.memory(main)
        if memory is None:
            raise NotComponentizable(
                f"it imports {ADAPTED}, but exports no memory to use it with. Link it so that its "
                "memory is exported as `memory`."
            )
        return MainExport(memory, Sort.CORE_MEMORY)
    if wanted.module == MAIN_MODULE:
        realloc = names.CoreExportNames(names.REALLOC).find(main)
        return MainExport(realloc or wanted.name, wanted.sort)
    return None


class Resolver:
    """Finds out what the imports of a module stand for in a world."""

    def __init__(
        self,
        world: World,
        known: Container[tuple[Place, str]],
        adapted: Mapping[str, CoreFunction],
    ) -> None:
        """Takes what there is.

        Args:
            world: the world.
            known: the functions that the module knows of; the adapter's world may have more.
            adapted: the functions of the adapter that it may import, with their types.
        """
        self._world = world
        self._known = known
        self._functions = WorldFunctions(world)
        self._adapted = adapted
        self._compatible = {canonical_place(place): place for place in world.places}

    def resolve(self, module: CoreModule, wanted: CoreImport) -> Item:
        """What an import of a module stands for.

        Raises:
            NotComponentizable: nothing that a component can provide.
        """
        if wanted.module == ADAPTED:
            return self._adapter_function(module, wanted)
        return self._from_world(module, wanted)

    def _adapter_function(self, module: CoreModule, wanted: CoreImport) -> Item:
        known = self._adapted.get(wanted.name)
        if wanted.sort is not Sort.CORE_FUNC or known is None:
            raise NotComponentizable(
                f"it imports {described(wanted.module, wanted.name)}, which WASI preview 1 does not have. "
                "Build it with a current toolchain for wasm32-wasip1."
            )
        _check_type(module, wanted, known)
        return AdapterFunction(wanted.name)

    def _from_world(self, module: CoreModule, wanted: CoreImport) -> Item:
        if wanted.sort is not Sort.CORE_FUNC:
            raise NotComponentizable(_not_a_function(wanted))
        if wanted.name.startswith(_ASYNCHRONOUS):
            raise NotComponentizable(
                f"it imports {described(wanted.module, wanted.name)}, which is for asynchronous components "
                "(WASI 0.3); they are not supported yet. Generate its bindings without `async`."
            )
        place = self._place(wanted)
        interface = self._world.places[place]
        known = wanted.name in interface.functions and (place, wanted.name) in self._known
        if known and not place.exported:
            _check_type(module, wanted, self._functions.lowered(place, wanted.name)[0])
            return ImportedFunction(place, wanted.name)
        builtin = names.resource_builtin(wanted.module, wanted.name)
        if builtin is not None and builtin[1] in interface.types:
            named = Named(place, builtin[1])
            item = Builtin(builtin[0], self._world.origin(named))
            if isinstance(self._world.type_of(item.resource), Resource) and _allowed(item):
                return item
        raise NotComponentizable(
            f"it imports {described(wanted.module, wanted.name)}, which its world does not have. Generate its "
            "bindings, and embed the world, from the same WIT."
        )

    def _place(self, wanted: CoreImport) -> Place:
        place = names.imported_place(wanted.module)
        if place in self._world.places:
            return place
        compatible = self._compatible.get(canonical_place(place))
        if compatible is not None:
            return compatible
        raise NotComponentizable(_unknown(wanted))


def _allowed(builtin: Builtin) -> bool:
    """Handles of any type can be dropped; only those of one's own type be made or looked into."""
    return builtin.resource.place.exported or builtin.operation is ResourceOperation.DROP


def _check_type(module: CoreModule, wanted: CoreImport, expected: CoreFunction) -> None:
    if wanted.type >= len(module.types):
        return
    found = module.types[wanted.type]
    if found != expected:
        raise NotComponentizable(
            f"it imports {described(wanted.module, wanted.name)} as a function {found}, which should be "
            f"{expected}. Generate its bindings, and embed the world, from the same WIT."
        )


def _not_a_function(wanted: CoreImport) -> str:
    kind = wanted.sort.name.removeprefix("CORE_").lower()
    remedy = {
        Sort.CORE_MEMORY: "Link it without --import-memory",
        Sort.CORE_TABLE: "Link it without --import-table",
    }.get(wanted.sort, "Link it so that it has its own")
    return (
        f"it imports a {kind}, {described(wanted.module, wanted.name)}, where a component has functions to "
        f"give. {remedy}; a shared library cannot be used by itself."
    )


def _unknown(wanted: CoreImport) -> str:
    found = f"it imports {described(wanted.module, wanted.name)}, which is neither in its world nor in {ADAPTED}."
    match wanted.module:
        case "wasi_unstable":
            return f"{found} That is the WASI of 2019: build it with a current toolchain for wasm32-wasip1."
        case "env" if wanted.name == "abort":
            return f"{found} AssemblyScript calls it where it fails: compile with --use abort=."
        case "env" | "GOT.func" | "GOT.mem":
            return (
                f"{found} The linker leaves there what it has not found: define {shown(wanted.name)}, or link "
                "the library that does."
            )
        case "wasi":
            return (
                f"{found} Threads (wasi-threads) cannot be used in a component: build it without."
            )
        case _:
            return f"{found} Add it to the world, generate the bindings again, and build again."
