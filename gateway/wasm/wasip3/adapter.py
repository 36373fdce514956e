"""The parts of a composition that are the same for every guest, as text.

They are read by an engine's assembler, which is not for this package to have: `text` gives one component that
holds all of them, `Parts` finds them in its binary form. What is long stands beside this file: the types, and the
core modules, whose imports are named for what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Self

from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.definitions import items
from gateway.wasm.binary.sections import ComponentSection, sections
from gateway.wasm.binary.type_format import read_type
from gateway.wasm.binary.types import InstanceType
from gateway.wasm.wasip3.returns import read_types, returning

__all__ = ["BYTES", "HOST", "RESOURCES", "Parts", "text"]

HOST: Final = "gateway:wasi/host"
"""What the host has for the adapter, by the name of its import."""

BYTES: Final = "gateway:wasi/bytes"
"""The part of it that passes bytes, apart so that a bridge can be between (`gateway.wasm.byte_blocks`)."""

RESOURCES: Final = ("fields", "request-options", "request", "response")
"""The resources of `wasi:http/types`, in the order in which `HOST` refers to them."""


def _read(name: str) -> str:
    """One of the texts beside this file, without what it says of itself."""
    source = files(__package__).joinpath(f"{name}.wat").read_text(encoding="utf-8")
    return re.sub(r"\A(;;.*\n)+", "", source)


_TYPES: Final = _read("types")
_ANSWER: Final = "(result (own $response) (error $error-code))"
_MEMORY: Final = _read("memory")
_BYTES: Final = """
(export "read" (func (param "channel" u32) (result (tuple u32 (list u8)))))
(export "write" (func (param "channel" u32) (param "data" (list u8))))"""
_IMPORTS: Final = f"""
(import "types" (instance $types {_TYPES}))
(alias export $types "fields" (type $fields)) (alias export $types "request-options" (type $request-options))
(alias export $types "request" (type $request)) (alias export $types "response" (type $response))
(alias export $types "error-code" (type $error-code))
(import "host" (instance $host {_read("host")}))
(import "bytes" (instance $bytes {_BYTES}))
(type $stream (stream u8))
(type $trailers (future (result (option (own $fields)) (error $error-code))))"""

_IMPORT: Final = re.compile(r'\(import "([a-z]*)" "([a-z-]+)" \((func|memory|global)\b')
_STRINGS: Final = "(memory $memory) (realloc (core func $keep-string))"
_BUFFER: Final = "(memory $memory) (realloc (core func $fill-buffer))"
# What the imports of core modules are that are not called as they are here, by both their names.
_BUILTINS: Final = {
    "task.get": "context.get i32 0",
    "task.set": "context.set i32 0",
    "task.return-answer": "task.return (result $answer) (memory $memory)",
    "set.new": "waitable-set.new",
    "set.poll": "waitable-set.poll (memory $memory)",
    "set.drop": "waitable-set.drop",
    "set.join": "waitable.join",
}


def _definition(group: str, name: str) -> str:
    """What an import of a core module is: a `canon`."""
    options = {"read": f"async {_STRINGS}", "write": "async (memory $memory)"}.get(name, "")
    match group:
        case "host" | "bytes" | "sources":
            return f'lower (func ${group} "{name}")'
        case "guest" | "adapter":
            return f"lower (func ${name}) async"
        case "task" | "subtask" | "set":
            return _BUILTINS.get(f"{group}.{name}", f"{group}.{name}")
        case "stream":
            return f"stream.{name} $stream {options}"
        case _:
            return f"future.{name} ${group} {options}"


def _core(module: str, given: Mapping[str, str], more: str = "") -> str:
    """A core module and an instance of it.

    Args:
        module: the name of its text.
        given: options of what it imports, by both names, where it takes more than others.
        more: functions that it has beside those of its text.
    """
    source = _read(module).rstrip().removesuffix(")") + more + ")"
    lines: list[str] = []
    arguments: dict[str, list[str]] = {}
    for group, name, sort in _IMPORT.findall(source):
        item = f'{sort} $memory\' "{name}"'
        if sort == "func":
            item, options = f"func ${group}.{name}", given.get(f"{group}.{name}", "")
            lines.append(f"(core {item} (canon {_definition(group, name)} {options}))")
        arguments.setdefault(group, []).append(f'(export "{name}" ({item}))')
    instances = " ".join(
        f'(with "{group}" (instance {" ".join(exports)}))' for group, exports in arguments.items()
    )
    lines.append(source.replace("(module", "(core module $Core", 1))
    return "\n".join([*lines, f"(core instance $core (instantiate $Core {instances}))"])


def _lift(name: str, core: str, signature: str, options: str = "(memory $memory)") -> str:
    return f"""(type $f.{core} (func {signature}))
