"""Guests that take many seconds to compile, from the cache that the gateways of the tests fill too."""

from pathlib import Path

import wasmtime
from wasmtime import component as wasm

from gateway.bindings import provided
from gateway.config import ServerConfig
from gateway.host.cache import CompileCache
from gateway.host.compiler import Compiler
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.host.settings import compile_settings, is_roomy


def compiled(path: Path) -> Component:
    """A component as a gateway has it."""
    source = Source(path, bridge=provided().carries_bytes)
    return Component(Engine(), source, name=path.stem, cache=_cache())


class _Hasty(Compiler):
    """Compiles in half the time what is not to run for long."""

    def compile(self, component: bytes, *, concurrent: bool = False) -> bytes:
        config = compile_settings(roomy=is_roomy(), concurrent=concurrent)
        config.cranelift_opt_level = "none"
        config.cranelift_flag_set("regalloc_algorithm", "single_pass")
        return bytes(wasm.Component(wasmtime.Engine(config), component).serialize())


def taken(engine: Engine, binary: bytes) -> wasm.Component:
    """What an engine, used for nothing else, makes of a component as it is.

    Raises:
        WasmtimeError: it refuses it.
    """
    hasty = _Hasty()
    engine.fingerprint += "-hasty"
    cache = _cache()
    return (
        wasm.Component.deserialize(engine.wasmtime, hasty.compile(binary))
        if cache is None
        else cache.component(engine, binary, hasty)
    )


def _cache() -> CompileCache | None:
    folder = ServerConfig().cache_dir
    return None if folder is None else CompileCache(folder)
