"""What becomes of calls: in a batch, beside others, without room, and when their client goes away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness import GuestPath
from tests.routes.site import ObservedSite
from tests.routes.wire import Client
from tests.rpc.endpoint import JSON

AT_ONCE: Final = 16
"""Calls of one batch that run at once."""

CONFIG: Final = """
[server]
port = 0

[[components]]
name = "guest"
source = "{source}"

[[components]]
name = "few"
source = "{source}"
max_concurrency = 2
"""

GUEST: Final = "/rpc/guest"
FEW: Final = "/rpc/few"


@pytest.fixture(scope="module")
def site(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedSite]:
    config = tmp_path_factory.mktemp("calls") / "gateway.toml"
    config.write_text(CONFIG.format(source=guest("c/rpc")))
    with ObservedSite(config) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left(site: ObservedSite) -> Iterator[None]:
    before = site.idle()
    yield
    site.wait_for(lambda state: (state["stores"], state["tasks"]) == (0, before["tasks"]))


def call(method: str, params: Any = (), **id: Any) -> dict[str, Any]:  # noqa: A002
    return {"jsonrpc": "2.0", "method": method, "params": params, **id}


def wait(milliseconds: int = 60_000, id: int = 0) -> dict[str, Any]:  # noqa: A002
    return call("outcomes.wait", [milliseconds], id=id)


def text(content: Any) -> bytes:
    return json.dumps(content).encode()


def begin(client: Client, path: str, content: Any, *headers: str) -> None:
    client.request(path, JSON, *headers, method="POST", body=text(content))


def in_flight(site: ObservedSite, component: str, number: int) -> None:
    site.wait_for(lambda state: state["in_flight"][component] == number == state["stores"])


# --- batches --------------------------------------------------------------------------------------------


def test_a_batch_is_answered_in_its_order(site: ObservedSite) -> None:
    batch = [wait(200, id=1), call("add", [1, 2], id=2), wait(1, id=3), call("add", [3, 4], id=4)]
    answers = site.post(GUEST, text(batch), JSON).json
    assert [(answer["id"], answer["result"]) for answer in answers] == [
        (1, None),
        (2, 3),
        (3, None),
        (4, 7),
    ]


def test_each_call_has_an_instance_of_its_own(site: ObservedSite) -> None:
    answers = site.post(GUEST, text([call("count", id=number) for number in range(40)]), JSON).json
    assert [answer["result"] for answer in answers] == [1] * 40


def test_the_calls_of_a_batch_run_at_once_but_not_all_of_them(site: ObservedSite) -> None:
    with site.connect() as client:
        begin(client, GUEST, [wait(id=number) for number in range(AT_ONCE + 10)])
        in_flight(site, "guest", AT_ONCE)
        assert site.state()["in_flight"]["guest"] == AT_ONCE


def test_one_failure_of_a_batch_is_its_own(site: ObservedSite) -> None:
    batch = [
        call("outcomes.trap", id="trap"),
        call("add", [1, 2], id="add"),
        call("outcomes.settle", {"outcome": {"err": {"not-found": None}}}, id="err"),
        call("add", [1, "x"], id="params"),
    ]
    answers = {answer["id"]: answer for answer in site.post(GUEST, text(batch), JSON).json}
    assert answers["add"]["result"] == 3
    assert {name: answer["error"]["code"] for name, answer in answers.items() if name != "add"} == {
        "trap": -32000,
        "err": 1,
        "params": -32602,
    }


def test_a_batch_that_is_alone_has_room_for_all_of_it(site: ObservedSite) -> None:
    answers = site.post(FEW, text([wait(1, id=number) for number in range(6)]), JSON).json
    assert [answer["result"] for answer in answers] == [None] * 6


# --- the client -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "finish", "close"])
@pytest.mark.parametrize("calls", [1, AT_ONCE + 10])
def test_a_client_that_leaves_stops_its_calls(
    site: ObservedSite, request: pytest.FixtureRequest, calls: int, how: str
) -> None:
    identity = f"{request.node.name.partition('[')[0]}-{calls}-{how}"
    content = wait() if calls == 1 else [wait(id=number) for number in range(calls)]
    with site.connect() as client:
        begin(client, GUEST, content, f"X-Request-Id: {identity}")
        in_flight(site, "guest", min(calls, AT_ONCE))
        if how != "close":
            getattr(client, how)()
    ended = site.ended(identity)
    assert ended["status"] == 0
    assert ended["outcome"] == ("cancelled" if calls == 1 else None)
    story = [record["event"] for record in site.story(identity)]
    assert story.count("invocation ended early") == min(calls, AT_ONCE)


def test_a_client_that_leaves_with_its_body_unsent_costs_nothing(site: ObservedSite) -> None:
    with site.connect() as client:
        length = "Content-Length: 1000"
        client.request(GUEST, JSON, length, "X-Request-Id: unsent", method="POST")
        client.send(b'{"jsonrpc"')
    ended = site.ended("unsent")
    assert (ended["status"], ended["outcome"]) == (0, "cancelled")


def test_a_request_that_follows_is_answered_after_the_first(site: ObservedSite) -> None:
    with site.connect() as client:
        begin(client, GUEST, wait(100, id=1))
        begin(client, GUEST, call("add", [1, 2], id=2))
        assert client.response().json == {"jsonrpc": "2.0", "result": None, "id": 1}
        assert client.response().json == {"jsonrpc": "2.0", "result": 3, "id": 2}


# --- room -----------------------------------------------------------------------------------------------


@pytest.fixture
def full(site: ObservedSite) -> Iterator[None]:
    """The component `few` has as many calls as it may."""
    with site.connect() as client:
        begin(client, FEW, [wait(id=1), wait(id=2)])
        in_flight(site, "few", 2)
        yield


@pytest.mark.usefixtures("full")
def test_a_call_without_room_may_be_tried_elsewhere(site: ObservedSite) -> None:
    response = site.post(FEW, text(call("add", [1, 2], id=7)), JSON)
    assert (response.status, response["retry-after"]) == (503, "1")
    assert response["content-type"] == "application/json"
    assert response.json == {
        "jsonrpc": "2.0",
        "error": {
            "code": -32002,
            "message": "Too many calls are in progress",
            "data": {"request_id": response["x-request-id"]},
        },
        "id": 7,
    }


@pytest.mark.usefixtures("full")
def test_so_may_a_batch_of_which_nothing_was_done(site: ObservedSite) -> None:
    batch = [call("add", [1, 2], id=1), call("nothing", id=2), call("add", [1, 2])]
    response = site.post(FEW, text(batch), JSON)
    assert (response.status, response["retry-after"]) == (503, "1")
    assert [answer["error"]["code"] for answer in response.json] == [-32002, -32601]


@pytest.mark.usefixtures("full")
def test_what_needs_no_room_is_answered(site: ObservedSite) -> None:
    assert site.post(FEW, text(call("rpc.discover", id=1)), JSON).status == 200
    assert site.post(FEW, text(call("nothing", id=1)), JSON).status == 200


@pytest.mark.usefixtures("full")
def test_a_notification_without_room_is_refused_by_the_transport(site: ObservedSite) -> None:
    response = site.post(FEW, text(call("add", [1, 2])), JSON)
    assert (response.status, response["retry-after"]) == (503, "1")
    assert response.json["type"] == "urn:component-gateway:problem:overloaded"


def test_a_batch_of_which_something_was_done_must_not_be_tried_again(site: ObservedSite) -> None:
    with site.connect() as client:
        begin(client, FEW, wait())
        in_flight(site, "few", 1)
        batch = [wait(100, id=1), wait(100, id=2)]
        response = site.post(FEW, text(batch), JSON)
    assert response.status == 200
    assert "retry-after" not in response
    done, refused = response.json
    assert (done["result"], refused["error"]["code"]) == (None, -32002)


def test_calls_are_counted_by_their_outcome(site: ObservedSite) -> None:
    def counts() -> dict[str, float]:
        found: dict[str, float] = site.state()["invocations"].get("guest", {})
        return found

    before = counts()
    batch = [
        call("add", [1, 2], id=1),
        call("outcomes.trap", id=2),
        call("outcomes.settle", [{"err": {"not-found": None}}], id=3),
        call("add", [1], id=4),
        call("nothing", id=5),
    ]
    site.post(GUEST, text(batch), JSON)
    after = counts()
    assert {name: after[name] - before.get(name, 0) for name in after} == {
        **dict.fromkeys(after, 0),
        "ok": 1,
        "trap": 1,
        "err": 1,
    }


def test_what_a_guest_writes_is_logged_under_the_request(site: ObservedSite) -> None:
    request = call("outcomes.print", ["to stdout", "to stderr"], id=1)
    site.post(GUEST, text(request), JSON, "X-Request-Id: printed")
    lines = [
        (record["stream"], record["line"])
        for record in site.story("printed")
        if record["event"] == "guest output"
    ]
    assert ("stdout", "to stdout") in lines
    assert ("stderr", "to stderr") in lines


def test_a_trap_is_logged_and_its_client_is_told_nothing_of_it(
    site: ObservedSite, tmp_path: Path
) -> None:
    request = call("outcomes.trap", id=1)
    response = site.post(GUEST, text(request), JSON, "X-Request-Id: trapped")
    assert response.json["error"] == {
        "code": -32000,
        "message": "The component failed",
        "data": {"request_id": "trapped"},
    }
    (trap,) = (record for record in site.story("trapped") if record["event"] == "component trapped")
    assert (trap["component"], trap["trap"]) == ("guest", "unreachable")
    assert trap["backtrace"]
