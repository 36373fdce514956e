"""What a client sees of a failure, and what the log has."""

from typing import Any

import pytest

from gateway.bindings.http.error_code import CASES
from tests.harness import probe_headers
from tests.routes.site import Site
from tests.routes.wire import HOST, BrokenBody, Response

TITLES = {
    "component-failed": "The component failed",
    "component-error": "The component answered with an error",
    "no-response": "The component gave no response",
    "cpu-time": "The component computed for too long",
    "deadline": "The component took too long",
    "content-too-large": "The request body is too large",
}

INSIDE = (
    "wasm",
    "trap",
    "backtrace",
    "unreachable",
    "fail",
    "hasty",
    "a detail",
    "/build/",
    "python",
)
"""Words that tell of the inside; `fail` and `hasty` are names of components."""


def assert_problem(response: Response, status: int, kind: str, request_id: str) -> None:
    """The response is a problem document (RFC 9457) of this kind, and has nothing but that."""
    assert response.status == status
    assert response["content-type"] == "application/problem+json"
    assert response["cache-control"] == "no-store"
    assert response["x-request-id"] == request_id
    document = response.json
    assert document.keys() == {"type", "title", "status", "detail", "request_id"}
    assert document["type"] == f"urn:component-gateway:problem:{kind}"
    assert document["title"] == TITLES[kind]
    assert document["status"] == status
    assert document["request_id"] == request_id
    told = f"{response.headers} {document['detail']}".lower()
    assert [word for word in INSIDE if word in told.replace("failed", "")] == []


def fail(site: Site, target: str, request_id: str, host: str = HOST) -> Response:
    """The answer of a connection that goes on to serve."""
    with site.connect() as client:
        response = client.get(target, f"X-Request-Id: {request_id}", host=host)
        assert client.get("/hello").status == 200
        return response


@pytest.mark.parametrize(
    ("target", "trap", "function"),
    [
        ("/trap", "unreachable", "handle_request"),
        ("/recurse", "stack-overflow", "recurse"),
        ("/out-of-bounds", "memory-out-of-bounds", "handle_request"),
    ],
)
def test_a_trap(site: Site, target: str, trap: str, function: str, request_id: str) -> None:
    response = fail(site, target, request_id)
    assert_problem(response, 500, "component-failed", request_id)
    trapped, ended = site.story(request_id)
    assert ended["sent"] == len(response.body)
    assert (trapped["event"], trapped["level"]) == ("component trapped", "error")
    assert (trapped["component"], trapped["trap"]) == ("fail", trap)
    assert trapped["reason"]
    assert any(function in frame for frame in trapped["backtrace"])
    assert (ended["status"], ended["outcome"], ended["component"]) == (500, "trap", "fail")


def test_a_trap_when_the_response_is_on_its_way(probe_site: Site, request_id: str) -> None:
    source = """
        response_set = True
        response = types.OutgoingResponse(types.Fields())
        body = response.body()
        types.ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(b"begun")
            with request.consume() as incoming, incoming.stream() as told:
                told.blocking_read(1)
            poll.poll([])
    """
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    with probe_site.connect() as client:
        identity = f"X-Request-Id: {request_id}"
        client.request("/", *carrier, identity, "Content-Length: 1", method="POST")
        head = client.read_head()
        assert (head.status, client.read_chunk()) == (200, b"begun")
        client.send(b".")
        with pytest.raises(BrokenBody):
            client.read_content(head)
    trapped, ended = probe_site.story(request_id)
    assert (trapped["trap"], trapped["reason"]) == ("host", "poll of an empty list")
    assert (ended["status"], ended["outcome"], ended["sent"]) == (200, "trap", 5)


def test_memory_without_end(site: Site, request_id: str) -> None:
    response = fail(site, "/alloc", request_id, "small.test")
    assert_problem(response, 500, "component-failed", request_id)
    trapped, ended = site.story(request_id)
    assert (trapped["trap"], trapped["component"]) == ("unreachable", "small")
    assert ended["outcome"] == "trap"


def test_memory_within_the_limit(site: Site) -> None:
    assert site.get("/alloc?mib=8", host="small.test").body == b"allocated\n"


