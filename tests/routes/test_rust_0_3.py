"""A guest of Rust's `wasip3` for WASI 0.3: the handler that its executor runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from tests.harness import GuestPath
from tests.routes.site import ObservedSite

CONFIG = """
[server]
port = 0

[[components]]
name = "guest"
source = {source}
allowed_outbound_hosts = ["http://127.0.0.1:*"]
mounts = [{{ host = "folder", guest = "/folder" }}]

[[components]]
name = "hasty"
source = {source}
routes = [{{ host = "hasty.test" }}]
max_execution_time = "5ms"
"""


@pytest.fixture(scope="module")
def gateway(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedSite]:
    """A gateway with the guest, once patient and once not."""
    path = tmp_path_factory.mktemp("service") / "gateway.toml"
    (path.parent / "folder").mkdir()
    (path.parent / "folder" / "file").touch()
    path.write_text(CONFIG.format(source=json.dumps(str(guest("rust/service")))))
    with ObservedSite(path) as site:
        yield site


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway: ObservedSite) -> Iterator[None]:
    with gateway.left_as_it_was():
        yield


@pytest.mark.parametrize(
    ("target", "text"), [("/", b"Hello, WASI 0.3!\n"), ("/sleep", b"rested\n")]
)
def test_answers(gateway: ObservedSite, target: str, text: bytes) -> None:
    response = gateway.get(target)
    assert (response.status, response["content-type"], response.body) == (200, "text/plain", text)


def test_a_body_passes_through(gateway: ObservedSite) -> None:
    data = Random(5).randbytes(1_000_001)  # noqa: S311 - not for secrets
    assert gateway.post("/echo", data).body == data


def test_a_body_is_passed_on_before_it_ends(gateway: ObservedSite) -> None:
    with gateway.connect() as client:
        client.request("/echo", "Transfer-Encoding: chunked", method="POST")
        client.check_echo(b"first", b"second")


@pytest.mark.parametrize(("target", "text"), [("/listen", b"listened\n"), ("/list", b"listed\n")])
def test_a_stream_is_given_up_while_the_host_has_no_more_of_it(
    gateway: ObservedSite, target: str, text: bytes
) -> None:
    response = gateway.get(target)
    assert (response.status, response.body) == (200, text)


def test_another_response_is_passed_on(gateway: ObservedSite) -> None:
    response = gateway.get(f"/fetch?127.0.0.1:{gateway.port}")
    assert (response.status, response.body) == (200, b"Hello, WASI 0.3!\n")


def test_what_it_may_not_reach_is_an_error(gateway: ObservedSite) -> None:
    assert gateway.get("/fetch?203.0.113.1").status == 403


def test_what_is_left_running_ends_first(gateway: ObservedSite, request_id: str) -> None:
    assert gateway.get("/late", f"X-Request-Id: {request_id}").body == b"early\n"
    assert "after the response" in {it.get("line") for it in gateway.story(request_id)}


def test_an_error_code_has_its_status(gateway: ObservedSite) -> None:
    assert gateway.get("/error").status == 500


def test_a_panic_is_told_in_the_log(gateway: ObservedSite, request_id: str) -> None:
    response = gateway.get("/panic", f"X-Request-Id: {request_id}")
    assert response.status == 500
    assert b"on purpose" not in response.body
    assert "on purpose" in {it.get("line") for it in gateway.story(request_id)}


def test_the_deadline_ends_what_waits(gateway: ObservedSite) -> None:
    assert gateway.get("/sleep", host="hasty.test").status == 504


def test_a_client_that_leaves_ends_it(gateway: ObservedSite, request_id: str) -> None:
    with gateway.connect() as client:
        head = ("Content-Length: 9", f"X-Request-Id: {request_id}")
        client.request("/echo", *head, method="POST")
        gateway.wait_for(lambda state: state["stores"] == 1)
    assert gateway.ended(request_id)["outcome"] == "cancelled"
