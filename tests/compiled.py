"""Guests that take many seconds to compile, from the cache that the gateways of the tests fill too."""

from pathlib import Path

from wasmtime import component as wasm

from gateway.bindings import provided
from gateway.config import ServerConfig
from gateway.host.cache import CompileCache
from gateway.host.component import Component, Source
from gateway.host.engine import Engine


def compiled(path: Path) -> Component:
    """A component as a gateway has it."""
    source = Source(path, bridge=provided().carries_bytes)
    return Component(Engine(), source, name=path.stem, cache=_cache())


def taken(engine: Engine, binary: bytes) -> wasm.Component:
    """What the engine makes of a component, as it is.

    Raises:
        Invalid: it refuses it.
    """
    cache = _cache()
    return (
        wasm.Component(engine.wasmtime, binary)
        if cache is None
        else cache.component(engine, binary)
    )


def _cache() -> CompileCache | None:
    folder = ServerConfig().cache_dir
    return None if folder is None else CompileCache(folder)
