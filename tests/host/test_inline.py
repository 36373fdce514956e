"""Functions that are written for the types of their values."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import pytest

from gateway.host import wit
from gateway.host.values import ValueMismatch, lift, lower


def _code(function: Any) -> object:
    assert isinstance(function, FunctionType)
    return function.__code__


def _resource(name: str) -> wit.Resource:
    return wit.Resource(name, imported=True)


def test_functions_of_one_shape_are_compiled_once_for_all_components() -> None:
    one, other = _resource("one"), _resource("other")
    assert _code(lift(wit.Own(one))) is _code(lift(wit.Own(other)))
    assert _code(lift(wit.Own(one))) is not _code(lift(wit.Borrow(one)))
    error = wit.Enum(("failed",))
    results = [wit.Result(wit.Own(one), error), wit.Result(wit.Own(other), wit.String())]
    assert _code(lower(results[0])) is _code(lower(results[1]))


def test_what_a_component_calls_its_types_is_no_part_of_the_source() -> None:
    name = "quote'\"\\{0}\n    raise SystemExit"
    with pytest.raises(ValueMismatch) as refused:
        lower(wit.Own(_resource(name)))(None, 0, "no resource")  # type: ignore[arg-type]
    assert name in str(refused.value)
