"""A component: from a file to something that can be linked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, TypeVar

import structlog
from wasmtime import WasmtimeError
from wasmtime import component as wasm

from gateway.host import _capi, wit
from gateway.host.cache import CompileCache
from gateway.host.compiled import Compiled
from gateway.host.compiler import CompileFailed, Compiler, Invalid
from gateway.host.composed import Composed, composed
from gateway.host.engine import Engine
from gateway.host.errors import ComponentError
from gateway.host.files import open_regular
from gateway.host.introspect import MAX_TYPES, TooManyTypes, component_type
from gateway.host.memory_maps import maps_of
from gateway.wasm import byte_blocks, drops
from gateway.wasm.binary import Kind, MalformedBinary, classify, wasi_0_3_externs
from gateway.wasm.binary.measure import check_measure
from gateway.wasm.binary.package_docs import package_docs
from gateway.wasm.byte_blocks import Blocks, ExportBlocks, Pair, Rewritten, rewrite
from gateway.wasm.drops import with_drops
from gateway.wasm.footprint import MAX_DEFINITIONS, Footprint, Measureless, Needs, footprint, needs
from gateway.wasm.instance_limits import Extents, InstanceLimits, untold_limits
from gateway.wasm.wasip3 import CALLS, NotComposable
from gateway.wasm.wasip3.imported import Imported

T = TypeVar("T")

__all__ = ["MAX_MEMORIES", "MAX_SIZE", "Component", "ComponentFile", "Source", "read_file"]

_log = structlog.get_logger("gateway.component")

MAX_SIZE: Final = 512 << 20
"""Bytes of the largest file that is loaded. Compiling takes some ten times that in memory; the largest real
components (Python with packages) have some 50 MiB."""

MAX_MEMORIES: Final = 256
"""Linear memories of one instance, those of bridges included. Threat: each that is in no pool takes two memory
maps, of which Linux leaves a process 65,530 (`vm.max_map_count`), and 30 us while everybody waits. Arbitrary: a
component that is composed of ten has some thirty."""

_UNTOLD_MEMORIES: Final = 32
"""Memories that an instance is taken to have where that cannot be told. Arbitrary: see above."""

MAX_CALLABLE: Final = 32
"""Component instances with functions of their own in one component of WASI 0.3. Threat: a task of each may wait on
a stack of its own, and what one guest takes of the pool's stacks others do not have; so the pool has all of them
for each place. Arbitrary: most have one, and what is composed of several has a few."""

_STACKS: Final = 3
"""Stacks of an instance of WASI 0.3 beside those of the guest's own tasks that wait: that of the call itself, and
of two tasks of what is around the guest, each of which waits until what it calls has begun."""

_MAX_LIMITS: Final = 64
"""Limits that are remembered of one component. Threat: one that is put again and again, with another `max_memory`
each time. Arbitrary: a digest has as many as it has configurations."""

_ASYNC: Final = re.compile(r"requires? the component model (?:async|error-context|threading)")

_REMEDY: Final = "Give a WebAssembly component, as a .wasm file or in its text form (.wat)."
_REMEDIES: Final = {
    Kind.TRUNCATED_WASM: "Copy or build it again.",
    Kind.GIT_LFS_POINTER: "Fetch the file: git lfs pull.",
    Kind.GZIP: "Unpack it first.",
    Kind.ZIP: "Unpack it first.",
    Kind.ZSTD: "Unpack it first.",
    Kind.TAR: "Unpack it first.",
}


@dataclass(frozen=True, slots=True)
class ComponentFile:
    """What a file holds, component or not.

    Attributes:
        path: where it was read.
        content: all of it.
        digest: the SHA-256 of that, in hexadecimal.
    """

    path: Path
    content: bytes
    digest: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read one.

        Raises:
            ComponentError: it cannot be read, or is larger than anything that is loaded.
        """
        content = _read(path)
        return cls(path, content, hashlib.sha256(content).hexdigest())


