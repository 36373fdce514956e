"""Several worlds in one module: those of the libraries that are linked into it."""

from typing import Final

import pytest
from wasmtime import component as wasm

from gateway.wasm.binary.externs import component_externs
from gateway.wasm.componentize import NotComponentizable, componentize
from tests.wasm.componentize.modules import (
    ENGINE,
    MEMORY,
    Running,
    compiled,
    module,
    type_of,
    world_section,
)

A: Final = "test:host/a@0.2.0"
RUN: Final = '(export "run" (func (result u32)))'
CALLS: Final = """
  (import "test:host/a@0.2.0" "one" (func $one (result i32)))
  (import "test:host/a@0.2.9" "two" (func $two (result i32)))
  (func (export "run") (result i32) (i32.add (call $one) (call $two)))
"""


def a(version: str, function: str) -> str:
    return f'(import "test:host/a@{version}" (instance (export "{function}" (func (result u32)))))'


@pytest.mark.parametrize(
    "worlds",
    [
        pytest.param([f"{a('0.2.0', 'one')} {RUN}", a("0.2.9", "two")], id="older first"),
        pytest.param([a("0.2.9", "two"), f"{a('0.2.0', 'one')} {RUN}"], id="newer first"),
        pytest.param([f"{a('0.2.0', 'one')} {a('0.2.9', 'two')} {RUN}"], id="in one world"),
    ],
)
def test_compatible_versions_of_an_interface_are_one_import(worlds: list[str]) -> None:
    component = compiled(module(CALLS, *worlds))
    assert list(type_of(component).imports) == ["test:host/a@0.2.9"]
    imports = {"test:host/a@0.2.9": {"one": lambda: 1, "two": lambda: 20}}
    assert Running(component, imports).call("run") == 21


def labelled(label: str, interface: str, function: str) -> str:
    return f'''(import "{label}" (implements "{interface}")
      (instance (export "{function}" (func (result u32)))))'''


def test_an_interface_is_imported_several_times_by_labels() -> None:
    core = CALLS.replace("test:host/a@0.2.0", "first").replace("test:host/a@0.2.9", "second")
    first, second = labelled("first", A, "one"), labelled("second", A, "two")
    exported = f'(export "there" (implements "{A}") (instance (export "one" (func (result u32)))))'
    core += '(func (export "there#one") (result i32) (i32.const 5))'
    component = componentize(module(core, f"{first} {RUN}", f"{second} {exported}"))
    externs = component_externs(component)
    assert [name.implements for name in externs.imports] == [A, A]
    assert {name.name: name.implements for name in externs.exports} == {"run": "", "there": A}
    imports = {"first": {"one": lambda: 1}, "second": {"two": lambda: 20}}
    assert Running(wasm.Component(ENGINE, component), imports).call("run") == 21


def test_libraries_that_disagree_on_what_a_label_is() -> None:
    worlds = [labelled("first", A, "one") + RUN, labelled("first", "test:host/b", "one")]
    core = CALLS.replace("test:host/a@0.2.0", "first")
    with pytest.raises(NotComponentizable, match="disagree on which interface first is"):
        componentize(module(core, *worlds))


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.2.0", "0.3.0"), ("1.0.0", "2.0.0"), ("0.0.1", "0.0.2"), ("0.2.0-rc1", "0.2.0")],
)
def test_other_versions_are_imports_of_their_own(one: str, other: str) -> None:
    core = CALLS.replace("0.2.0", one).replace("0.2.9", other)
    component = compiled(module(core, f"{a(one, 'one')} {RUN}", a(other, "two")))
    assert set(type_of(component).imports) == {f"test:host/a@{one}", f"test:host/a@{other}"}


def test_numbers_of_versions_are_compared_as_numbers() -> None:
    worlds = [f"{a('0.2.10', 'one')} {RUN}", a("0.2.9", "two")]
    component = compiled(module(CALLS, *worlds))
    assert list(type_of(component).imports) == ["test:host/a@0.2.10"]


def test_the_handles_of_two_versions_are_of_one_type() -> None:
    # What one library has made by its version of the interface, another gives to its own.
    def things(version: str, function: str) -> str:
        return f"""
          (import "test:host/things@{version}" (instance $things
            (export "thing" (type $thing (sub resource)))
            (export "{function}")))
        """.replace(f'(export "{function}")', function)

    make = '(export "make" (func (result (own $thing))))'
    take = """
      (alias export $things "thing" (type $thing))
      (import "test:host/users@0.2.5" (instance
        (alias outer 1 $thing (type $thing'))
        (export "thing" (type $thing'' (eq $thing')))
        (export "take" (func (param "t" (own $thing'')) (result u32)))))
    """
    component = compiled(
        module(
            """
            (import "test:host/things@0.2.0" "make" (func $make (result i32)))
            (import "test:host/users@0.2.5" "take" (func $take (param i32) (result i32)))
            (func (export "run") (result i32) (call $take (call $make)))
            """,
            things("0.2.0", make) + RUN,
            things("0.2.5", "") + take,
        )
    )
    assert list(type_of(component).imports) == ["test:host/things@0.2.5", "test:host/users@0.2.5"]


