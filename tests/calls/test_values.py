"""Values of Python in calls from Python: the types that a generated client has, and what is refused."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from types import ModuleType
from typing import Any, get_args

import pytest

import gateway
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.rpc.client import generate
from gateway.rpc.method import Methods
from tests.harness import GuestPath


@pytest.fixture(scope="module")
def rpc(guest: GuestPath) -> Iterator[gateway.BlockingComponent]:
    with gateway.open(guest("c/rpc")) as component:
        yield component


def echoed(T: Any) -> dict[str, list[Any]]:  # noqa: N803 - a namespace of types
    point = T.Point(-1, 2**31 - 1)
    line = T.Line(point, T.Point(0, 0), "label", 0.5)
    shapes = [T.ShapeEmpty(), T.ShapeCircle(0.5), T.ShapeLabel("é"), T.ShapePath([point, point])]
    results = (T.Ok(None), T.Ok(3), T.Err("why"), T.Ok(2**64 - 1))
    return {
        "bool": [True, False],
        "u64": [0, 2**64 - 1],
        "s64": [-(2**63)],
        "f64": [0.5, math.inf],
        "char": ["é"],
        "string": ["", "a\0é"],
        "bytes": [bytes(range(256)), b""],
        "list-bytes": [[b"", b"a"]],
        "list-tuple": [[("a", 1), ("b", 2)]],
        "outline": [[None, line]],
        "point": [point],
        "line": [line, T.Line(point, point, None, 1.0)],
        "keywords": [T.Keywords("t", 1, True, "c")],
        "shape": shapes,
        "color": [T.Color.RED, T.Color.DARK_RED],
        "access": [T.Access(0), T.Access.READ | T.Access.EXECUTE],
        "option": [None, 0],
        "option-option": [None, T.Some(None), T.Some(1)],
        "results": [results],
        "list-result-both": [[T.Ok(1), T.Err("")]],
        "deep": [[None, T.Ok((shapes[3], [line, None])), T.Err([T.Access.WRITE])]],
    }


def test_values_come_back_as_they_were(rpc: gateway.BlockingComponent) -> None:
    for name, values in echoed(rpc.types).items():
        for value in values:
            answer = rpc.call(f"types.echo-{name}", value)
            assert (answer, type(answer)) == (value, type(value))


def test_arguments_go_by_name_and_by_place(rpc: gateway.BlockingComponent) -> None:
    assert rpc.call("add", 2, 3) == rpc.call("add", 2, b=3) == rpc.call("add", b=3, a=2) == 5
    assert rpc.call("types.concat", type="1", class_="2", from_="3", list="4") == "1234"
    assert rpc.call("test:rpc/types@1.2.3#echo-u8", 7) == 7
    assert rpc.call("swallow", "gone") is None


def test_large_values_cross(rpc: gateway.BlockingComponent) -> None:
    many = [rpc.types.Point(number, -number) for number in range(20_000)]
    assert rpc.call("types.echo-list-point", many) == many


def test_the_types_are_those_of_a_generated_client(
    rpc: gateway.BlockingComponent, guest: GuestPath
) -> None:
    component = Component.alone(Source(guest("c/rpc")), name="rpc")
    exports = wit.settled(component.exports)
    source = generate(
        Methods(exports),
        exports,
        component.docs,
        name="rpc",
        digest=component.digest,
        imports=component.imports,
        asynchronous=True,
    )
    module = sys.modules["generated_rpc"] = ModuleType("generated_rpc")
    exec(source, vars(module))  # noqa: S102 - what the gateway has written
    for name, made in vars(rpc.types).items():
        written: Any = getattr(module, name)
        if is_dataclass(made):
            assert [each.name for each in fields(made)] == [each.name for each in fields(written)]
            assert getattr(made, "__name__", "") == written.__name__
        elif isinstance(made, type) and issubclass(made, Enum):
            assert {each.name: each.value for each in made} == {
                each.name: each.value for each in written
            }
        elif isinstance(made, type):
            assert issubclass(made, gateway.CallError)
            assert issubclass(written, module.CallError)
        else:
            assert [case.__name__ for case in get_args(made)] == [
                case.__name__ for case in get_args(written)
            ]
    assert rpc.types.Point.__doc__ == module.Point.__doc__


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "said"),
    [
        ("add", (1,), {}, "missing a required argument: 'b'; it is func(a: u32, b: u32) -> u32"),
        ("add", (1, 2, 3), {}, "too many positional arguments"),
        ("add", (1, 2), {"c": 3}, "got an unexpected keyword argument 'c'"),
        ("add", (1, "2"), {}, "expected u32, an integer from 0 to 4294967295, got str at b"),
        ("add", (1, -2), {}, "got int -2 at b"),
        ("types.echo-point", ({"x": 1, "y": 2},), {}, "expected Point, got dict at value"),
        ("types.echo-list-bytes", ([b"", "a"],), {}, "got str at value[1]"),
    ],
)
def test_arguments_of_others_types_are_refused(
    rpc: gateway.BlockingComponent, method: str, args: Any, kwargs: Any, said: str
) -> None:
    with pytest.raises(gateway.InvalidArguments) as refused:
        rpc.call(method, *args, **kwargs)
    assert said in str(refused.value)
    assert refused.value.request_id is None


def test_the_place_of_what_is_wrong_is_told(rpc: gateway.BlockingComponent) -> None:
    wrong = rpc.types.Line(rpc.types.Point(1, "2"), rpc.types.Point(1, 2), None, 0.0)
    with pytest.raises(gateway.InvalidArguments, match=r"got str at value\.start\.y;"):
        rpc.call("types.echo-line", wrong)


@pytest.mark.parametrize(
    ("method", "meant"),
    [
        ("ad", 'did you mean "add"?'),
        ("settle", 'did you mean "outcomes.settle"?'),
        ("x", "it has add, count, swallow, divide, types.echo-bool,"),
    ],
)
def test_a_method_that_is_not_there(
    rpc: gateway.BlockingComponent, method: str, meant: str
) -> None:
    with pytest.raises(gateway.NotFound) as missing:
        rpc.call(method)
    assert f"component {rpc.name} has no method {method}: {meant}" in str(missing.value)


def test_an_err_is_raised(rpc: gateway.BlockingComponent) -> None:
    T = rpc.types  # noqa: N806
    with pytest.raises(T.DivideError) as divided:
        rpc.call("divide", 1, 0)
    assert isinstance(divided.value, gateway.CallError)
    assert (divided.value.value, str(divided.value)) == ("division by zero", "'division by zero'")
    failure = T.FailureMisplaced(T.Point(1, 2))
    with pytest.raises(T.SettleError) as settled:
        rpc.call("outcomes.settle", T.Err(failure))
    assert settled.value.value == failure
    assert rpc.call("outcomes.settle", T.Ok("fine")) == "fine"
    with pytest.raises(T.SettleNoneError) as none:
        rpc.call("outcomes.settle-none", T.Err(None))
    assert none.value.value is None


def test_a_trap_has_its_kind(rpc: gateway.BlockingComponent) -> None:
    with pytest.raises(gateway.Trapped) as trapped:
        rpc.call("outcomes.trap")
    assert trapped.value.kind is gateway.TrapKind.UNREACHABLE
    assert "trap" in trapped.value.backtrace[0]
    assert trapped.value.request_id is not None


def test_a_guest_that_exits_owing_a_value_has_failed(rpc: gateway.BlockingComponent) -> None:
    with pytest.raises(gateway.Exited) as exited:
        rpc.call("outcomes.exit", rpc.types.Err(None))
    assert exited.value.status == 1


def test_one_that_never_comes_back_is_late(guest: GuestPath) -> None:
    with (
        gateway.open(guest("c/rpc"), max_execution_time="50ms") as hasty,
        pytest.raises(gateway.Late, match=r"outcomes\.spin: still running after 0\.05 s"),
    ):
        hasty.call("outcomes.spin")


def test_an_event_loop_of_the_caller_is_no_matter(rpc: gateway.BlockingComponent) -> None:
    async def call() -> int:
        return await asyncio.to_thread(rpc.call, "add", 1, 2)

    assert asyncio.run(call()) == 3
