"""A component: from a file to something that can be linked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

import structlog
import wasmtime
from wasmtime import component as wasm

from gateway.host import _capi, wit
from gateway.host.binary import Kind, MalformedBinary, classify, wasi_0_3_externs
from gateway.host.binary.package_docs import package_docs
from gateway.host.byte_strings import Rewritten, rewrite
from gateway.host.cache import CompileCache
from gateway.host.componentize import NotComponentizable, componentize
from gateway.host.engine import Engine
from gateway.host.errors import ComponentError
from gateway.host.footprint import Footprint, footprint
from gateway.host.introspect import component_type

__all__ = ["MAX_SIZE", "Component", "Source", "is_file_of", "read_file"]

_log = structlog.get_logger("gateway.component")

MAX_SIZE: Final = 512 << 20
"""Bytes of the largest file that is loaded. Compiling takes some ten times that in memory; the largest real
components (Python with packages) have some 50 MiB."""

_REMEDY: Final = "Give a WebAssembly component, as a .wasm file or in its text form (.wat)."
_REMEDIES: Final = {
    Kind.TRUNCATED_WASM: "Copy or build it again.",
    Kind.GIT_LFS_POINTER: "Fetch the file: git lfs pull.",
    Kind.GZIP: "Unpack it first.",
    Kind.ZIP: "Unpack it first.",
    Kind.ZSTD: "Unpack it first.",
    Kind.TAR: "Unpack it first.",
}


class Source:
    """The binary of a component, read and found to be one.

    Attributes:
        path: where it was read.
        digest: the SHA-256 of the file, in hexadecimal.
        size: the size of the file, in bytes.
        original: the file in binary form, as it was signed if it was.
        binary: the component in binary form, made of a core module if the file has one.
        bridged: the same with `list<u8>` crossing as strings in some imports, where that can be done.
    """

    def __init__(self, path: Path, *, bridge: Callable[[str], bool] | None = None) -> None:
        """Read a file.

        Args:
            path: the file.
            bridge: given the name of an imported interface, whether its `list<u8>` should cross as strings.

        Raises:
            ComponentError: the file cannot be read, or holds no component that can be served.
        """
        self.path = path
        data = _read(path)
        self.digest = hashlib.sha256(data).hexdigest()
        self.size = len(data)
        self.original = _to_binary(path, data)
        self.binary = _to_component(path, self.original)
        self.bridged = None if bridge is None else rewrite(self.binary, bridge)

    @cached_property
    def footprint(self) -> Footprint | None:
        """What one instance takes from the engine's pools, None where that cannot be told."""
        return footprint(self.binary if self.bridged is None else self.bridged.component)


class Component:
    """A compiled component.

    Attributes:
        name: what it is called in logs.
        path: where it was read, for messages.
        digest: the SHA-256 of its file, in hexadecimal.
        size: the size of its file, in bytes.
        engine: the engine it was compiled for.
        wasmtime: the component of wasmtime-py.
        address: its address, for the C API.
        imports: what it imports, by full name and in its own order.
        exports: what it exports, likewise.
        docs: what it says about them.
    """

    def __init__(
        self, engine: Engine, source: Source, *, name: str, cache: CompileCache | None = None
    ) -> None:
        """Compile a component, or load its compiled form from a cache.

        Raises:
            ComponentError: the engine refuses it.
        """
        self.name = name
        self.path = source.path
        self.digest = source.digest
        self.size = source.size
        self.engine = engine
        disguised: Mapping[tuple[str, str], tuple[bool, ...]] = {}
        try:
            compiled = None
            if source.bridged is not None:
                compiled = _compile_bridged(engine, source.bridged, name, cache)
            if compiled is not None and source.bridged is not None:
                disguised = source.bridged.functions
            else:
                compiled = _compile(engine, source.binary, cache)
        except wasmtime.WasmtimeError as error:
            raise ComponentError(
                f"{source.path}: the engine refuses this component: {_first_lines(error)}. It may be "
                "damaged, or use a feature that WebAssembly has not standardised; build it again with "
                "current tools."
            ) from error
        self.wasmtime = compiled
        self.address = _capi.address_of(compiled)
        ty = component_type(compiled, engine.wasmtime)
        self.imports = {name: _told(name, item, disguised) for name, item in ty.imports.items()}
        self.exports = ty.exports
        self.docs = package_docs(source.binary)

    def find_export(self, interface: str) -> str | None:
        """The full name of an exported interface, by its name without the version."""
        for name, item in self.exports.items():
            if isinstance(item, wit.Interface) and name.partition("@")[0] == interface:
                return name
        return None


