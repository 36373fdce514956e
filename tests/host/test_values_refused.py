"""Python values that are none of their WIT type: refused, nothing written, nothing leaked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.host import wit
from gateway.host.engine import Engine
from gateway.host.store import Store
from gateway.host.values import VALUE_SIZE, Err, Ok, Some, ValueMismatch, Variant, lift, lower
from gateway.wasm.instance_limits import InstanceLimits
from tests.host.conftest import Load
from tests.host.guests import call_now, echo, host
from tests.host.scratch import Scratch, heap_growth

U8 = wit.Integer(8, signed=False)
INTEGERS = [
    wit.Integer(bits, signed=signed) for bits in (8, 16, 32, 64) for signed in (False, True)
]
PAIR = wit.Record((("name", wit.String()), ("size", U8)))
SHAPE = wit.Variant((("point", None), ("circle", U8)))
COLOUR = wit.Enum(("red", "green"))
ACCESS = wit.Flags(("read", "write"))
OWN = wit.Own(wit.Resource("thing", imported=True))


@pytest.fixture
def scratch(engine: Engine) -> Iterator[Scratch]:
    scratch = Scratch(Store(engine, InstanceLimits(0, 0), 0, None))
    yield scratch
    scratch.free()


REFUSED: list[tuple[wit.Type, tuple[Any, ...]]] = [
    *((ty, (ty.minimum - 1, ty.maximum + 1, 10**5000)) for ty in INTEGERS),
    *((ty, (True, 1.0, "1", None)) for ty in INTEGERS),
    (wit.Bool(), (0, 1, None, "true", 1.0)),
    (wit.Float(32), (True, "1", None, 1j, 10**5000, 2.0**128 - 2.0**103, -1e39, 10**39)),
    (wit.Float(64), (True, "1", None, 1j, 10**5000, 10**309)),
    (wit.Char(), ("", "ab", "\ud800", "\udfff", 97, None, b"a")),
    (wit.String(), (b"a", 1, None, ["a"], "\ud800", "a\udfffb")),
    (wit.List(U8), ("a", [1, 2], 1, None)),
    (wit.List(wit.Bool()), ("a", {True}, None, b"a", iter([True]))),
    (wit.Tuple((U8, U8)), ((1,), (1, 2, 3), None, {1, 2}, "ab")),
    (PAIR, (None, {}, {"name": "a"}, [("name", "a"), ("size", 1)])),
    (PAIR, ({"name": "a", "size": 1, "colour": "red"},)),
    (SHAPE, (None, "square", 1, [], Variant("square"), ("circle", 1))),
    (COLOUR, ("blue", "", None, 0, [], Variant("red"))),
    (ACCESS, ("read", None, 1, {"execute"}, ["read", "own"], [[]])),
    (OWN, (None, 1, object())),
]
AT_ONCE = [(ty, value) for ty, refused in REFUSED for value in refused]
"""What is refused before anything is written."""


@pytest.mark.parametrize(
    ("ty", "value"), AT_ONCE, ids=[f"{ty} {type(value).__name__}" for ty, value in AT_ONCE]
)
def test_a_value_that_is_not_of_the_type_is_refused(
    scratch: Scratch, ty: wit.Type, value: Any
) -> None:
    with pytest.raises(ValueMismatch, match=f"^expected .*, got {type(value).__name__} "):
        scratch.lower(ty, value)
    assert scratch.bytes() == bytes(VALUE_SIZE)


HALF_WAY: list[tuple[wit.Type, Any, str]] = [
    (wit.List(wit.String()), ["a" * 100, "b" * 100, 3], "expected string, got int 3"),
    (wit.Tuple((wit.String(), PAIR)), ("a" * 100, {"name": "b" * 100, "size": 256}), "u8"),
    (PAIR, {"name": "a" * 100, "length": 1}, "expected record"),
    (wit.Option(PAIR), {"name": "a" * 100, "size": -1}, "u8"),
    (wit.Option(wit.Option(PAIR)), Some(Some({"name": "a" * 100, "size": -1})), "u8"),
    (wit.Option(wit.Option(U8)), 1, "None or Some(...)"),
    (wit.Result(wit.List(COLOUR), PAIR), Ok(["red"] * 20 + ["blue"]), "enum"),
    (wit.Result(wit.List(COLOUR), PAIR), Err({"name": "a" * 100, "size": None}), "u8"),
    (wit.Result(None, U8), 1, "result"),
    (SHAPE, Variant("circle", 1000), "u8"),
    (SHAPE, Variant("point", 1), "case point without payload"),
    (wit.List(ACCESS), [["read", "write"], ["read"], ["all"]], "flags"),
    (wit.List(wit.List(U8)), [b"x" * 100, b"y" * 100, None], "list<u8>"),
    (wit.List(wit.Tuple((wit.String(), OWN))), [("a" * 100, None)], "resource thing"),
]


@pytest.mark.parametrize(("ty", "value", "message"), HALF_WAY)
def test_what_was_written_of_a_refused_value_is_freed(
    scratch: Scratch, ty: wit.Type, value: Any, message: str
) -> None:
    def attempt() -> None:
        with pytest.raises(ValueMismatch, match=re.escape(message)):
            scratch.lower(ty, value)
        scratch.free()

    assert heap_growth(attempt, times=3000) < 3000 * 16


def test_the_heap_is_really_measured(scratch: Scratch) -> None:
    def leak() -> None:
        scratch.lower(wit.String(), "a" * 100)  # overwrites the pointer to the last one

    assert heap_growth(leak, times=3000) > 3000 * 100


def test_a_refused_result_of_a_host_function_ends_the_guest(load: Load) -> None:
    linked = load(echo(U8), host(f=lambda _data, _given: [(1,), (256,)]))
    with pytest.raises(ValueMismatch, match="expected u8, an integer from 0 to 255, got int 256"):
        call_now(linked, [(1,)])


def test_a_refused_argument_never_reaches_the_guest(load: Load) -> None:
    calls = []
    linked = load(echo(U8), host(f=lambda _data, given: calls.append(given)))
    with pytest.raises(ValueMismatch, match="got int -1"):
        call_now(linked, [(1,), (-1,)])
    assert not calls


def test_calls_with_values_that_pass_leak_nothing(load: Load) -> None:
    linked = load(echo(wit.String()), host(f=lambda _data, given: given))
    growth = heap_growth(lambda: call_now(linked, [("a" * 1000,)]), times=500)
    assert growth < 500 * 256


def test_calls_with_refused_values_leak_nothing(load: Load) -> None:
    linked = load(echo(wit.String()), host(f=lambda _data, given: [*given, (None,)]))

    def attempt() -> None:
        for argument in ([("a" * 1000,)], [("a" * 1000,), (1,)]):
            with pytest.raises(ValueMismatch):
                call_now(linked, argument)

    assert heap_growth(attempt, times=500) < 500 * 256


def test_a_list_that_grows_while_it_is_lowered_stays_in_bounds(scratch: Scratch) -> None:
    class Endless(list[int]):
        def __iter__(self) -> Iterator[int]:
            yield from range(100_000)

    scratch.lower(wit.List(U8), b"")
    scratch.free()
    ty = wit.List(wit.Integer(32, signed=False))
    scratch.lower(ty, Endless([0, 0]))
    assert lift(ty)(Store.__new__(Store), scratch.address) == [0, 1]


def test_a_message_shows_only_the_beginning_of_a_long_value(scratch: Scratch) -> None:
    with pytest.raises(ValueMismatch) as caught:
        scratch.lower(wit.String(), ["x" * 1_000_000])
    assert len(str(caught.value)) < 150


def test_a_value_that_cannot_be_shown_is_refused_all_the_same(scratch: Scratch) -> None:
    class Secret:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(ValueMismatch, match="expected string, got Secret"):
        scratch.lower(wit.String(), Secret())


@pytest.mark.parametrize("build", [lift, lower])
def test_types_that_cannot_cross_are_refused_when_linking(build: Any) -> None:
    with pytest.raises(TypeError, match="boundary of the host"):
        build(wit.List(wit.Unsupported("stream")))
