"""The module that `gateway stubs` writes: the types of an imported interface, and a class to fill in.

Its classes are those that a client of the same interface has. It needs nothing of the gateway: Python 3.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.host import wit
from gateway.rpc.client.layout import docstring
from gateway.rpc.client.surface import Call
from gateway.rpc.client.typed_module import TypedModule, heading, runtime, section, taken
from gateway.rpc.method import Methods
from gateway.wasm.binary.package_docs import PackageDocs

__all__ = ["generate_stubs"]

_IMPORTS: Final = """\
from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, Flag
from typing import Generic, TypeAlias, TypeVar"""
"""What it may import; what it has no use for is left out."""


def generate_stubs(
    interface: str,
    imports: Mapping[str, wit.Item],
    docs: PackageDocs,
    *,
    name: str,
    digest: str,
    asynchronous: bool = False,
) -> str:
    """Write the class of which a Python object is that provides an interface.

    The same component gives the same module. It passes `mypy --strict` and is as `ruff format` would leave it.

    Args:
        interface: the full name of the interface, or the label of its import, whose functions all have values that
            `Methods` serves.
        imports: what the component imports, by full name.
        docs: what the component says about that.
        name: the component's name.
        digest: the SHA-256 of its file, in hexadecimal.
        asynchronous: whether its methods are coroutines.

    Returns:
        The source.
    """
    methods = Methods({interface: imports[interface]})
    names = taken(_IMPORTS, "values", "provider")
    module = TypedModule(methods, (imports,), docs, names, asynchronous=asynchronous)
    (provided,) = module.surface.interfaces
    says = docstring(provided.docs.docs or f"The interface `{interface}`.", 4)
    functions = [_method(module, call) for call in provided.calls]
    provider = "\n\n".join((f"class {provided.class_name}(ABC):\n{says}", *functions))
    errors = module.errors
    body = [
        runtime("values"),
        *module.definitions,
        *((section("What it may raise"), runtime("provider"), *errors) if errors else ()),
        section("What is to be filled in"),
        provider,
    ]
    link = f'import = "{wit.interface_name(interface, imports[interface])}"'
    if f'"{interface}"' not in link:
        link += f', name = "{interface}"'
    head = "\n".join(
        (heading(name, digest), _docstring(interface, name, provided.class_name, link))
    )
    start = "\n\n".join((head, _imports("\n".join(body)), section("Types")))
    return "\n\n\n".join((start, *body)) + "\n"


def _method(module: TypedModule, call: Call) -> str:
    _, head = module.head(call)
    says = call.docs or f"Provide `{call.method.name}`."
    raises = [("Raises", [f"{call.error}: to return err."])] if call.error else []
    return "\n".join(("    @abstractmethod", head, docstring(says, 8, raises)))


def _docstring(interface: str, name: str, class_name: str, link: str) -> str:
    says = [
        f"What the WebAssembly component {name} imports as `{interface}`, for Python to provide.",
        f"A subclass of `{class_name}` has its functions; an object of that, in a module of yours, is what a link "
        "of the component names:",
        f'    {{ {link}, python = "module:object" }}',
    ]
    return docstring("\n\n".join(says), 0)


def _imports(body: str) -> str:
    """The imports that a module has a use for."""
    used = {name for name in ("Enum", "Flag") if f"({name}):" in body}
    imports = _IMPORTS if ": TypeAlias = " in body else _IMPORTS.replace(" TypeAlias,", "")
    if used:
        return imports.replace("Enum, Flag", ", ".join(sorted(used)))
    return imports.replace("from enum import Enum, Flag\n", "")