class Source:
    """The binary of a component, read and found to be one.

    Attributes:
        path: where it was read.
        digest: the SHA-256 of the file, in hexadecimal.
        size: the size of the file, in bytes.
        original: the file in binary form, as it was signed if it was.
        is_text: whether that is not the file itself.
        binary: the component in binary form, made of a core module if the file has one.
        composed: the component around it that is served in its place, where it is of WASI 0.3; None for any other.
        concurrent: whether it is for a concurrent engine: one of WASI 0.3 is, and no other.
        served: what is served: the one or the other, with functions that drop the resources that it hands out.
        bridged: the same with `list<u8>` crossing in blocks, in what is exported and some imports, where that can
            be done.
        footprint: what one instance takes from the engine's pools, None where that cannot be told.
        stacks: how many stacks of fibers one instance takes at most.
        maps: how many memory maps one instance takes at most that is in no pools.
        extents: the memories and tables that it has, those of bridges aside, None where that cannot be told.
        functions: whether it exports functions that are no resource's; True where that cannot be told.
        resources: whether it exports resources in instances; False where that cannot be told.
    """

    def __init__(
        self,
        file: Path | ComponentFile,
        *,
        bridge: Callable[[str], bool] | None = None,
        compiler: Compiler | None = None,
        cache: CompileCache | None = None,
    ) -> None:
        """Examine a file.

        Args:
            file: the file, or where it is to be read.
            bridge: given the name of an imported interface, whether its `list<u8>` should cross in blocks.
            compiler: what makes a component of text or a core module; None to do it in this process.
            cache: where the compiled form is kept by which one of WASI 0.3 is looked at; None for nowhere.

        Raises:
            ComponentError: the file cannot be read, or holds no component that can be served.
        """
        if not isinstance(file, ComponentFile):
            file = ComponentFile.read(file)
        path = self.path = file.path
        self.digest = file.digest
        self.size = len(file.content)
        compiler = compiler or Compiler()
        self.original = _to_binary(path, file.content, compiler)
        self.is_text = self.original is not file.content
        self.binary = _to_component(path, self.original, compiler)
        needed = _measured(path, needs, self.binary)
        self.composed = None
        of_wasi_0_3 = wasi_0_3_externs(self.binary)
        if of_wasi_0_3 or (needed is not None and needed.tasks):
            self.composed = _compose(path, self.binary, of_wasi_0_3, compiler, cache)
        self.concurrent = self.composed is not None
        self.stacks = _stacks(path, needed) if self.concurrent else 1
        self.served = self.binary if self.composed is None else self.composed.binary
        served = self.served
        if bridge is not None and self.concurrent:
            self.bridged = rewrite(served, lambda name: bridge(name) or _lends(name), lending=True)
        else:
            self.bridged = None if bridge is None else rewrite(served, bridge)
        self.footprint = None if needed is None else needed.footprint
        if self.bridged is not None:
            served = self.bridged.component
        if served is not self.binary:
            self.footprint = _measured(path, footprint, served)
        if needed is not None and needed.shared:
            raise ComponentError(
                f"{path}: has a memory that threads share, and there are no threads here. Build it without."
            )
        if self.footprint is not None and self.footprint.memories > MAX_MEMORIES:
            raise ComponentError(
                f"{path}: one instance of this component would have {self.footprint.memories} memories, and "
                f"{MAX_MEMORIES} are the most. Build it of fewer."
            )
        self.maps = _maps(self.footprint, self.stacks)
        self.extents = None if needed is None else needed.extents
        self.functions = needed is None or needed.functions
        resources = () if needed is None or self.concurrent else needed.resources
        self.resources = bool(resources)
        self.served = _with_drops(self.served, resources)
        if self.bridged is not None:
            component = _with_drops(self.bridged.component, resources)
            self.bridged = replace(self.bridged, component=component)


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """Where the engine has an exported function.

    Attributes:
        index: the engine's own; None for what is not exported.
        boxed: whether it is one of `gateway.wasm.wasip3.calls`.
        memory: the number of the memory that its bytes cross in, all of them; None where they cross as values.
    """

    index: wasm.ExportIndex | None
    boxed: bool
    memory: int | None


class _Limits(dict[int, InstanceLimits]):
    """What each memory and table of an instance may take, by the bytes that all of its memories may.

    A dictionary, so that looking them up for an invocation takes no function of ours.
    """

    def __init__(self, extents: Extents | None) -> None:
        super().__init__()
        self._extents = extents

    def __missing__(self, max_memory: int) -> InstanceLimits:
        if len(self) >= _MAX_LIMITS:
            self.clear()
        extents = self._extents
        limits = untold_limits(max_memory) if extents is None else extents.limits(max_memory)
        self[max_memory] = limits
        return limits


