"""Guests that take many seconds to compile, from the cache that the gateways of the tests have too."""

from pathlib import Path

from gateway.bindings import provided
from gateway.config import ServerConfig
from gateway.host.cache import CompileCache
from gateway.host.component import Component, Source
from gateway.host.engine import Engine


def compiled(path: Path, *, modular: bool = False) -> Component:
    """A component as a gateway has it; or as one in development, with `modular`."""
    source = Source(path, bridge=provided().carries_bytes)
    folder = ServerConfig().cache_dir
    cache = None if folder is None else CompileCache(folder)
    engine = Engine(concurrent=source.concurrent, modular=modular)
    return Component(engine, source, name=path.stem, cache=cache)
