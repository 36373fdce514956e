"""The functions that drop resources: which resources a component exports, and what it is given for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime
from wasmtime import component as wasm

from gateway.wasm.drops import PREFIX, with_drops
from gateway.wasm.footprint import needs
from tests.harness import GuestPath

INTERFACE = '(import "host" (instance $host (export "thing" (type (sub resource)))))'

OPAQUE = """
(type $token (resource (rep i32)))
(instance $api (export "token" (type $token)) (export "number" (type $number)))
(export "test:api/tokens" (instance $api))
"""
"""One without functions, beside a type that is none."""

WRAPPED = """
(component $inner
  (type $number u32)
  {0})
(instance $inner (instantiate $inner))
(alias export $inner "test:api/tokens" (instance $api))
(export "test:api/tokens" (instance $api))
"""

RENAMED = """
(type $own (resource (rep i32)))
(component $api
  (import "one" (type $one (sub resource)))
  (import "two" (type $two (eq $one)))
  (export "first" (type $one))
  (export "second" (type $two)))
(instance $api (instantiate $api (with "one" (type $own)) (with "two" (type $own))))
(export "test:api/tokens" (instance $api))
"""

HANDED_ON = f"""
{INTERFACE}
(alias export $host "thing" (type $thing))
(instance $api (export "thing" (type $thing)))
(export "test:api/tokens" (instance $api))
"""
"""One of the host's is not the component's own."""


def component(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(component (type $number u32) {text})"))


@pytest.mark.parametrize(
    ("text", "resources"),
    [
        (OPAQUE, ["token"]),
        (WRAPPED.format(OPAQUE), ["token"]),
        (RENAMED, ["first", "second"]),
        (HANDED_ON, []),
        ("", []),
    ],
)
def test_each_exported_resource_has_a_function_that_drops_it(
    text: str, resources: list[str]
) -> None:
    binary = component(text)
    needed = needs(binary)
    assert needed is not None
    assert needed.resources == tuple(("test:api/tokens", name) for name in resources)
    engine = wasmtime.Engine()
    exports = wasm.Component(engine, with_drops(binary, needed.resources)).type.exports(engine)
    added = [name for name in exports if name.startswith(PREFIX)]
    assert len(added) == len(resources)
    # Functions that drop are functions of the component's own.
    more = needed._replace(functions=bool(added), callable=int(bool(added)))
    assert needs(with_drops(binary, needed.resources)) == more


@pytest.mark.parametrize("name", ["c/counters", "python/counters"])
def test_guests_of_toolchains_have_them_too(guest: GuestPath, name: str) -> None:
    binary = Path(guest(name)).read_bytes()
    needed = needs(binary)
    assert needed is not None
    assert needed.resources == (("test:counters/api@1.0.0", "counter"),)
    assert with_drops(binary, needed.resources).startswith(binary)