@pytest.mark.parametrize("target", ["/spin", "/sleep?ms=60000"])
def test_the_deadline(site: Site, target: str, request_id: str) -> None:
    assert_problem(fail(site, target, request_id, "hasty.test"), 504, "deadline", request_id)
    stopped, ended = site.story(request_id)
    assert (stopped["event"], stopped["level"]) == ("invocation stopped", "warning")
    assert (stopped["component"], stopped["outcome"]) == ("hasty", "deadline")
    assert "0.1 s" in stopped["reason"]
    assert (ended["status"], ended["outcome"]) == (504, "deadline")


def test_the_time_that_it_computes(site: Site, request_id: str) -> None:
    assert_problem(fail(site, "/spin", request_id, "thrifty.test"), 504, "cpu-time", request_id)
    stopped, ended = site.story(request_id)
    assert (stopped["event"], stopped["level"]) == ("invocation stopped", "warning")
    assert (stopped["component"], stopped["outcome"]) == ("thrifty", "cpu-time")
    assert stopped["reason"] == "computed for longer than 0.05 s"
    assert (ended["status"], ended["outcome"]) == (504, "cpu-time")


def test_waiting_is_not_computing(site: Site) -> None:
    assert site.get("/sleep?ms=200", host="thrifty.test").status == 200


def test_no_response(site: Site, request_id: str) -> None:
    assert_problem(fail(site, "/noset", request_id), 500, "no-response", request_id)
    told, ended = site.story(request_id)
    assert told["event"] == "guest never invoked `response-outparam::set` method"
    assert told["component"] == "fail"
    assert (ended["status"], ended["outcome"]) == (500, "err")


@pytest.mark.parametrize("code", [0, 1])
def test_an_exit_before_the_response(site: Site, code: int, request_id: str) -> None:
    response = fail(site, f"/exit?code={code}", request_id)
    assert_problem(response, 500, "component-failed", request_id)
    told, ended = site.story(request_id)
    assert f"status {code}" in told["reason"]
    assert ended["outcome"] == "err"


@pytest.mark.parametrize("case", CASES)
def test_an_error_that_the_guest_sets(site: Site, case: str, request_id: str) -> None:
    response = fail(site, f"/seterr/{case}", request_id)
    assert_problem(response, CASES[case].status_code, "component-error", request_id)
    told, ended = site.story(request_id)
    assert (told["event"], told["component"]) == ("component set an error", "fail")
    assert case in told["error"]
    assert ("a detail of the guest" in told["error"]) == (case == "internal-error")
    assert (ended["status"], ended["outcome"]) == (CASES[case].status_code, "err")


@pytest.mark.parametrize(("target", "outcome"), [("/trap-after", "trap"), ("/drop-after", "err")])
def test_a_failure_right_after_the_head(
    site: Site, target: str, outcome: str, request_id: str
) -> None:
    # The head is sent while the guest waits or others have their turn, which is seldom so soon.
    try:
        response = fail(site, target, request_id)
    except BrokenBody:
        status = 200
    else:
        status = 500
        assert_problem(response, status, "component-failed", request_id)
    ended = site.ended(request_id)
    assert (ended["status"], ended["outcome"]) == (status, outcome)


@pytest.mark.parametrize("target", ["/trap", "/noset", "/seterr/HTTP-protocol-error"])
def test_a_failure_answers_head_with_its_head(site: Site, target: str, request_id: str) -> None:
    failed = site.get(target)
    with site.connect() as client:
        client.request(target, f"X-Request-Id: {request_id}", method="HEAD")
        response = client.response("HEAD")
        assert response.status == failed.status
        assert response["content-length"] == failed["content-length"]
        assert client.get("/hello").status == 200


def test_what_the_guest_prints_is_in_the_log(site: Site, request_id: str) -> None:
    site.get("/stdout", f"X-Request-Id: {request_id}")
    *lines, _ended = site.story(request_id)

    def essence(record: Any) -> tuple[Any, ...]:
        return record["event"], record["component"], record["stream"], record["line"]

    assert [essence(line) for line in lines] == [
        ("guest output", "fail", "stdout", "a line on stdout"),
        ("guest output", "fail", "stdout", "and another"),
        ("guest output", "fail", "stderr", "a line on stderr, without an end"),
    ]
