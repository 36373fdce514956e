"""A published client of JSON-RPC 2.0, https://pypi.org/project/pjrpc, drives a component."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from pjrpc.client import exceptions
from pjrpc.client.backend import httpx as backend
from pjrpc.common import BatchRequest, Request, generators

from tests.harness import PATIENCE, GuestPath
from tests.rpc.endpoint import Endpoint


class Trapped(exceptions.ServerError):
    """What the client makes of -32000."""

    CODE = -32000
    MESSAGE = "not used"


class TookTooLong(exceptions.ServerError):
    """What the client makes of -32001."""

    CODE = -32001
    MESSAGE = "not used"


@pytest.fixture(scope="module")
def endpoint(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("rpc")
    with Endpoint(guest("c/rpc"), folder, limits='max_execution_time = "2s"') as running:
        yield running


@pytest.fixture(scope="module")
def url(endpoint: Endpoint) -> str:
    return endpoint.url + endpoint.path


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[backend.Client]:
    with backend.Client(url) as connected:
        yield connected


def test_parameters_by_position_and_by_name(client: backend.Client) -> None:
    assert client.proxy.add(40, 2) == 42
    assert client.proxy.add(a=40, b=2) == 42
    assert client("divide", 84, 2) == 42
    assert client.call("divide", divisor=2, dividend=84) == 42


def test_methods_of_interfaces_by_short_and_by_full_name(client: backend.Client) -> None:
    assert client.call("types.echo-string", "Grüße") == "Grüße"
    assert client.call("test:rpc/types@1.2.3#echo-string", value="Grüße") == "Grüße"


def test_values_with_structure(client: backend.Client) -> None:
    line: Any = {"start": {"x": 1, "y": -2}, "end": {"x": 3, "y": 4}, "label": None, "width": 0.5}
    assert client.call("types.echo-line", value=line) == line
    assert client.call("types.echo-list-shape", [{"circle": 1.5}, {"empty": None}]) == [
        {"circle": 1.5},
        {"empty": None},
    ]


def test_a_call_without_a_result(client: backend.Client) -> None:
    assert client.call("swallow", "anything") is None


def test_each_call_has_an_instance_of_its_own(client: backend.Client) -> None:
    assert client.proxy.count() == client.proxy.count()


def words() -> Generator[str, None, None]:
    for number in itertools.count():
        yield f"call {number}"


@pytest.mark.parametrize("ids", [generators.sequential, generators.random, words])
def test_ids_of_every_kind_that_the_client_takes(
    url: str, ids: Callable[..., Generator[int | str, None, None]]
) -> None:
    with backend.Client(url, id_gen_impl=ids) as client:
        assert client.proxy.add(1, 2) == 3
        with client.batch() as batch:
            batch("add", 1, 2)
            batch("add", 3, 4)
        assert batch.get_results() == [3, 7]


def test_a_notification_is_performed_and_not_answered(
    client: backend.Client, endpoint: Endpoint
) -> None:
    client.notify("outcomes.print", "notified\n", "")
    endpoint.wait_for_log(event="guest output", stream="stdout", line="notified")
    client.notify("no-such-method")
    client.notify("add", "not a number")


def test_a_batch(client: backend.Client, endpoint: Endpoint) -> None:
    with client.batch() as batch:
        batch("add", 1, 2)
        batch.notify("outcomes.print", "notified in a batch\n", "")
        batch.proxy.divide(dividend=9, divisor=3)
        batch("types.echo-string", value="last")
    assert batch.get_results() == [3, 3, "last"]
    endpoint.wait_for_log(event="guest output", stream="stdout", line="notified in a batch")


def test_the_errors_of_a_batch_stand_at_their_places(client: backend.Client) -> None:
    response = client.send(
        BatchRequest(
            Request("divide", [1, 0], id=1),
            Request("divide", [6, 3], id=2),
            Request("no-such-method", id="three"),
            Request("outcomes.trap", id=4),
        )
    )
    assert response is not None
    assert [each.id for each in response] == [1, 2, "three", 4]
    codes = [each.unwrap_error().code if each.is_error else each.result for each in response]
    assert codes == [1, 2, -32601, -32000]


def test_a_batch_of_notifications_is_not_answered(client: backend.Client) -> None:
    assert client.send(BatchRequest(Request("add", [1, 2]), Request("no-such-method"))) is None


def data_of(error: exceptions.JsonRpcError) -> Any:
    return error.data


def test_a_method_that_is_not_there(client: backend.Client) -> None:
    with pytest.raises(exceptions.MethodNotFoundError) as caught:
        client.proxy.subtract(1, 2)
    assert caught.value.message == "Method not found"
    assert set(data_of(caught.value)) == {"request_id"}


@pytest.mark.parametrize(
    ("args", "kwargs", "pointer"),
    [
        ([{"x": 1, "y": 2.5}], {}, "/params/0/y"),
        ([], {"value": {"x": 1, "y": 2**31}}, "/params/value/y"),
        ([], {"value": "a point"}, "/params/value"),
    ],
)
def test_parameters_that_are_wrong(
    client: backend.Client, args: list[Any], kwargs: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(exceptions.InvalidParamsError) as caught:
        client.call("types.echo-point", *args, **kwargs)
    assert caught.value.message == "Invalid params"
    assert set(data_of(caught.value)) == {"request_id", "pointer", "expected"}
    assert data_of(caught.value)["pointer"] == pointer


def test_the_err_of_a_result_is_an_error_of_the_application(client: backend.Client) -> None:
    with pytest.raises(exceptions.JsonRpcError) as caught:
        client.proxy.divide(1, 0)
    assert caught.value.code == 1
    assert isinstance(caught.value.data, str)

    failure: Any = {"misplaced": {"x": 1, "y": 2}}
    with pytest.raises(exceptions.JsonRpcError) as caught:
        client.call("outcomes.settle", {"err": failure})
    assert (caught.value.code, caught.value.data) == (1, failure)
    assert client.call("outcomes.settle", {"ok": "fine"}) == "fine"


def test_a_trap(client: backend.Client) -> None:
    with pytest.raises(Trapped) as caught:
        client.call("outcomes.trap")
    assert set(data_of(caught.value)) == {"request_id"}


def test_a_deadline(client: backend.Client) -> None:
    with pytest.raises(TookTooLong) as caught:
        client.call("outcomes.spin")
    assert set(data_of(caught.value)) == {"request_id"}


def test_discovery_is_a_method_like_any_other(client: backend.Client) -> None:
    document: Any = client.call("rpc.discover")
    assert "add" in {method["name"] for method in document["methods"]}


@pytest.mark.anyio
async def test_many_calls_at_once(url: str) -> None:
    async with backend.AsyncClient(url) as client, asyncio.timeout(PATIENCE):
        sums = await asyncio.gather(*(client.proxy.add(i, i) for i in range(20)))
    assert sums == [2 * i for i in range(20)]
