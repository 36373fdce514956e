"""The Python client that is generated from a component calls that component, by way of a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from gateway.rpc.method import Methods
from tests.harness import PATIENCE, GuestPath
from tests.rpc.endpoint import Endpoint
from tests.rpc.python_client import component_of, load, source_of_component

TYPES: Final = "test:rpc/types@1.2.3"


@pytest.fixture(scope="module")
def built(guest: GuestPath) -> Path:
    return guest("c/rpc")


@pytest.fixture(scope="module")
def endpoint(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("gateway")
    with Endpoint(built, folder, limits='max_execution_time = "2s"') as running:
        yield running


@pytest.fixture(scope="module")
def calls(built: Path) -> Any:
    """The generated module."""
    return load(source_of_component(built))


@pytest.fixture(scope="module")
def client(calls: Any, endpoint: Endpoint) -> Iterator[Any]:
    """A client of the gateway, whose answers are waited for as long as in any test."""
    with calls.Client(endpoint.url + endpoint.path, timeout=PATIENCE) as connected:
        yield connected


def line(calls: Any) -> Any:
    start, end = calls.Point(0, 0), calls.Point(-(2**31), 2**31 - 1)
    return calls.Line(start=start, end=end, label=None, width=0.5)


VALUES: Final[dict[str, Callable[[Any], list[Any]]]] = {
    "bool": lambda _: [True, False],
    "u8": lambda _: [0, 2**8 - 1],
    "s8": lambda _: [-(2**7), 2**7 - 1],
    "u16": lambda _: [0, 2**16 - 1],
    "s16": lambda _: [-(2**15), 2**15 - 1],
    "u32": lambda _: [0, 2**31 - 1],
    "s32": lambda _: [-(2**31), 2**31 - 1],
    "u64": lambda _: [0, 2**53 - 1, 2**53, 2**64 - 1],
    "s64": lambda _: [0, 2**53 - 1, 2**53, 2**63 - 1],
    "f32": lambda _: [0.5, -0.0, math.inf, -math.inf, math.nan],
    "f64": lambda _: [0.1, -0.0, math.inf, -math.inf, math.nan],
    "char": lambda _: ["\0", "a", "\U0010ffff"],
    "string": lambda _: ["", "zwölf", '"\\\n\0'],
    "bytes": lambda _: [b"", bytes(range(256))],
    "color": lambda calls: list(calls.Color),
    "access": lambda calls: [
        calls.Access(0),
        calls.Access.WRITE,
        calls.Access.READ | calls.Access.EXECUTE,
    ],
    "month": lambda calls: [calls.Month(0), ~calls.Month(0)],
    "bits": lambda calls: [calls.Bits.B31, ~calls.Bits(0)],
    "list_bool": lambda _: [[], [True, False]],
    "list_s8": lambda _: [[], [-(2**7), 2**7 - 1]],
    "list_u16": lambda _: [[], [2**16 - 1]],
    "list_s32": lambda _: [[-(2**31)]],
    "list_u64": lambda _: [[1, 2**64 - 1]],
    "list_s64": lambda _: [[-(2**63), 2**63 - 1]],
    "list_f32": lambda _: [[0.5, -0.0, math.nan]],
    "list_f64": lambda _: [[0.1, math.inf]],
    "list_char": lambda _: [["a", "ÿ"]],
    "list_string": lambda _: [[], ["", "a"]],
    "list_bytes": lambda _: [[], [b"", b"\0\xff"]],
    "list_color": lambda calls: [[], [calls.Color.DARK_RED, calls.Color.RED]],
    "list_access": lambda calls: [[calls.Access(0), calls.Access.READ]],
    "list_point": lambda calls: [[], [calls.Point(1, -2)] * 100],
    "list_shape": lambda calls: [[calls.ShapeEmpty(), calls.ShapeLabel("a")]],
    "list_tuple": lambda _: [[("", 0), ("a", 2**64 - 1)]],
    "list_option": lambda _: [[], [None, 0, None]],
    "outline": lambda calls: [[], [None, line(calls)]],
    "list_result": lambda calls: [[calls.Ok(None), calls.Err(None)]],
    "list_result_ok": lambda calls: [[calls.Ok(1), calls.Err(None)]],
    "list_result_err": lambda calls: [[calls.Ok(None), calls.Err("no")]],
    "list_result_both": lambda calls: [[calls.Ok(2**64 - 1), calls.Err("")]],
    "deep": lambda calls: [
        [],
        [
            None,
            calls.Err([None, calls.Access.READ]),
            calls.Ok((calls.ShapePath([calls.Point(1, 2)]), [None, line(calls)])),
        ],
    ],
    "point": lambda calls: [calls.Point(x=1, y=-2)],
    "line": lambda calls: [line(calls)],
    "keywords": lambda calls: [
        calls.Keywords(type="t", class_=255, from_=True, list_="\U00010000")
    ],
    "file": lambda calls: [calls.File(name="ÿ", content=b"\0\xff", chunks=[b"", b"a"])],
    "tuple": lambda _: [(255, "a", math.inf)],
    "tuple_one": lambda _: [(1,)],
    "shape": lambda calls: [
        calls.ShapeEmpty(),
        calls.ShapeCircle(math.pi),
        calls.ShapeLabel(""),
        calls.ShapePath([calls.Point(1, 2), calls.Point(3, 4)]),
    ],
    "option": lambda _: [None, 0],
    "option_string": lambda _: [None, ""],
    "option_option": lambda calls: [None, calls.Some(None), calls.Some(1)],
    "option_result": lambda calls: [None, calls.Ok(None), calls.Err(1)],
    "results": lambda calls: [
        (calls.Ok(None), calls.Err(None), calls.Err("no"), calls.Ok(2**64 - 1)),
    ],
}
"""Values for each of the functions `echo_...`."""


@pytest.mark.parametrize("function", VALUES)
def test_a_value_comes_back_as_it_went(client: Any, calls: Any, function: str) -> None:
    echo = getattr(client.types, f"echo_{function}")
    for value in VALUES[function](calls):
        # What is not equal to itself or to what it is not, NaN and -0.0, is told by how it is written.
        assert repr(echo(value)) == repr(value)


def test_every_function_has_values_here(client: Any) -> None:
    echoes = {name for name in dir(client.types) if name.startswith("echo_")}
    assert echoes - {f"echo_{name}" for name in VALUES} == {"echo_many"}


def test_parameters_that_are_more_than_there_are_registers(client: Any, calls: Any) -> None:
    many = calls.Many(
        True, 255, -128, 65535, -32768, 2**31, -1, 2**63, 0, 0.5, 0.1, "a", "b", b"c", None,
        calls.Color.BLUE, calls.Access.READ, calls.ShapeEmpty(),
    )  # fmt: skip
    fields = {name: getattr(many, name) for name in "abcdefghijklmnopqr"}
    assert client.types.gather(**fields) == client.types.echo_many(many) == many


def test_parameters_whose_names_are_words_of_python(client: Any) -> None:
    assert client.types.concat(type="a", class_="b", from_="c", list="d") == "abcd"


def test_functions_of_the_root_and_of_interfaces(client: Any, calls: Any) -> None:
    assert client.add(40, b=2) == 42
    assert client.swallow("anything") is None
    assert isinstance(client.rpc_twins.name(), str)
    assert client.rpc_twins.name() != client.other_twins.name()


def test_all_that_is_served_can_be_called(client: Any, built: Path) -> None:
    owners = [client, *(value for name, value in vars(client).items() if name != "_connection")]
    functions = [
        name
        for owner in owners
        for name in vars(type(owner))
        if not name.startswith("__") and name != "close"
    ]
    assert len(functions) == len(Methods(component_of(built).exports).served)


def test_the_err_of_a_function_is_raised(client: Any, calls: Any) -> None:
    assert client.divide(84, 2) == 42
    with pytest.raises(calls.DivideError) as caught:
        client.divide(1, 0)
    assert isinstance(caught.value.value, str)
    assert isinstance(caught.value, calls.CallError)

    assert client.outcomes.settle(calls.Ok("fine")) == "fine"
    failures = [
        calls.FailureNotFound(),
        calls.FailureInvalid("bad"),
        calls.FailureMisplaced(calls.Point(1, 2)),
    ]
    for failure in failures:
        with pytest.raises(calls.SettleError) as caught:
            client.outcomes.settle(calls.Err(failure))
        assert caught.value.value == failure


def test_results_without_values(client: Any, calls: Any) -> None:
    assert client.outcomes.settle_none(calls.Ok(None)) is None
    with pytest.raises(calls.SettleNoneError) as caught:
        client.outcomes.settle_none(calls.Err(None))
    assert caught.value.value is None
    assert client.outcomes.settle_option(calls.Ok(None)) is None
    with pytest.raises(calls.SettleOptionError) as caught:
        client.outcomes.settle_option(calls.Err(7))
    assert caught.value.value == 7


def test_a_value_that_the_gateway_refuses(client: Any, calls: Any) -> None:
    with pytest.raises(calls.InvalidParams) as caught:
        client.types.echo_list_point([calls.Point(1, 2), calls.Point(3, 2**31)])
    assert caught.value.code == -32602
    assert caught.value.pointer == "/params/value/1/y"
    assert caught.value.expected in str(caught.value)
    assert caught.value.request_id in str(caught.value)


def test_a_trap(client: Any, calls: Any) -> None:
    with pytest.raises(calls.Trap) as caught:
        client.outcomes.trap()
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    with pytest.raises(calls.Trap):
        client.outcomes.exit(calls.Err(None))


def test_a_deadline(client: Any, calls: Any) -> None:
    with pytest.raises(calls.DeadlineExceeded):
        client.outcomes.spin()


def test_a_component_that_is_not_there(calls: Any, endpoint: Endpoint) -> None:
    url = f"{endpoint.url}/rpc/another"
    with calls.Client(url) as client, pytest.raises(calls.HttpError) as caught:
        client.add(1, 2)
    assert caught.value.status == 404
    assert caught.value.type.startswith("urn:component-gateway:problem:")
    assert caught.value.detail in str(caught.value)
    assert caught.value.request_id


def test_a_gateway_that_is_not_there(calls: Any) -> None:
    with calls.Client("http://127.0.0.1:1/rpc/guest") as client, pytest.raises(httpx.ConnectError):
        client.add(1, 2)


def test_a_method_that_the_component_does_not_have(
    guest: GuestPath, calls: Any, tmp_path: Path
) -> None:
    with (
        Endpoint(guest("wat/exports"), tmp_path) as other,
        calls.Client(other.url + other.path) as client,
        pytest.raises(calls.MethodNotFound),
    ):
        client.types.echo_u8(1)


@pytest.mark.anyio
async def test_the_asynchronous_client(built: Path, endpoint: Endpoint) -> None:
    calls = load(source_of_component(built, asynchronous=True))
    async with (
        calls.AsyncClient(endpoint.url + endpoint.path, timeout=PATIENCE) as client,
        asyncio.timeout(PATIENCE),
    ):
        assert await asyncio.gather(*(client.add(i, i) for i in range(10))) == list(range(0, 20, 2))
        with pytest.raises(calls.DivideError):
            await client.divide(1, 0)


def test_a_gateway_that_has_too_much_to_do(calls: Any, built: Path, tmp_path: Path) -> None:
    limits = 'max_concurrency = 1\nmax_execution_time = "2s"'
    with (
        Endpoint(built, tmp_path, limits=limits) as endpoint,
        calls.Client(endpoint.url + endpoint.path, timeout=PATIENCE) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        spinning = threads.submit(spin, calls, client)
        with pytest.raises(calls.Busy) as caught:
            add_until(spinning, client)
        response = caught.value.response
        assert response.status_code == 503
        assert caught.value.retry_after == int(response.headers["retry-after"]) > 0
        with pytest.raises(calls.DeadlineExceeded):
            spinning.result()


def add_until(end: Future[None], client: Any) -> None:
    while not end.done():
        client.add(1, 2)


def spin(calls: Any, client: Any) -> None:
    """Makes a call that takes all of its time, as soon as there is room for one."""
    while True:
        with contextlib.suppress(calls.Busy):
            client.outcomes.spin()
