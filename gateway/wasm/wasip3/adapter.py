"""The parts of a composition that are the same for every guest, as text.

They are read by an engine's assembler, which is not for this package to have: one component holds all of them, and
`Parts` finds them in its binary form. What is long stands beside this file: the types, and the
core modules, whose imports are named for what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from gateway.wasm.binary.cursor import Cursor
from gateway.wasm.binary.definitions import items
from gateway.wasm.binary.sections import ComponentSection, sections
from gateway.wasm.binary.type_format import read_type
from gateway.wasm.binary.types import InstanceType
from gateway.wasm.wasip3.assembly import NEXT, core, lift, read
from gateway.wasm.wasip3.call_arguments import Arguments
from gateway.wasm.wasip3.family import Family
from gateway.wasm.wasip3.text_types import TextTypes, words

__all__ = ["ADAPTERS", "BYTES", "HOST", "RESOURCES", "FamilyParts", "Parts"]

ADAPTERS: Final = "gateway:wasi/"
"""How the names begin of what the host has for adapters alone."""

HOST: Final = "gateway:wasi/host"
"""What the host has for the adapter, by the name of its import."""

BYTES: Final = "gateway:wasi/bytes"
"""The part of it that passes bytes, apart so that a bridge can be between (`gateway.wasm.byte_blocks`)."""

RESOURCES: Final = ("fields", "request-options", "request", "response")
"""The resources of `wasi:http/types`, in the order in which `HOST` refers to them."""


_TYPES: Final = read("types")
_ANSWER: Final = "(result (own $response) (error $error-code))"
_MEMORY: Final = read("memory")
_BYTES: Final = """
(export "read" (func (param "channel" u32) (result (tuple u32 (list u8)))))
(export "write" (func (param "channel" u32) (param "data" (list u8))))"""
_IMPORTS: Final = f"""
(import "types" (instance $types {_TYPES}))
(alias export $types "fields" (type $fields)) (alias export $types "request-options" (type $request-options))
(alias export $types "request" (type $request)) (alias export $types "response" (type $response))
(alias export $types "error-code" (type $error-code))
(import "host" (instance $host {read("host")}))
(import "bytes" (instance $bytes {_BYTES}))
(type $stream (stream u8))
(type $trailers (future (result (option (own $fields)) (error $error-code))))"""

_STRINGS: Final = "(memory $memory) (realloc (core func $keep-string))"
_BUFFER: Final = "(memory $memory) (realloc (core func $fill-buffer))"


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
{core(read("sources"), given)}
{lift("receive", "receive", '(param "channel" u32) (result (tuple $stream $trailers))')}
{lift("receive-bytes", "receive-bytes", '(param "channel" u32) (result $stream)')}
{lift("serve", "serve", '(param "what" u32)')}
{lift("turn", "turn", "(result bool)")}
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
    lifted = (
        lift(
            "[static]request.new",
            "request-new",
            f"{contents} {options} (result (tuple (own $e.request) $result))",
        ),
        lift(
            "[static]response.new",
            "response-new",
            f"{contents} (result (tuple (own $e.response) $result))",
        ),
        *(
            lift(
                f"[static]{message}.consume-body",
                f"{message}-consume",
                f'(param "this" (own $e.{message})) {consumed}',
            )
            for message in ("request", "response")
        ),
        lift("stdin", "stdin", "(result (tuple $stream $cli))"),
        lift("stdout", "stdout", '(param "data" $stream) (result $cli)'),
        lift("stderr", "stderr", '(param "data" $stream) (result $cli)'),
        lift("wait-for", "wait-for", 'async (param "how-long" u64)', waits),
        lift("wait-until", "wait-until", 'async (param "when" u64)', waits),
        lift(
            "send",
            "send",
            'async (param "request" (own $e.request)) (result $r.answer)',
            f"{waits} (memory $memory)",
        ),
        lift("sink", "sink", '(param "channel" u32) (param "data" $stream)'),
        lift("serve", "serve", '(param "what" u32) (result bool)'),
        lift("turn", "turn", "(result bool)"),
        lift("unheard", "unheard", "(result u32)"),
        lift(
            "hear", "hear", 'async (param "at" u32)', 'async (callback (core func $core "heard"))'
        ),
    )
    lines = "\n".join(lifted)
    return f"""(component {_IMPORTS}
(import "sources" (instance $sources
  (alias outer 1 $stream (type $stream)) (alias outer 1 $trailers (type $trailers))
  (export "receive" (func (param "channel" u32) (result (tuple $stream $trailers))))))
{_again()}
{_MEMORY}
(type $cli-error' (enum "io" "illegal-byte-sequence" "pipe"))
(export $cli-error "cli-error-code" (type $cli-error'))
(type $e.trailers' (future (result (option (own $e.fields)) (error $e.error-code))))
(type $result (future (result (error $e.error-code))))
(type $cli (future (result (error $cli-error))))
(type $signal (future))
(type $r.answer (result (own $e.response) (error $e.error-code)))
{core(read("adapter"), given, _return_answer())}
{lines}
)"""


def _return_answer() -> str:
    """Functions of a core module, one of which has a task return what `send` does."""
    types = TextTypes(_TYPES)
    arguments = Arguments(types.types)
    function = arguments.returning("answer", types.of(words(_ANSWER)[0]))
    return "\n".join((*arguments.functions.values(), function))


def _pump() -> str:
    return f"""(component {_IMPORTS}
(import "adapter" (instance $adapter
  (export "serve" (func (param "what" u32) (result bool))) (export "turn" (func (result bool)))
  (export "unheard" (func (result u32))) (export "hear" (func async (param "at" u32)))))
(alias export $adapter "hear" (func $hear))
{NEXT}
{core(read("pump"), {})}
{lift("pump", "pump", "async", 'async (callback (core func $core "pump-on"))')}
)"""


def _driver() -> str:
    given = {
        "host.respond": "(memory $memory)",
        "tasks.handle": _STRINGS,
    }
    return f"""(component {_IMPORTS}
(import "handle" (func $handle async (param "request" (own $request))
  (result (result (own $response) (error $error-code)))))
(import "pump" (func $pump async))
(alias export $host "response-outparam" (type $outparam))
{_MEMORY}
{core(read("driver"), given)}
(func (export "run") async (param "request" (own $request)) (param "out" (own $outparam))
  (canon lift (core func $core "run") async (callback (core func $core "go-on"))))
)"""


def _text() -> str:
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
{_pump()}
{_driver()}
{read("polling")}
)"""


class FamilyParts(NamedTuple):
    """What adapts one interface, in binary form.

    Attributes:
        types: the interface's type without functions.
        host: the type of what it asks of the host, whose first aliases are of the types that the other exports.
        component: the component.
        writer: the one that writes to streams and futures, where there are any.
    """

    types: InstanceType
    host: InstanceType
    component: bytes
    writer: bytes | None = None

    @classmethod
    def read(cls, binary: bytes) -> Self:
        """Find them in what the text of a family was made to."""
        plain, _, host = _instance_types(binary)
        return cls(plain, host, *_components(binary))


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
        pump: the component that has both of them go on.
        driver: the component that calls a guest's `handle`.
        polling: the component that has `wasi:io/poll@0.2` of the host's.
        assemble: what makes binary components of text.
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
    pump: bytes
    driver: bytes
    polling: bytes
    assemble: Callable[[str], bytes]
    _families: dict[Family, FamilyParts] = field(default_factory=dict)

    def family(self, family: Family) -> FamilyParts:
        """What there is for another interface: made when a guest that imports it is composed first."""
        parts = self._families.get(family)
        if parts is None:
            parts = self._families[family] = FamilyParts.read(self.assemble(family.text()))
        return parts

    @classmethod
    def assembled(cls, assemble: Callable[[str], bytes]) -> Self:
        """The parts, by what makes binary components of text."""
        binary = assemble(_text())
        plain, clock, stdio, client, passing, _, host, *_ = _instance_types(binary)
        sources, adapter, pump, driver, polling = _components(binary)
        (poll,) = _instance_types(polling)
        return cls(
            types=plain,
            clock=clock,
            stdio=stdio,
            client=client,
            poll=poll,
            passing=passing,
            host=host,
            sources=sources,
            adapter=adapter,
            pump=pump,
            driver=driver,
            polling=polling,
            assemble=assemble,
        )


def _components(binary: bytes) -> list[bytes]:
    """The components that are nested into one."""
    return [
        binary[section.start : section.end]
        for section in sections(binary)
        if section.id == ComponentSection.COMPONENT
    ]


def _instance_types(component: bytes) -> list[InstanceType]:
    """The instance types among the definitions of a component, in their order."""
    return [
        definition
        for section in sections(component)
        if section.id == ComponentSection.TYPE
        for definition in items(Cursor(component, section.start, section.end), read_type)
        if isinstance(definition, InstanceType)
    ]