class Component:
    """A compiled component.

    Attributes:
        name: what it is called in logs.
        path: where it was read, for messages.
        digest: the SHA-256 of its file, in hexadecimal.
        size: the size of its file, in bytes.
        engine: the engine it was compiled for.
        wasmtime: the component of wasmtime-py.
        modules: those of its modules that were compiled by themselves, by the names that it imports them by.
        address: its address, for the C API.
        places: what one instance takes of what the engine has so many of: places of its pools, or memory maps.
        maps: how many memory maps one takes at most that is in no pools.
        concurrent: whether it is of WASI 0.3, and for a concurrent engine.
        limits: what each memory and table of an instance may take, by the bytes that all its memories may.
        extents: as of its `Source`.
        original: ditto; None where that is the file itself.
        imports: what it imports, by full name and in its own order.
        exports: what it exports, likewise.
        drops: for each resource that it exports, the name of the function that drops it, which is no export of its
            own, and that of the interface that has the resource.
        docs: what it says about them.
        guest_memory: how many core instances are made before the one that has the memory of the guest; None where
            that is not known, for no bytes cross there.
        imported: what adapts those of its imports that have asynchronous functions and are not WASI's.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        *,
        name: str,
        places: int = 0,
        cache: CompileCache | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        """Compile a component, or load its compiled form from a cache.

        Args:
            engine: what is to run it, concurrent where the component is.
            source: what to compile.
            name: what it is called in logs.
            places: what one instance takes of what the engine has so many of; 0 where nobody counts.
            cache: where compiled forms are kept; None for nowhere.
            compiler: what compiles it; None to do it in this process.

        Raises:
            ComponentError: the engine refuses it, or it takes more to compile than it may.
        """
        self.name = name
        self.path = source.path
        self.digest = source.digest
        self.size = source.size
        self.engine = engine
        self.concurrent = source.concurrent
        self.places = places
        self.maps = source.maps
        self.extents = source.extents
        self.original = source.original if source.is_text else None
        self._cache = cache
        self.limits = _Limits(source.extents)
        compiler = compiler or Compiler()
        disguised: Mapping[tuple[str, str], Blocks] = {}
        self._exported: Mapping[tuple[str | None, str], ExportBlocks] = {}
        binary = source.served
        try:
            compiled = None
            if source.bridged is not None:
                compiled = _compile_bridged(engine, source.bridged, name, cache, compiler)
            if compiled is not None and source.bridged is not None:
                disguised = source.bridged.functions
                self._exported = source.bridged.exports
                binary = source.bridged.component
            else:
                compiled = Compiled.of(engine, binary, cache, compiler)
        except Invalid as error:
            raise ComponentError(f"{source.path}: {_refusal(error)}") from error
        except CompileFailed as error:
            raise ComponentError(f"{source.path}: {error}.") from error
        except WasmtimeError as error:
            raise _no_place(source.path, error) from error
        self._set_compiled(compiled)
        try:
            ty = component_type(compiled.component, engine.wasmtime)
        except TooManyTypes:
            raise _too_many_types(source.path) from None
        self.imports = {
            name: _told(name, item, disguised)
            for name, item in ty.imports.items()
            if name not in compiled.modules
        }
        added = _added(source, bridged=binary is not source.served)
        self.exports = {name: it for name, it in ty.exports.items() if not name.startswith(added)}
        self.drops = dict(_resources(ty.exports, self.exports))
        self._calls: Mapping[tuple[str | None, str], str] = {}
        self.imported: Mapping[str, Imported] = {}
        if source.composed is not None:
            # What is inside, but for the handler, which is called as it is outside.
            self.exports = {**wit.settled(source.composed.exports), **ty.exports}
            self.exports.pop(CALLS, None)
            self._calls = source.composed.calls
            self.imports |= source.composed.imports
            self.imported = source.composed.imported
        self.docs = package_docs(source.binary)
        passed = (it.guest for it in disguised.values() if Pair.GUEST_BYTES in it.pairs)
        self.guest_memory = next(passed, None)

    @classmethod
    def alone(cls, source: Source, *, name: str) -> Component:
        """A component as it was built, compiled by this process to be looked at, not to be served.

        Raises:
            ComponentError: the engine refuses it.
        """
        plain = copy(source)
        plain.composed = plain.bridged = None
        plain.served = plain.binary
        return cls(Engine(concurrent=source.concurrent), plain, name=name)

    def moved(self, engine: Engine) -> Component:
        """The same component, for an engine without pools. Nothing is compiled.

        Raises:
            ComponentError: the engine refuses it.
        """
        moved = copy(self)
        moved.engine = engine
        moved.places = self.maps
        try:
            compiled = self._compiled.moved(engine, self._cache)
        except WasmtimeError as error:
            raise _no_place(self.path, error) from error
        moved._set_compiled(compiled)
        return moved

    def export_index(self, interface: str | None, function: str) -> ExportPlace:
        """Where the engine has an exported function, and how that is called."""
        called = self._calls.get((interface, function))
        blocks = self._exported.get((interface, function))
        if called is not None:
            interface, function = CALLS, called
        elif blocks is not None:
            interface, function = None, blocks.name
        parent = None if interface is None else self.wasmtime.get_export_index(interface)
        return ExportPlace(
            self.wasmtime.get_export_index(function, parent),
            called is not None,
            None if blocks is None else blocks.memory,
        )

    def _set_compiled(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self.wasmtime = compiled.component
        self.modules = compiled.modules
        self.address = _capi.address_of(compiled.component)

    def find_export(self, interface: str) -> str | None:
        """The full name of an exported interface, by its name without the version."""
        for name, item in self.exports.items():
            if isinstance(item, wit.Interface) and name.partition("@")[0] == interface:
                return name
        return None


def _measured(path: Path, measure: Callable[[bytes], T], binary: bytes) -> T:
    try:
        return measure(binary)
    except Measureless:
        raise ComponentError(
            f"{path}: one instance of this component would be more than {MAX_DEFINITIONS} instances, memories "
            "and tables. Build it of fewer."
        ) from None


def _stacks(path: Path, needed: Needs | None) -> int:
    """How many stacks an instance of a component of WASI 0.3 takes at most.

    The engine runs each task that begins or goes on on a fiber. One that waits in the middle of a function keeps
    its own, and the component instance that it is in is not entered before it goes on.
    """
    waiting = 1 if needed is None else needed.callable
    if waiting > MAX_CALLABLE:
        raise ComponentError(
            f"{path}: is composed of {waiting} components with functions of their own, and {MAX_CALLABLE} are the "
            "most that one of WASI 0.3 may have: a task may wait in each, on a stack of its own. Compose fewer, "
            "and have the others called by links."
        )
    return waiting + _STACKS


def _maps(footprint: Footprint | None, stacks: int) -> int:
    if footprint is None:
        return maps_of(_UNTOLD_MEMORIES, 0, stacks)
    return maps_of(footprint.memories, footprint.tables, stacks)


def _too_many_types(path: Path) -> ComponentError:
    return ComponentError(
        f"{path}: its imports and exports have more than {MAX_TYPES} types, each counted where it is used. Make "
        "them simpler."
    )


def _lends(name: str) -> bool:
    """Whether an interface has functions that take two borrowed handles, and is not bridged for its bytes."""
    interface, _, version = name.partition("@")
    return not version.startswith("0.3.") and interface in {
        "wasi:filesystem/types",
        "wasi:sockets/tcp",
        "wasi:sockets/udp",
        "wasi:blobstore/container",
    }


def _with_drops(component: bytes, resources: Collection[tuple[str, str]]) -> bytes:
    try:
        return with_drops(component, resources) if resources else component
    except MalformedBinary:  # or newer than this package: nothing of it can be handed out
        return component


def _added(source: Source, *, bridged: bool) -> tuple[str, ...]:
    """What the names of exports begin with that are not the component's own."""
    of_drops = (drops.PREFIX,) if source.resources else ()
    return (*of_drops, byte_blocks.PREFIX) if bridged else of_drops


