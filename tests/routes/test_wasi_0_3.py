"""Components of WASI 0.3: answered as those of 0.2 are, and with nothing of them left."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from gateway.bindings.p3.tasks import Tasks
from gateway.config import ComponentConfig
from gateway.host.store import STORES
from tests.guests.toolchains import GUESTS
from tests.harness import GuestPath, LogRecord
from tests.host.waiting import holding
from tests.patience import until
from tests.routes.site import ObservedSite
from tests.routes.test_asgi import Server, one_component
from tests.routes.wire import WINDOW, BrokenBody
from tests.transports.talking import talking

pytestmark = pytest.mark.anyio

GUEST = "wat/wasi-0-3"
HELLO = "wat/hello"

CONFIG = """
[server]
port = 0

[[components]]
name = "three"
source = "{three}"
max_execution_time = "10m"

[[components]]
name = "hasty"
source = "{three}"
routes = [{{ host = "hasty.test" }}]
max_execution_time = "100ms"

[[components]]
name = "thrifty"
source = "{three}"
routes = [{{ host = "thrifty.test" }}]
max_execution_time = "unlimited"
max_cpu_time = "50ms"

[[components]]
name = "two"
source = "{two}"
routes = [{{ path = "/two" }}]
"""


@pytest.fixture(scope="module")
def gateway(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedSite]:
    """One of both versions, side by side."""
    path = tmp_path_factory.mktemp("wasi-0-3") / "gateway.toml"
    path.write_text(CONFIG.format(three=guest(GUEST), two=guest(HELLO)))
    with ObservedSite(path) as site:
        yield site


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway: ObservedSite) -> Iterator[None]:
    with gateway.left_as_it_was():
        yield


def trapped(gateway: ObservedSite, request_id: str) -> LogRecord:
    """What the log has of a guest that trapped."""
    (record,) = [it for it in gateway.story(request_id) if it["event"] == "component trapped"]
    return record


def lines(gateway: ObservedSite, request_id: str) -> list[str]:
    """What a guest has printed."""
    return [it["line"] for it in gateway.story(request_id) if it["event"] == "guest output"]


@pytest.mark.parametrize(
    "target",
    [
        "/h",
        pytest.param("/yields", id="yields-often"),
        pytest.param("/sleeps", id="waits-for-a-clock"),
        pytest.param("/cancels", id="cancels-a-wait"),
        pytest.param("/polls", id="lends-two-handles-of-WASI-0.2"),
        pytest.param("/x", id="drops-another-response"),
        pytest.param("/Own", id="takes-a-body-of-its-own-back"),
        pytest.param("/z", id="computes-for-many-ticks"),
        pytest.param("/g", id="waits-for-its-trailers-before-it-ends-its-body"),
        pytest.param("/j", id="has-its-trailers-after-it-has-ended-its-body"),
        pytest.param("/R", id="says-what-came-of-a-body-of-its-own"),
    ],
)
def test_answers(gateway: ObservedSite, target: str, request_id: str) -> None:
    response = gateway.get(target, f"X-Request-Id: {request_id}")
    assert (response.status, response.body) == (200, b"hello")
    assert gateway.ended(request_id)["outcome"] == "ok"


def test_both_versions_are_served_side_by_side(gateway: ObservedSite) -> None:
    assert gateway.get("/two").status == gateway.get("/h").status == 200


def test_a_response_without_contents_is_empty(gateway: ObservedSite) -> None:
    response = gateway.get("/a")
    assert (response.status, response["content-length"], response.body) == (200, "0", b"")


def test_a_body_may_end_before_it_has_begun(gateway: ObservedSite) -> None:
    response = gateway.get("/i")
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("target", ["/drops", "/reads", "/future-unread"])
def test_what_is_not_read_of_a_body_is_dropped(gateway: ObservedSite, target: str) -> None:
    assert gateway.post(target, b"body" * (1 << 20)).body == b"hello"


def test_a_body_passes_through_whole(gateway: ObservedSite) -> None:
    body = Random(3).randbytes(3_000_001)  # noqa: S311 - not for secrets
    assert gateway.post("/body", body).body == body


def test_a_body_passes_through_as_it_comes(gateway: ObservedSite) -> None:
    with gateway.connect() as client:
        client.request("/body", "Content-Length: 12", method="POST")
        client.send(b"first ")
        assert client.read_until(b"first ").startswith(b"HTTP/1.1 200")
        client.send(b"second")
        assert b"second" in client.read_until(b"second")


def test_a_client_that_does_not_read_holds_the_guest_up(
    gateway: ObservedSite, request_id: str
) -> None:
    size = 64 << 20
    with gateway.connect(window=WINDOW) as client:
        head = f"Content-Length: {size}"
        client.request("/body", head, f"X-Request-Id: {request_id}", method="POST")
        client.send(bytes(1 << 20))
        assert client.read_head().status == 200
        before = gateway.memory()["rss"]
        gateway.wait_for(lambda state: state["in_flight"]["three"] == 1)
        assert gateway.memory()["rss"] < before + (32 << 20)
    assert gateway.ended(request_id)["outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/traps", "wasm `unreachable` instruction executed"),
        ("/n", "the guest waits, and nothing that could end that is under way"),
        ("/q", "cannot drop future write end without first writing a value"),
        ("/k", "unknown import: `test:nobody/there@0.1.0#send` has not been defined"),
    ],
)
def test_a_trap_is_told(gateway: ObservedSite, target: str, reason: str, request_id: str) -> None:
    assert gateway.get(target, f"X-Request-Id: {request_id}").status == 500
    assert trapped(gateway, request_id)["reason"] == reason


@pytest.mark.parametrize("target", ["/unfinished", "/w", "/Error-of-the-trailers"])
def test_a_response_that_is_not_whole_never_looks_so(
    gateway: ObservedSite, target: str, request_id: str
) -> None:
    try:
        status = gateway.get(target, f"X-Request-Id: {request_id}").status
    except BrokenBody:  # it had begun
        status = 500
    assert status == 500
    assert gateway.ended(request_id)["outcome"] == "err"


def test_an_error_has_its_status(gateway: ObservedSite, request_id: str) -> None:
    response = gateway.get("/error", f"X-Request-Id: {request_id}")
    assert response.status == 500
    assert response.json["type"].endswith("component-error")
    assert gateway.ended(request_id)["outcome"] == "err"


@pytest.mark.parametrize("target", ["/Sleeps-for-a-day", "/Yields-for-ever"])
def test_the_deadline_ends_whatever_goes_on(
    gateway: ObservedSite, target: str, request_id: str
) -> None:
    response = gateway.get(target, f"X-Request-Id: {request_id}", host="hasty.test")
    assert response.status == 504
    assert gateway.ended(request_id)["outcome"] == "deadline"


def test_so_does_the_time_that_it_computes(gateway: ObservedSite, request_id: str) -> None:
    sent = f"X-Request-Id: {request_id}"
    response = gateway.get("/Yields-for-ever", sent, host="thrifty.test")
    assert response.status == 504
    assert response.json["type"].endswith(":cpu-time")
    assert gateway.ended(request_id)["outcome"] == "cpu-time"


@pytest.mark.parametrize("target", ["/Sleeps-for-a-day", "/Yields-for-ever"])
def test_a_client_that_leaves_ends_it(gateway: ObservedSite, target: str, request_id: str) -> None:
    with gateway.connect() as client:
        client.request(target, f"X-Request-Id: {request_id}")
        gateway.wait_for(lambda state: state["stores"] == 1)
    assert gateway.ended(request_id)["outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        pytest.param("/reads", b"", id="while-the-guest-reads"),
        pytest.param("/body", b"", id="when-the-response-has-begun"),
        pytest.param("/body", b"first", id="amid-both-bodies"),
    ],
)
def test_a_client_that_leaves_amid_its_body_ends_it(
    gateway: ObservedSite, target: str, sent: bytes, request_id: str
) -> None:
    with gateway.connect() as client:
        client.request(target, "Content-Length: 12", f"X-Request-Id: {request_id}", method="POST")
        client.send(sent)
        gateway.wait_for(lambda state: state["stores"] == 1)
    assert gateway.ended(request_id)["outcome"] == "cancelled"


def test_many_wait_at_once(gateway: ObservedSite) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect()) for _ in range(50)]
        for client in clients:
            client.request("/sleeps")
        assert {client.response().body for client in clients} == {b"hello"}


def test_standard_output_is_logged(gateway: ObservedSite, request_id: str) -> None:
    assert gateway.get("/output", f"X-Request-Id: {request_id}").status == 200
    assert lines(gateway, request_id) == ["output"]


def test_a_guest_hears_that_nobody_takes_its_body(gateway: ObservedSite, request_id: str) -> None:
    with gateway.connect() as client:
        client.request("/v", f"X-Request-Id: {request_id}", method="HEAD")
        assert client.response("HEAD").status == 200
    assert gateway.ended(request_id)["outcome"] == "ok"
    assert lines(gateway, request_id) == ["output"]


def test_a_guest_goes_on_after_its_response(gateway: ObservedSite, request_id: str) -> None:
    assert gateway.get("/later", f"X-Request-Id: {request_id}").body == b"hello"
    assert gateway.ended(request_id)["outcome"] == "ok"
    assert lines(gateway, request_id) == ["later"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_trailers_go_to_a_server_that_carries_them(guest: GuestPath) -> None:
    server = Server("/Trailers", extensions={"http.response.trailers": {}})
    await server.run(one_component(guest, GUEST))
    assert server.body == b"hello"
    assert server.sent[-1]["headers"] == [(b"x-sum", b"5")]
    assert not STORES


CANDIDATE = "0.3.0-rc-2026-03-15"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_release_candidate_that_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "candidate.wat"
    path.write_text((GUESTS / f"{GUEST}.wat").read_text().replace("@0.3.0", f"@{CANDIDATE}"))
    server = Server("/sleeps")
    await server.run(one_component(lambda _name: path, GUEST))
    assert (server.sent[0]["status"], server.body) == (200, b"hello")


def resting() -> int:
    """How many guests are left alone."""
    return sum(store.data.of(Tasks).idle.resting for store in STORES.values())


async def test_every_place_has_what_an_invocation_takes_that_waits(
    guest: GuestPath, tmp_path: Path
) -> None:
    """Whatever a guest has wait, it takes no stack that is another's: not of its like, not of other components."""
    holds = tmp_path / "holds.wat"
    holds.write_text(holding(8))
    places = 4
    tables = ({"name": "three", "source": guest(GUEST)}, {"name": "holds", "source": holds})
    over = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"x"
        await over.wait()

    async with talking(
        *(ComponentConfig.model_validate({**it, "max_concurrency": places}) for it in tables)
    ) as gateway:
        held = [
            asyncio.create_task(gateway.response("hold", [1], name="holds")) for _ in range(places)
        ]
        await until(lambda: resting() == places or any(each.done() for each in held))
        asked = [
            asyncio.create_task(gateway.client.post("/b", content=content())) for _ in range(places)
        ]
        await until(lambda: len(STORES) + sum(each.done() for each in asked) >= 2 * places)
        over.set()
        assert {(await each).status_code for each in asked} == {200}
        assert resting() == places
        for each in held:
            each.cancel()
