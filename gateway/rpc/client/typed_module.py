"""What all modules that are written have in common: the types of a component, and how its functions have them."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from gateway import __version__
from gateway.host import wit
from gateway.rpc.client.classes import find_classes, sides
from gateway.rpc.client.definitions import define, docs_of
from gateway.rpc.client.layout import WIDTH, Group, comment, docstring, write
from gateway.rpc.client.names import Scope, attribute_names, class_name, qualified, words
from gateway.rpc.client.provided import CONSTRUCTOR
from gateway.rpc.client.python_types import PythonTypes
from gateway.rpc.client.surface import Call, Surface
from gateway.rpc.method import Method
from gateway.wasm.binary.package_docs import PackageDocs

__all__ = ["TypedModule", "heading", "runtime", "section", "taken"]

_RUNTIME: Final = files("gateway.rpc.client.runtime")


class TypedModule:
    """The types and functions of a component in Python.

    Args:
        methods: the functions.
        sources: what names their types: what has the functions, by full name, and what else the component has.
        docs: what the component says about that.
        names: what the names of the module mean already.
        asynchronous: whether the functions are coroutines.
        resources: those that they take and give, each with its name and the interface that has it.

    Attributes:
        classes: the types that have classes.
        definitions: the source of these, and of aliases. More are needed by what is written of functions.
        surface: the functions, and what they are called.
        types: how their types are written.
        resources: the classes of resources, by these.
        define: how a function begins.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        sources: tuple[Mapping[str, wit.Item], ...],
        docs: PackageDocs,
        names: AbstractSet[str],
        *,
        asynchronous: bool,
        resources: Mapping[wit.Resource, tuple[str, str]] = MappingProxyType({}),
    ) -> None:
        scope = Scope(names | frozenset(dir(builtins)))
        self.classes = find_classes(methods, sources, scope)
        called = [list(qualified(words(name), home)) for name, home in resources.values()]
        classes = scope.claim([list(map(class_name, candidates)) for candidates in called])
        self.resources = dict(zip(resources, classes, strict=True))
        self.surface = Surface(methods, sources[0], docs, scope)
        self.types = PythonTypes(self.classes, scope, self.resources)
        # One list: what a class needs an alias for is added to it before the class is.
        self.definitions = self.types.aliases
        for each in self.classes.values():
            self.definitions.append(define(each, docs_of(each, docs, sources), self.types))
        self.define = "async def" if asynchronous else "def"

    @property
    def errors(self) -> list[str]:
        """The source of the exceptions for what functions return as their err."""
        return [self._error(call) for call in self.surface.calls if call.error]

    def head(self, call: Call, first: str = "self") -> tuple[list[str], str]:
        """What the parameters of a function are called, and its first line.

        Args:
            call: the function.
            first: what stands before them.
        """
        ty = call.method.type
        names = attribute_names((name for name, _ in ty.params), frozenset({first}))
        params = [
            f"{chosen}: {self._annotation(param, call, name, WIDTH - len(f'{chosen}: ,') - 8)}"
            for chosen, (name, param) in zip(names, ty.params, strict=True)
        ]
        define = "def" if call.name == CONSTRUCTOR else self.define
        start, end = f"{define} {call.name}(", f") -> {self.result(call)}:"
        return names, write(Group(start, (first, *params), end), 4)

    def result(self, call: Call) -> str:
        """The type of what a function gives; its err is raised."""
        room = WIDTH - len(f"{call.constant} = _Method[](")
        return self._annotation(sides(call.method.type)[0], call, "result", room)

    def _error(self, call: Call) -> str:
        _, fallible = sides(call.method.type)
        err = None if fallible is None else fallible.err
        room = WIDTH - len(f"class {call.error}(CallError[]):")
        value = self._annotation(err, call, "failure", room)
        says = docstring(f"What `{call.method.name}` returned as its err.", 4)
        return f"class {call.error}(CallError[{value}]):\n{says}"

    def _annotation(self, ty: wit.Type | None, call: Call, role: str, room: int) -> str:
        found = words(call.method.function) + words(role)
        return self.types.annotation(ty, call.method.interface, found, room)


def heading(name: str, digest: str) -> str:
    """The first lines of a module, which say what it was made of."""
    told = f"Generated by component-gateway {__version__} from {name}, do not edit."
    return f"{comment(told, 0)}\n{comment(f'sha256 {digest}', 0)}"


def section(title: str) -> str:
    """A line that parts a module."""
    return f"# --- {title} ".ljust(79, "-")


@cache
def runtime(module: str) -> str:
    """The source of a module of the runtime, after its imports."""
    source = _RUNTIME.joinpath(f"{module}.py").read_text("utf-8")
    body = ast.parse(source).body
    end = max(
        node.end_lineno or 0 for node in body if isinstance(node, ast.Import | ast.ImportFrom)
    )
    return "\n".join(source.splitlines()[end:]).strip()


@cache
def taken(imports: str, *modules: str) -> frozenset[str]:
    """What the names of a module mean already that has these imports, and these modules of the runtime."""
    source = "\n".join((imports, *map(runtime, modules)))
    return frozenset(compile(source, "runtime", "exec").co_names)