def _resources(
    served: Mapping[str, wit.Item], exports: Mapping[str, wit.Item]
) -> Iterator[tuple[wit.Resource, tuple[str, str]]]:
    """As `Component.drops`, of what is served and of those exports in it that are the component's own."""
    interfaces = {
        resource: name
        for name, item in reversed(tuple(exports.items()))
        if isinstance(item, wit.Interface)
        for resource in item.resources.values()
    }
    for name in served.keys() - exports.keys():
        match served[name]:
            case wit.Function(params=((_, wit.Own(resource)),)) if not resource.imported:
                yield resource, (name, interfaces[resource])


def read_file(path: Path) -> bytes | None:
    """The whole of a file; None if it is larger than `MAX_SIZE`.

    Raises:
        OSError: it cannot be read.
    """
    data = bytearray()
    with open_regular(path) as file:
        # In pieces: one read of the most that is taken would allocate all of that.
        while len(data) <= MAX_SIZE and (piece := file.read(1 << 20)):
            data += piece
    return None if len(data) > MAX_SIZE else bytes(data)


def _compile_bridged(
    engine: Engine, bridged: Rewritten, name: str, cache: CompileCache | None, compiler: Compiler
) -> Compiled | None:
    """The bridged form, unless the engine refuses it: then the component as it was is the one to try."""
    try:
        return Compiled.of(engine, bridged.component, cache, compiler)
    except Invalid as error:
        _log.debug("component not bridged", component=name, reason=_first_lines(error))
        return None


