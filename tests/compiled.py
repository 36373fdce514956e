"""Guests that take many seconds to compile, from the cache that the gateways of the tests have too."""

from pathlib import Path

from gateway.bindings import provided
from gateway.config import ServerConfig
from gateway.host.cache import CompileCache
from gateway.host.component import Component, Source
from gateway.host.engine import Engine


def compiled(path: Path) -> Component:
    """A component as a gateway has it."""
    source = Source(path, bridge=provided().carries_bytes)
    folder = ServerConfig().cache_dir
    cache = None if folder is None else CompileCache(folder)
    engine = Engine(concurrent=source.concurrent)
    return Component(engine, source, name=path.stem, cache=cache)
