"""Guests of several languages, each answering, streaming and failing."""

from collections.abc import Iterator

import pytest

from tests.harness import GuestPath, probe_headers
from tests.routes.site import Site


@pytest.fixture(scope="module")
def javascript(guest: GuestPath) -> Iterator[Site]:
    with Site(guest("js/echo"), "--max-concurrency", "16") as site:
        yield site


@pytest.fixture(scope="module")
def python(guest: GuestPath) -> Iterator[Site]:
    with Site(guest("examples/hello"), "--max-concurrency", "16") as site:
        yield site


@pytest.fixture(scope="module")
def text(guest: GuestPath) -> Iterator[Site]:
    with Site(guest("wat/hello"), "--max-concurrency", "16") as site:
        yield site


def test_javascript_answers(javascript: Site) -> None:
    response = javascript.get("/")
    assert (response.status, response["content-type"]) == (200, "text/plain")
    assert response.body == b"Hello from JavaScript!\n"
    assert javascript.get("/none").status == 404


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_javascript_echoes(javascript: Site, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert javascript.post("/echo", body[:size]).body == body[:size]


def test_javascript_reads_a_body(javascript: Site) -> None:
    response = javascript.post("/json", b'{"a": [1, 2]}', "Content-Type: application/json")
    assert response.json == {"received": {"a": [1, 2]}, "method": "POST"}


def test_javascript_streams(javascript: Site) -> None:
    response = javascript.get("/stream")
    assert response["transfer-encoding"] == "chunked"
    assert response.body == b"".join(b"chunk %d\n" % number for number in range(5))


def test_javascript_fails(javascript: Site, request_id: str) -> None:
    response = javascript.get("/throw", f"X-Request-Id: {request_id}")
    assert response.status == 500
    assert b"a detail of the guest" not in response.body
    assert javascript.get("/").status == 200
    story = javascript.story(request_id)
    assert any("a detail of the guest" in str(record.get("line")) for record in story)


def test_python_answers(python: Site) -> None:
    response = python.get("/?name=you")
    assert (response.status, response.body[:12]) == (200, b"Hello, you!\n")
    assert python.get("/none").status == 404


def test_python_echoes_what_it_is_sent_before_more_is_sent(python: Site) -> None:
    with python.connect() as client:
        client.request("/echo", "Transfer-Encoding: chunked", method="POST")
        client.check_echo(b"first", b"second")


def test_python_fails(probe_site: Site, request_id: str) -> None:
    # What is no `Exception` gets past the probe, and out of its handler.
    source = "raise KeyboardInterrupt('a detail of the guest')"
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    response = probe_site.get("/", *carrier, f"X-Request-Id: {request_id}")
    assert response.status == 500
    assert b"a detail" not in response.body
    story = probe_site.story(request_id)
    assert any("a detail of the guest" in str(record.get("line")) for record in story)
    assert (story[-1]["status"], story[-1]["outcome"]) == (500, "trap")


def test_text_answers(text: Site) -> None:
    assert text.get("/").status == 200