def _told(interface: str, item: wit.Item, disguised: Mapping[tuple[str, str], Blocks]) -> wit.Item:
    """An import with the types of its disguised functions as they were."""
    if not isinstance(item, wit.Interface):
        return item

    def told(name: str, ty: wit.Function) -> wit.Function:
        blocks = disguised.get((interface, name))
        return ty if blocks is None else wit.disguise(ty, _stand_ins(blocks))

    return replace(item, functions={name: told(name, ty) for name, ty in item.functions.items()})


def _stand_ins(blocks: Blocks) -> Iterator[wit.Type | None]:
    """What a function's `tuple<u32, u32>` are, as `wit.disguise` takes them."""
    types: dict[Pair, wit.Type | None] = {
        Pair.ITSELF: None,
        Pair.BYTES: wit.Bytes(blocks.bridge),
        Pair.STAGED_BYTES: wit.Bytes(blocks.staging),
        Pair.GUEST_BYTES: wit.Bytes(blocks.guest, of_guest=True),
    }
    return (types[pair] for pair in blocks.pairs)


def _refusal(error: Invalid) -> str:
    """What the engine does not like, and what to do about it."""
    said = _first_lines(error)
    if _ASYNC.search(said):
        return (
            f"a component of WASI 0.3, for it uses what the component model has for that ({said}), which is not "
            "supported yet. Build it for WASI 0.2."
        )
    return (
        f"the engine refuses this component: {said}. It may be damaged, or use a feature that WebAssembly "
        "has not standardised; build it again with current tools."
    )


def _no_place(path: Path, error: WasmtimeError) -> ComponentError:
    """The error for what is valid and compiled, and not taken."""
    return ComponentError(f"{path}: the engine has no place for it: {_first_lines(error)}.")


def _first_lines(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:4] if line.strip())


def _read(path: Path) -> bytes:
    try:
        data = read_file(path)
    except OSError as error:
        raise ComponentError(
            f"{path}: cannot be read: {error.strerror or error}. Check the path and its permissions."
        ) from error
    if data is None:
        raise ComponentError(
            f"{path}: larger than {MAX_SIZE >> 20} MiB, the most that is loaded. Strip debug information "
            "(wasm-tools strip), or move data out of the component."
        )
    return data


def _to_binary(path: Path, data: bytes, compiler: Compiler) -> bytes:
    """The file in binary form: a component, or a core module that may be one."""
    kind = classify(data)
    if not kind.loadable:
        raise ComponentError(f"{path}: this is {kind.description}. {_REMEDIES.get(kind, _REMEDY)}")
    if kind in {Kind.COMPONENT_TEXT, Kind.MODULE_TEXT}:
        try:
            return compiler.to_binary(data)
        except Invalid as error:
            raise ComponentError(
                f"{path}: the text is not valid: {error}\nCorrect it there, or give the binary form."
            ) from error
        except CompileFailed as error:
            raise ComponentError(f"{path}: {error}.") from error
    return data


def _to_component(path: Path, data: bytes, compiler: Compiler) -> bytes:
    """A component that can be served, of what is one or can be made one."""
    if classify(data) is Kind.CORE_MODULE:
        try:
            data = compiler.componentize(data)
        except Invalid as error:
            raise ComponentError(
                f"{path}: this core module cannot be made a component: {error}"
            ) from error
        except CompileFailed as error:
            raise ComponentError(f"{path}: {error}.") from error
    try:
        check_measure(data)
        wasi_0_3_externs(data)
    except MalformedBinary as error:
        raise ComponentError(f"{path}: {_damaged(error)}") from error
    return data


def _compose(
    path: Path,
    data: bytes,
    names: Sequence[str],
    compiler: Compiler,
    cache: CompileCache | None,
) -> Composed:
    """The component around one of WASI 0.3, which has these interfaces of it."""
    try:
        return composed(data, compiler, cache)
    except MalformedBinary as error:
        raise ComponentError(f"{path}: {_damaged(error)}") from error
    except Invalid as error:
        raise ComponentError(f"{path}: {_refusal(error)}") from error
    except CompileFailed as error:
        raise ComponentError(f"{path}: {error}.") from error
    except TooManyTypes:
        raise _too_many_types(path) from None
    except NotComposable as error:
        which = ", ".join(names) or "tasks, streams or futures"
        raise ComponentError(
            f"{path}: a component of WASI 0.3 ({which}) that cannot be served: {error}. Build it with current "
            "tools, for a world that exports wasi:http/handler@0.3.0, such as wasi:http/service, or functions "
            "without resources; or for WASI 0.2."
        ) from error


def _damaged(error: MalformedBinary) -> str:
    return f"the component is damaged: {error}. Copy or build it again."