def read_file(path: Path) -> bytes | None:
    """The whole of a file; None if it is larger than `MAX_SIZE`.

    Raises:
        OSError: it cannot be read.
    """
    data = bytearray()
    with path.open("rb") as file:
        # In pieces: one read of the most that is taken would allocate all of that.
        while len(data) <= MAX_SIZE and (piece := file.read(1 << 20)):
            data += piece
    return None if len(data) > MAX_SIZE else bytes(data)


def is_file_of(path: Path, digest: str) -> bool:
    """Whether a file still has the content of this SHA-256, in hexadecimal."""
    try:
        return hashlib.sha256(_read(path)).hexdigest() == digest
    except ComponentError:
        return False


def _compile(engine: Engine, binary: bytes, cache: CompileCache | None) -> wasm.Component:
    if cache is None:
        return wasm.Component(engine.wasmtime, binary)
    return cache.component(engine, binary)


def _compile_bridged(
    engine: Engine, bridged: Rewritten, name: str, cache: CompileCache | None
) -> wasm.Component | None:
    """The bridged form, unless the engine refuses it: then the component as it was is the one to try."""
    try:
        return _compile(engine, bridged.component, cache)
    except wasmtime.WasmtimeError as error:
        _log.debug("component not bridged", component=name, reason=_first_lines(error))
        return None


def _told(
    interface: str, item: wit.Item, disguised: Mapping[tuple[str, str], tuple[bool, ...]]
) -> wit.Item:
    """An import with the types of its disguised functions as they were."""
    if not isinstance(item, wit.Interface):
        return item
    functions = {
        name: wit.disguise(ty, disguised[interface, name]) if (interface, name) in disguised else ty
        for name, ty in item.functions.items()
    }
    return replace(item, functions=functions)


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


def _to_binary(path: Path, data: bytes) -> bytes:
    """The file in binary form: a component, or a core module that may be one."""
    kind = classify(data)
    if not kind.loadable:
        raise ComponentError(f"{path}: this is {kind.description}. {_REMEDIES.get(kind, _REMEDY)}")
    if kind in {Kind.COMPONENT_TEXT, Kind.MODULE_TEXT}:
        try:
            return bytes(wasmtime.wat2wasm(data))
        except wasmtime.WasmtimeError as error:
            raise ComponentError(
                f"{path}: the text is not valid: {error}\nCorrect it there, or give the binary form."
            ) from error
    return data


def _to_component(path: Path, data: bytes) -> bytes:
    """A component that can be served, of what is one or can be made one."""
    if classify(data) is Kind.CORE_MODULE:
        try:
            data = componentize(data)
        except NotComponentizable as error:
            raise ComponentError(
                f"{path}: this core module cannot be made a component: {error}"
            ) from error
    try:
        unserved = wasi_0_3_externs(data)
    except MalformedBinary as error:
        raise ComponentError(
            f"{path}: the component is damaged: {error}. Copy or build it again."
        ) from error
    if unserved:
        raise ComponentError(
            f"{path}: a component of WASI 0.3 ({', '.join(unserved)}), which is not supported yet. "
            "Build it for WASI 0.2."
        )
    return data
