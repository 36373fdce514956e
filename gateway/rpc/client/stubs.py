"""The module that `gateway stubs` writes: the types of an imported interface, and a class to fill in.

Its classes are those that a client of the same interface has, and one for each resource. It needs nothing of the
gateway: Python 3.11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.host import wit
from gateway.rpc.client.layout import docstring
from gateway.rpc.client.provided import provided_names
from gateway.rpc.client.surface import Call
from gateway.rpc.client.typed_module import TypedModule, heading, runtime, section, taken
from gateway.rpc.method import Method
from gateway.wasm.binary.package_docs import PackageDocs, TypeDocs

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
            links to Python objects carry.
        imports: what the component imports, by full name.
        docs: what the component says about that.
        name: the component's name.
        digest: the SHA-256 of its file, in hexadecimal.
        asynchronous: whether its methods are coroutines.

    Returns:
        The source.
    """
    imported = imports[interface]
    if not isinstance(imported, wit.Interface):
        raise TypeError(f"{interface} is no interface")
    return _Stubs(interface, imported, imports, docs, asynchronous).source(name, digest)


class _Stubs:
    def __init__(
        self,
        interface: str,
        imported: wit.Interface,
        imports: Mapping[str, wit.Item],
        docs: PackageDocs,
        asynchronous: bool,
    ) -> None:
        self._interface = interface
        self._import = f'import = "{wit.interface_name(interface, imported)}"'
        if f'"{interface}"' not in self._import:
            self._import += f', name = "{interface}"'
        self._resources = imported.resources
        self._names = provided_names(imported)
        methods = [
            Method(interface, function, _written(function, ty), None)
            for function, ty in imported.functions.items()
        ]
        resources = {resource: (name, interface) for name, resource in self._resources.items()}
        self._module = TypedModule(
            methods,
            (imports,),
            docs,
            taken(_IMPORTS, "values", "provider"),
            asynchronous=asynchronous,
            resources=resources,
        )
        (self._provided,) = self._module.surface.interfaces
        of_python = {**self._names.functions, **self._names.methods}
        for call in self._provided.calls:
            call.name = of_python[call.method.function]

    def source(self, name: str, digest: str) -> str:
        # Functions come before the types are told: they give names to types that are too wide for them.
        resources = list(map(self._resource, self._resources))
        provider = self._provider()
        errors = self._module.errors
        # What aliases are made of must be there when they are.
        body = [
            *((*resources, section("Types")) if resources else ()),
            runtime("values"),
            *self._module.definitions,
            *((section("What it may raise"), runtime("provider"), *errors) if errors else ()),
            section("What is to be filled in"),
            provider,
        ]
        head = "\n".join((heading(name, digest), self._docstring(name)))
        first = section("Resources, to be filled in" if resources else "Types")
        start = "\n\n".join((head, _imports("\n".join(body)), first))
        return "\n\n\n".join((start, *body)) + "\n"

    def _provider(self) -> str:
        says = self._provided.docs.docs or f"The interface `{self._interface}`."
        parts = [f"class {self._provided.class_name}(ABC):\n{docstring(says, 4)}"]
        for name, attribute in self._names.resources.items():
            kind = self._module.resources[self._resources[name]]
            told = docstring(f"The class of the resource `{name}`.", 4)
            parts.append(f"    {attribute}: type[{kind}]\n{told}")
        parts += map(self._method, self._of(None))
        return "\n\n".join(parts)

    def _resource(self, name: str) -> str:
        kind = self._module.resources[self._resources[name]]
        docs = self._provided.docs.types.get(name, TypeDocs()).docs
        says = docstring(docs or f"The resource `{name}`.", 4)
        return "\n\n".join((f"class {kind}(ABC):\n{says}", *map(self._method, self._of(name))))

    def _of(self, owner: str | None) -> Iterator[Call]:
        for call in self._provided.calls:
            if wit.split_function(call.method.function)[1] == owner:
                yield call

    def _method(self, call: Call) -> str:
        role = wit.split_function(call.method.function)[0]
        _, head = self._module.head(call, "cls" if role == "static" else "self")
        says = call.docs or f"Provide `{call.method.name}`."
        raises = [("Raises", [f"{call.error}: to return err."])] if call.error else []
        lines = ["    @classmethod"] if role == "static" else []
        return "\n".join((*lines, "    @abstractmethod", head, docstring(says, 8, raises)))

    def _docstring(self, name: str) -> str:
        says = [
            f"What the WebAssembly component {name} imports as `{self._interface}`, for Python to provide.",
            f"A subclass of `{self._provided.class_name}` has its functions; an object of that, in a module of "
            "yours, is what a link of the component names:",
            f'    {{ {self._import}, python = "module:object" }}',
        ]
        return docstring("\n\n".join(says), 0)


def _written(function: str, ty: wit.Function) -> wit.Function:
    """A function as Python writes it: a method without its object, and a constructor gives nothing."""
    role, _, _ = wit.split_function(function)
    params, result = ty.params, ty.result
    if role == "method":
        params = params[1:]
    elif role == "constructor":
        result = wit.Result(None, result.err) if isinstance(result, wit.Result) else None
    return wit.Function(params, result)


def _imports(body: str) -> str:
    """The imports that a module has a use for."""
    used = {name for name in ("Enum", "Flag") if f"({name}):" in body}
    imports = _IMPORTS if ": TypeAlias = " in body else _IMPORTS.replace(" TypeAlias,", "")
    if used:
        return imports.replace("Enum, Flag", ", ".join(sorted(used)))
    return imports.replace("from enum import Enum, Flag\n", "")
