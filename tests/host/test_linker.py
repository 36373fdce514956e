"""Which binding serves which import, and what is left to trap."""

from __future__ import annotations

import pytest

from gateway.host import wit
from gateway.host.binding import HostInterface, Provided
from gateway.host.errors import ComponentError, Trap, TrapKind
from gateway.host.guest_resource import GuestResource
from gateway.host.store import STORES
from tests.host.conftest import Load
from tests.host.guests import MEMORY, SPIN, call_now, guest, invocation


def imports(name: str) -> str:
    """A guest that calls `f` of an interface of this name."""
    return guest("(call $f)", "f").replace("test:host/api", name)


@pytest.mark.parametrize(
    ("provided", "imported"),
    [
        ("0.2.0", "0.2.12"),
        ("0.2.12", "0.2.0"),
        ("0.2.12", "0.2.12"),
        ("2.0.0", "2.0.1"),
        ("2.0.1", "2.7.0"),
        ("0.0.3", "0.0.3"),
        ("0.2.0-draft", "0.2.0-draft"),
        ("1.0.0", "1.0.0+build"),
        (None, None),
    ],
)
def test_a_version_of_the_same_track_is_served(
    load: Load, provided: str | None, imported: str | None
) -> None:
    calls: list[object] = []
    interface = HostInterface("test:host/api", provided)
    interface.function("f")(calls.append)
    name = "test:host/api" if imported is None else f"test:host/api@{imported}"
    linked = load(imports(name), interface)
    assert (linked.unknown, linked.unlinked) == ((), ())
    call_now(linked)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("provided", "imported"),
    [
        ("0.2.0", "0.3.0"),
        ("1.0.0", "2.0.0"),
        ("0.0.3", "0.0.4"),
        ("0.2.0", "0.2.0-draft"),
        ("0.2.0-draft", "0.2.0-draft2"),
        ("0.2.0-rc.1", "0.2.0"),
        ("0.2.0", None),
        (None, "0.2.0"),
    ],
)
def test_a_version_of_another_track_is_unknown(
    load: Load, provided: str | None, imported: str | None
) -> None:
    interface = HostInterface("test:host/api", provided)
    interface.function("f")(lambda _data: None)
    name = "test:host/api" if imported is None else f"test:host/api@{imported}"
    linked = load(imports(name), interface)
    assert linked.unknown == (name,)
    with pytest.raises(Trap) as caught:
        call_now(linked)
    assert caught.value.kind is TrapKind.UNKNOWN_IMPORT
    assert f"{name}#f" in caught.value.message


def test_a_provided_interface_may_lack_a_function(load: Load) -> None:
    interface = HostInterface("test:host/api", None)
    interface.function("g")(lambda _data: None)
    linked = load(guest("(call $g) (call $f)", "f", "g"), interface)
    assert linked.unlinked == ("test:host/api#f",)
    with pytest.raises(Trap, match="test:host/api#f"):
        call_now(linked)


def test_of_two_tracks_each_import_has_its_own() -> None:
    old, new = HostInterface("a:b/c", "0.2.0"), HostInterface("a:b/c", "1.0.0")
    draft = HostInterface("a:b/c", "0.2.0-draft")
    provided = Provided([old, new, draft])
    assert provided.interface("a:b/c@0.2.9") is old
    assert provided.interface("a:b/c@1.9.0") is new
    assert provided.interface("a:b/c@0.2.0-draft") is draft
    assert provided.interface("a:b/c") is None
    assert provided.interface("a:b/d@0.2.0") is None


def test_a_function_is_declared_once() -> None:
    interface = HostInterface("a:b/c", None)
    interface.method("thing", "go")(lambda _data: None)
    with pytest.raises(ValueError, match=r"a:b/c has \[method\]thing\.go already"):
        interface.function("[method]thing.go")(lambda _data: None)


def test_exports_are_found_by_name(load: Load) -> None:
    linked = load(f"""
      (component
        {MEMORY}
        (core module $m (func (export "f") (result i32) (i32.const 7)) (func (export "g") {SPIN}))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $inner (export "f" (func $f)))
        (export "test:guest/api@1.0.0" (instance $inner))
        (func (export "g") (canon lift (core func $i "g"))))
    """)
    export = linked.export("f", interface="test:guest/api@1.0.0")
    assert export.name == "test:guest/api@1.0.0#f"
    assert export.type == wit.Function((), wit.Integer(32, signed=False))
    assert linked.component.find_export("test:guest/api") == "test:guest/api@1.0.0"
    assert linked.component.find_export("test:guest/ap") is None
    for name, interface in [("f", None), ("h", "test:guest/api@1.0.0"), ("f", "test:guest/api")]:
        with pytest.raises(LookupError, match="exports no function"):
            linked.export(name, interface=interface)


def test_an_instance_is_kept_while_others_hold_resources_of_it(load: Load) -> None:
    linked = load("""
      (component
        (type $thing' (resource (rep i32)))
        (export $thing "thing" (type $thing'))
        (core func $new (canon resource.new $thing))
        (core module $m
          (import "" "new" (func $new (param i32) (result i32)))
          (func (export "make") (result i32) (call $new (i32.const 1))))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func (export "make") (result (own $thing)) (canon lift (core func $i "make"))))
    """)
    made = invocation(linked, function="make")
    assert made.start()
    thing = made.result
    assert isinstance(thing, GuestResource)
    assert thing.type is linked.component.exports["thing"]
    assert made.kept
    assert {made.store.context: made.store} == STORES
    assert thing.address
    made.store.close()
    assert not STORES
    assert not thing.address
    thing.drop()  # it is gone


def test_an_import_that_is_no_function_is_refused(load: Load) -> None:
    with pytest.raises(ComponentError, match="an import cannot be linked"):
        load('(component (import "m" (core module)))')