(func $f.{core} (type $f.{core}) (canon lift (core func $core "{core}") {options}))
(export "{name}" (func $f.{core}))"""


def _again() -> str:
    """Everything of `wasi:http/types` as exports: names of functions of resources want resources of their own."""
    lines = [
        f'(alias export $types "{name}" (type $i.{local})) (export $e.{local} "{name}" (type $i.{local}))'
        for name, local in re.findall(r'\(export "([^"]+)" \(type \$([a-z-]+) \(', _TYPES)
    ]
    functions = re.findall(r'\n\(export "([^"]+)" \(func (.+)\)\)', _TYPES.replace("\n  ", " "))
    for name, signature in functions:
        own = re.sub(r"\$([a-z-]+)", r"$e.\1", signature)
        lines += [
            f'(alias export $types "{name}" (func $"{name}"))',
            f'(export "{name}" (func $"{name}") (func {own}))',
        ]
    return "\n".join(lines)


def _sources() -> str:
    given = {"bytes.read": _BUFFER, "host.trailers": _BUFFER}
    return f"""(component {_IMPORTS}
{_MEMORY}
{_core("sources", given)}
{_lift("receive", "receive", '(param "channel" u32) (result (tuple $stream $trailers))')}
{_lift("serve", "serve", '(param "channel" u32)')}
{_lift("turn", "turn", "(result bool)")}
)"""


def _adapter() -> str:
    new_and_consume = ("request-new", "response-new", "request-consume", "response-consume")
    given = {
        **dict.fromkeys((f"host.{name}" for name in new_and_consume), "(memory $memory)"),
        "bytes.write": "(memory $memory)",
        "host.finish": _STRINGS,
        "host.sent": _STRINGS,
        "sources.receive": "(memory $memory)",
    }
    contents = """(param "headers" (own $e.fields)) (param "contents" (option $stream))
  (param "trailers" $e.trailers')"""
    options = '(param "options" (option (own $e.request-options)))'
    consumed = '(param "res" $result) (result (tuple $stream $e.trailers\'))'
    waits = 'async (callback (core func $core "awake"))'
    pumps = 'async (callback (core func $core "pump-on"))'
    lifted = (
        _lift(
            "[static]request.new",
            "request-new",
            f"{contents} {options} (result (tuple (own $e.request) $result))",
        ),
        _lift(
            "[static]response.new",
            "response-new",
            f"{contents} (result (tuple (own $e.response) $result))",
        ),
        *(
            _lift(
                f"[static]{message}.consume-body",
                f"{message}-consume",
                f'(param "this" (own $e.{message})) {consumed}',
            )
            for message in ("request", "response")
        ),
        _lift("stdin", "stdin", "(result (tuple $stream $cli))"),
        _lift("stdout", "stdout", '(param "data" $stream) (result $cli)'),
        _lift("stderr", "stderr", '(param "data" $stream) (result $cli)'),
        _lift("wait-for", "wait-for", 'async (param "how-long" u64)', waits),
        _lift("wait-until", "wait-until", 'async (param "when" u64)', waits),
        _lift(
            "send",
            "send",
            'async (param "request" (own $e.request)) (result $answer)',
            f"{waits} (memory $memory)",
        ),
        _lift("pump", "pump", "async", pumps),
    )
    lines = "\n".join(lifted)
    return f"""(component {_IMPORTS}
(import "sources" (instance $sources
  (alias outer 1 $stream (type $stream)) (alias outer 1 $trailers (type $trailers))
  (export "receive" (func (param "channel" u32) (result (tuple $stream $trailers))))
  (export "serve" (func (param "channel" u32)))
  (export "turn" (func (result bool)))))
{_again()}
{_MEMORY}
(type $cli-error' (enum "io" "illegal-byte-sequence" "pipe"))
(export $cli-error "cli-error-code" (type $cli-error'))
(type $e.trailers' (future (result (option (own $e.fields)) (error $e.error-code))))
(type $result (future (result (error $e.error-code))))
(type $cli (future (result (error $cli-error))))
(type $signal (future))
(type $answer (result (own $e.response) (error $e.error-code)))
{_core("adapter", given, returning("answer", _ANSWER, read_types(_TYPES)))}
{lines}
)"""


def _driver() -> str:
    given = {
        "host.respond": "(memory $memory)",
        "guest.handle": _STRINGS,
    }
    return f"""(component {_IMPORTS}
(import "handle" (func $handle async (param "request" (own $request))
  (result (result (own $response) (error $error-code)))))
(import "pump" (func $pump async))
(alias export $host "response-outparam" (type $outparam))
{_MEMORY}
{_core("driver", given)}
(func (export "run") async (param "request" (own $request)) (param "out" (own $outparam))
  (canon lift (core func $core "run") async (callback (core func $core "go-on"))))
)"""


def text() -> str:
    """The parts, as one component in text form."""
    return f"""(component
(type (instance {_TYPES}))
(type (instance
  (type $u64 u64) (export "duration" (type $duration (eq $u64))) (export "mark" (type $mark (eq $u64)))
  (export "now" (func (result $mark))) (export "get-resolution" (func (result $duration)))))
(type (instance (type $e (enum "io" "illegal-byte-sequence" "pipe")) (export "error-code" (type (eq $e)))))
(type (instance))
(type (instance {_BYTES}))
{_IMPORTS}
{_sources()}
{_adapter()}
{_driver()}
{_read("polling")}
)"""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, in binary form.

    Attributes:
        types: the type of `wasi:http/types` without what the adapter adds.
        clock: the same of `wasi:clocks/monotonic-clock`.
        stdio: the same of each of `wasi:cli/stdin`, `stdout` and `stderr`.
        client: the same of `wasi:http/client`, which is nothing: its types are those of `wasi:http/types`.
        poll: the type of `wasi:io/poll@0.2`, all of it.
        passing: the type of `BYTES`.
        host: the type of `HOST`, whose first aliases are of `RESOURCES` and `error-code`.
        sources: the component that has streams from the host to the guest.
        adapter: the component that has all others, and the functions that are missing.
        driver: the component that calls a guest's `handle`.
        polling: the component that has `wasi:io/poll@0.2` of the host's.
    """

    types: InstanceType
    clock: InstanceType
    stdio: InstanceType
    client: InstanceType
    poll: InstanceType
    passing: InstanceType
    host: InstanceType
    sources: bytes
    adapter: bytes
    driver: bytes
    polling: bytes

    @classmethod
    def read(cls, binary: bytes) -> Self:
        """Find the parts in what `text` was made to."""
        plain, clock, stdio, client, passing, _, host, *_ = _instance_types(binary)
        components = [
            binary[section.start : section.end]
            for section in sections(binary)
            if section.id == ComponentSection.COMPONENT
        ]
        (poll,) = _instance_types(components[-1])
        return cls(plain, clock, stdio, client, poll, passing, host, *components)


def _instance_types(component: bytes) -> list[InstanceType]:
    """The instance types among the definitions of a component, in their order."""
    return [
        definition
        for section in sections(component)
        if section.id == ComponentSection.TYPE
        for definition in items(Cursor(component, section.start, section.end), read_type)
        if isinstance(definition, InstanceType)
    ]
