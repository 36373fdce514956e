"""The corners of the types: bounds, signs, what Python calls equal and WIT does not."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest

from gateway.host import wit
from gateway.host.errors import ComponentError
from gateway.host.values import MAX_ELEMENTS, Err, Ok, Some, Variant
from tests.host.conftest import Load
from tests.host.guests import API, MEMORY, call_now, echo, host

U8 = wit.Integer(8, signed=False)
U32 = wit.Integer(32, signed=False)
S64 = wit.Integer(64, signed=True)
INTEGERS = [
    wit.Integer(bits, signed=signed) for bits in (8, 16, 32, 64) for signed in (False, True)
]
MANY_FLAGS = wit.Flags(tuple(f"f{number}" for number in range(32)))
RESULTS = wit.Result(wit.Result(U8, wit.String()), wit.Result(None, U8))


def echoed(load: Load, ty: wit.Type, *values: Any) -> list[Any]:
    linked = load(echo(ty), host(f=lambda _data, given: given))
    return [value for (value,) in call_now(linked, [(value,) for value in values])]


def passed_through(load: Load, ty: str, core: str, value: Any) -> Any:
    """A value that is an argument and a result itself, in the registers of core code."""
    text = f"""
      (component
        (import "{API}" (instance $api (export "f" (func (param "a" {ty}) (result {ty})))))
        (core func $f (canon lower (func $api "f")))
        (core module $m
          (import "" "f" (func $f (param {core}) (result {core})))
          (func (export "run") (param {core}) (result {core}) (call $f (local.get 0))))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "run") (param "a" {ty}) (result {ty}) (canon lift (core func $i "run"))))
    """
    return call_now(load(text, host(f=lambda _data, given: given)), value)


@pytest.mark.parametrize("ty", INTEGERS, ids=str)
def test_integers_reach_both_bounds(load: Load, ty: wit.Integer) -> None:
    values = [ty.minimum, ty.minimum + 1, 0, ty.maximum - 1, ty.maximum]
    assert echoed(load, wit.Tuple((ty,)), *[(value,) for value in values]) == [
        (value,) for value in values
    ]
    core = "i64" if ty.bits == 64 else "i32"
    assert [passed_through(load, str(ty), core, value) for value in values] == values


def test_booleans_are_booleans_again(load: Load) -> None:
    assert [passed_through(load, "bool", "i32", value) is value for value in (True, False)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("bits", "largest", "smallest"),
    [(64, 1.7976931348623157e308, 5e-324), (32, 2.0**128 - 2.0**104, 2.0**-149)],
)
def test_floats_reach_every_corner(load: Load, bits: int, largest: float, smallest: float) -> None:
    ty = wit.Float(bits)
    values = [0.0, -0.0, largest, -largest, smallest, -smallest, math.inf, -math.inf]
    in_memory = echoed(load, ty, *values, math.nan)
    in_registers = [passed_through(load, str(ty), str(ty), value) for value in (*values, math.nan)]
    for seen in (in_memory, in_registers):
        assert [value.hex() for value in seen[:-1]] == [value.hex() for value in values]
        assert math.isnan(seen[-1])


def test_an_integer_is_taken_for_a_float(load: Load) -> None:
    value = passed_through(load, "f64", "f64", 3)
    assert (type(value), value) == (float, 3.0)


def test_a_number_is_rounded_to_the_nearest_f32(load: Load) -> None:
    below_the_limit = math.nextafter(2.0**128 - 2.0**103, 0)
    assert echoed(load, wit.Float(32), 0.1, below_the_limit) == [
        0.10000000149011612,
        2.0**128 - 2.0**104,
    ]


def test_chars_reach_both_sides_of_the_surrogates(load: Load) -> None:
    chars = ["\0", "a", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"]
    assert echoed(load, wit.Char(), *chars) == chars
    assert [passed_through(load, "char", "i32", char) for char in chars] == chars


def test_strings_are_any_text(load: Load) -> None:
    texts = ["", "\0", "plain", "Grüße", "日本語", "🎉\U0010ffff", "e\u0301", "x" * 100_000]
    assert echoed(load, wit.String(), *texts) == texts


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_bytes_come_in_any_form_and_leave_as_bytes(load: Load, form: type) -> None:
    data = bytes(range(256))
    seen = echoed(load, wit.List(U8), form(b""), form(data))
    assert seen == [b"", data]
    assert [type(value) for value in seen] == [bytes, bytes]


def test_the_bytes_of_a_view_are_those_it_shows(load: Load) -> None:
    every_other = memoryview(bytes(range(10)))[::2]
    of_words = memoryview(array("H", [1, 2]))
    assert echoed(load, wit.List(U8), every_other, of_words) == [
        bytes(range(0, 10, 2)),
        of_words.tobytes(),
    ]


def test_a_megabyte_crosses(load: Load) -> None:
    data = bytes(range(256)) * 4096
    assert echoed(load, wit.List(U8), data) == [data]


def test_long_lists_cross(load: Load) -> None:
    numbers = list(range(MAX_ELEMENTS - 2))
    assert echoed(load, wit.List(U32), [], numbers) == [[], numbers]


def test_nested_options_keep_their_depth(load: Load) -> None:
    twice = wit.Option(wit.Option(U8))
    assert echoed(load, twice, None, Some(None), Some(0)) == [None, Some(None), Some(0)]
    thrice = [None, Some(None), Some(Some(None)), Some(Some(7))]
    assert echoed(load, wit.Option(twice), *thrice) == thrice


def test_an_option_may_be_wrapped_and_a_result_need_not_be(load: Load) -> None:
    assert echoed(load, wit.Option(U8), Some(1), 1) == [1, 1]
    assert echoed(load, wit.Result(U8, None), 1, Ok(1)) == [Ok(1), Ok(1)]
    assert echoed(load, wit.Result(None, U8), None, Ok(), Err(2)) == [Ok(), Ok(), Err(2)]


def test_results_nest(load: Load) -> None:
    values = [Ok(Ok(1)), Ok(Err("no")), Err(Ok(None)), Err(Err(2))]
    seen = echoed(load, RESULTS, *values)
    assert seen == values
    assert [(type(value), type(value.value)) for value in seen] == [
        (Ok, Ok),
        (Ok, Err),
        (Err, Ok),
        (Err, Err),
    ]


def test_a_case_without_payload_may_be_its_name(load: Load) -> None:
    ty = wit.Variant((("none", None), ("maybe", wit.Option(U8)), ("HTTP", wit.String())))
    assert echoed(
        load, ty, "none", Variant("maybe"), Variant("maybe", 3), Variant("HTTP", "x")
    ) == [
        Variant("none"),
        Variant("maybe"),
        Variant("maybe", 3),
        Variant("HTTP", "x"),
    ]


@pytest.mark.parametrize("form", [set, frozenset, list, tuple])
def test_flags_are_a_set_of_names(load: Load, form: type) -> None:
    names = list(MANY_FLAGS.names)
    seen = echoed(load, MANY_FLAGS, form(), form(names[:1]), form(names[-1:]), form(names))
    assert seen == [frozenset(), {names[0]}, {names[-1]}, frozenset(names)]


def test_more_than_32_flags_are_no_component(load: Load) -> None:
    ty = wit.Flags((*MANY_FLAGS.names, "one-more"))
    with pytest.raises(ComponentError, match="more than 32 flags"):
        load(echo(ty))


def test_a_function_may_have_neither_parameters_nor_result(load: Load) -> None:
    text = f"""
      (component
        (import "{API}" (instance $api (export "f" (func))))
        {MEMORY}
        (core func $f (canon lower (func $api "f")))
        (core module $m (import "" "f" (func $f)) (func (export "run") (call $f)))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
        (func (export "run") (canon lift (core func $i "run"))))
    """
    assert call_now(load(text, host(f=lambda _data: "not looked at"))) is None


def test_more_arguments_than_registers_cross_in_memory(load: Load) -> None:
    params = " ".join(f'(param "p{index}" string)' for index in range(20))
    text = f"""
      (component
        {MEMORY}
        (core module $m
          (func (export "run") (param i32) (result i32) (i32.add (local.get 0) (i32.const 152))))
        (core instance $i (instantiate $m))
        (func (export "run") {params} (result string)
          (canon lift (core func $i "run")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
    """
    assert call_now(load(text), *[f"number {index}" for index in range(20)]) == "number 19"
