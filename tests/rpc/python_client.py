"""The module that `gateway client` writes, as tests have it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.rpc.client import generate, generate_stubs
from gateway.rpc.method import Methods
from gateway.wasm.binary.package_docs import PackageDocs, package_docs

__all__ = ["component_of", "load", "source_of", "source_of_component", "stubs_of"]


def source_of(
    exports: Mapping[str, wit.Item],
    docs: PackageDocs | None = None,
    *,
    name: str = "guest",
    imports: Mapping[str, wit.Item] | None = None,
    asynchronous: bool = False,
) -> str:
    """The module for a component that exports this."""
    return generate(
        Methods(exports),
        exports,
        docs or PackageDocs(),
        name=name,
        digest="0" * 64,
        imports=imports,
        asynchronous=asynchronous,
    )


def component_of(path: Path) -> Component:
    """The component in a file."""
    return Component.alone(Source(path), name=path.stem)


def source_of_component(path: Path, *, asynchronous: bool = False) -> str:
    """The module for the component in a file."""
    component = component_of(path)
    return generate(
        Methods(component.exports),
        component.exports,
        package_docs(Source(path).binary),
        name=component.name,
        digest=component.digest,
        imports=component.imports,
        asynchronous=asynchronous,
    )


def stubs_of(interface: str, imports: Mapping[str, wit.Item], *, asynchronous: bool = False) -> str:
    """The module for who provides an import of a component."""
    return generate_stubs(
        interface, imports, PackageDocs(), name="guest", digest="0" * 64, asynchronous=asynchronous
    )


def load(source: str) -> Any:
    """The module of a source, which no other code can import."""
    module = ModuleType("generated_client")
    sys.modules[module.__name__] = module  # where dataclasses look for the names in annotations
    try:
        exec(compile(source, "generated_client.py", "exec"), vars(module))  # noqa: S102
    finally:
        del sys.modules[module.__name__]
    return module