def test_worlds_that_disagree_are_refused() -> None:
    other = a("0.2.0", "one").replace("(result u32)", "(result u64)")
    with pytest.raises(NotComponentizable, match=r"disagree on what one of test:host/a@0\.2\.0 is"):
        componentize(module("", a("0.2.0", "one"), other))


def test_types_that_say_the_same_in_other_ways_agree() -> None:
    # The numbers of the types differ, and so does what has a name.
    one = """(import "test:host/a" (instance
      (type $pair' (record (field "x" (list u8)) (field "y" (option string))))
      (export "pair" (type $pair (eq $pair')))
      (export "f" (func (param "p" $pair)))))"""
    other = """(import "test:host/a" (instance
      (type $bytes' (list u8))
      (export "bytes" (type $bytes (eq $bytes')))
      (type $pair' (record (field "x" $bytes) (field "y" (option string))))
      (export "pair" (type $pair (eq $pair')))
      (export "f" (func (param "p" $pair)))))"""
    core = f"""
      (import "test:host/a" "f" (func $f (param i32 i32 i32 i32 i32)))
      {MEMORY}
      (func (export "run") (call $f {"(i32.const 0)" * 5}))
    """
    component = compiled(module(core, one, other + '(export "run" (func))'))
    assert list(type_of(component).imports) == ["test:host/a"]


def test_libraries_with_different_encodings_of_strings() -> None:
    log = '(import "log" (func (param "text" string)))'
    with pytest.raises(NotComponentizable, match="different encodings"):
        componentize(module("", log, world_section(log, encoding=1)))


def test_interfaces_that_only_together_go_in_a_circle() -> None:
    # Each of the two versions is fine; a type of what is joined of them would be made of itself.
    one = """
      (import "test:host/a@0.2.0" (instance $a (type $t (list u8)) (export "t" (type (eq $t)))))
      (alias export $a "t" (type $t))
      (import "test:host/b@0.2.1" (instance
        (alias outer 1 $t (type $t')) (export "t" (type (eq $t')))))
    """
    other = one.replace("a@0.2.0", "c@").replace("b@0.2.1", "a@0.2.1").replace("c@", "b@0.2.0")
    with pytest.raises(NotComponentizable, match="in a circle"):
        componentize(module("", one, other))


def test_an_interface_that_only_together_is_made_of_itself() -> None:
    world = """
      (import "test:host/a@0.2.0" (instance $a (type $t (list u8)) (export "t" (type (eq $t)))))
      (alias export $a "t" (type $t))
      (import "test:host/a@0.2.1" (instance
        (alias outer 1 $t (type $t')) (export "t" (type (eq $t')))))
    """
    with pytest.raises(NotComponentizable, match="in a circle"):
        componentize(module("", world))


def test_an_export_uses_what_another_library_exports() -> None:
    # The resource is the one that the module itself has, although the section says the host's.
    uses = """
      (import "test:guest/things" (instance $things (export "thing" (type (sub resource)))))
      (alias export $things "thing" (type $thing))
      (export "test:guest/users" (instance
        (alias outer 1 $thing (type $thing'))
        (export "thing" (type $thing'' (eq $thing')))
        (export "take" (func (param "t" (own $thing'')) (result u32)))))
    """
    things = """
      (export "test:guest/things" (instance
        (export "thing" (type $thing (sub resource)))
        (export "make" (func (result (own $thing))))))
    """
    core = """
      (import "[export]test:guest/things" "[resource-new]thing" (func $new (param i32) (result i32)))
      (import "[export]test:guest/things" "[resource-rep]thing" (func $rep (param i32) (result i32)))
      (func (export "test:guest/things#make") (result i32) (call $new (i32.const 77)))
      (func (export "test:guest/users#take") (param i32) (result i32) (call $rep (local.get 0)))
    """
    component = compiled(module(core, uses, things))
    assert dict(type_of(component).imports) == {}
    guest = Running(component)
    assert guest.call("test:guest/users#take", guest.call("test:guest/things#make")) == 77
