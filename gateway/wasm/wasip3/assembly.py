"""Components with a core module within, in text form: what all parts of a composition are made of.

The text of a core module says what it imports; an import is named by the group that it is of, and by what it is
there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

__all__ = ["NEXT", "core", "lift", "read"]

NEXT: Final = """(import "next" (instance $next
  (export "serve" (func (param "what" u32))) (export "turn" (func (result bool)))))"""
"""Who is asked to go on with what is none of one's own: another adapter, or at last the sources."""

_IMPORT: Final = re.compile(r'\(import "([a-z]*)" "([a-z-]+)" \((func|memory|global)\b')
_STRINGS: Final = "(memory $memory) (realloc (core func $keep-string))"
_READS: Final = "(memory $memory) (realloc (core func $keep-read))"
# What the imports of core modules are that are not called as they are here, by both their names.
_BUILTINS: Final = {
    "task.get": "context.get i32 0",
    "task.set": "context.set i32 0",
    "set.new": "waitable-set.new",
    "set.poll": "waitable-set.poll (memory $memory)",
    "set.drop": "waitable-set.drop",
    "set.join": "waitable.join",
}


def read(name: str) -> str:
    """One of the texts beside this file, without what it says of itself."""
    source = files(__package__).joinpath(f"{name}.wat").read_text(encoding="utf-8")
    return re.sub(r"\A(;;.*\n)+", "", source)


def _definition(group: str, name: str) -> str:
    """What an import of a core module is: a `canon`."""
    options = {"read": f"async {_STRINGS}", "write": "async (memory $memory)"}.get(name, "")
    match group:
        case "host" | "bytes" | "sources" | "adapter" | "next" | "writer":
            return f'lower (func ${group} "{name}")'
        case "types":
            return f"lower (func $types.{name})"
        case "tasks":
            return f"lower (func ${name}) async"
        case "task" | "subtask" | "set":
            return _BUILTINS.get(f"{group}.{name}", f"{group}.{name}")
        case "return":
            return f"task.return (result $r.{name}) (memory $memory)"
        case "done":
            return "task.return"
        case "drop":
            return f"resource.drop ${name}"
        case "stream" | "elements":
            return f"stream.{name} ${group} {options}"
        case _ if name == "take":
            return f"{_kind(group)}.read ${group} async {_READS}"
        case _ if group.startswith("stream"):
            return f"stream.{name} ${group} {options}"
        case _:
            return f"future.{name} ${group} {options}"


def _kind(group: str) -> str:
    return "stream" if group.startswith("stream") else "future"


def core(source: str, given: Mapping[str, str], more: str = "") -> str:
    """A core module and an instance of it.

    Args:
        source: its text.
        given: options of what it imports, by both names, where it takes more than others.
        more: functions that it has beside those of its text.
    """
    source = source.rstrip().removesuffix(")") + more + ")"
    lines: list[str] = []
    arguments: dict[str, list[str]] = {}
    for group, name, sort in _IMPORT.findall(source):
        item = f'{sort} $memory\' "{name}"'
        if sort == "func" and group:
            item, options = f"func ${group}.{name}", given.get(f"{group}.{name}", "")
            lines.append(f"(core {item} (canon {_definition(group, name)} {options}))")
        arguments.setdefault(group, []).append(f'(export "{name}" ({item}))')
    instances = " ".join(
        f'(with "{group}" (instance {" ".join(exports)}))' for group, exports in arguments.items()
    )
    lines.append(source.replace("(module", "(core module $Core", 1))
    return "\n".join([*lines, f"(core instance $core (instantiate $Core {instances}))"])


def lift(name: str, core: str, signature: str, options: str = "(memory $memory)") -> str:
    """An exported function that one of the core module is."""
    return f"""(type $f.{core} (func {signature}))
(func $f.{core} (type $f.{core}) (canon lift (core func $core "{core}") {options}))
(export "{name}" (func $f.{core}))"""
