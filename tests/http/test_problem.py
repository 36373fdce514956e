"""RFC 9457: failures as clients see them."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.bindings.http.error_code import CASES
from gateway.http import problem
from gateway.http.problem import Problem, component_error, send_problem

CATALOGUE = {
    "urn:component-gateway:problem:no-authority": (problem.NO_AUTHORITY, 400),
    "urn:component-gateway:problem:no-invocation": (problem.NO_INVOCATION, 400),
    "urn:component-gateway:problem:other-site": (problem.OTHER_SITE, 403),
    "urn:component-gateway:problem:no-function": (problem.NO_FUNCTION, 404),
    "urn:component-gateway:problem:no-route": (problem.NO_ROUTE, 404),
    "urn:component-gateway:problem:content-too-large": (problem.CONTENT_TOO_LARGE, 413),
    "urn:component-gateway:problem:headers-too-large": (problem.HEADERS_TOO_LARGE, 431),
    "urn:component-gateway:problem:component-failed": (problem.COMPONENT_FAILED, 500),
    "urn:component-gateway:problem:no-response": (problem.NO_RESPONSE, 500),
    "urn:component-gateway:problem:gateway-failed": (problem.GATEWAY_FAILED, 500),
    "urn:component-gateway:problem:closed": (problem.CLOSED, 503),
    "urn:component-gateway:problem:overloaded": (problem.OVERLOADED, 503),
    "urn:component-gateway:problem:deadline": (problem.DEADLINE, 504),
}
STATUSES = sorted({case.status_code for case in CASES.values()})
ALL = [entry for entry, _ in CATALOGUE.values()] + [component_error(status) for status in STATUSES]


def answer(entry: Problem) -> httpx.Response:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_problem(send, entry, "id-1", head_only=False)

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get("/")

    return asyncio.run(request())


@pytest.mark.parametrize("uri", CATALOGUE)
def test_the_catalogue(uri: str) -> None:
    entry, status = CATALOGUE[uri]
    assert entry.type == uri
    assert entry.status == status


@pytest.mark.parametrize("entry", ALL)
def test_the_response(entry: Problem) -> None:
    response = answer(entry)
    assert response.status_code == entry.status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"] == "id-1"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.json() == {
        "type": entry.type,
        "title": entry.title,
        "status": entry.status,
        "detail": entry.detail,
        "request_id": "id-1",
    }


def test_head_has_the_fields_of_get_and_no_content() -> None:
    def messages(*, head_only: bool) -> tuple[Message, Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(send_problem(send, problem.NO_ROUTE, "id-1", head_only=head_only))
        start, body = sent
        return start, body

    get_start, get_body = messages(head_only=False)
    head_start, head_body = messages(head_only=True)
    assert head_start == get_start
    assert (b"content-length", b"%d" % len(get_body["body"])) in head_start["headers"]
    assert head_body["body"] == b""


@pytest.mark.parametrize("entry", ALL)
def test_only_an_overload_says_when_to_try_again(entry: Problem) -> None:
    retry_after = answer(entry).headers.get("retry-after")
    assert retry_after == ("1" if entry is problem.OVERLOADED else None)


@pytest.mark.parametrize("status", STATUSES)
def test_a_component_error_is_told_by_its_status_alone(status: int) -> None:
    entry = component_error(status)
    assert entry.status == status
    assert entry.type == "urn:component-gateway:problem:component-error"
    assert entry.title == component_error(500).title
    for case in CASES.values():
        assert case.proxy_error_type not in entry.detail


def test_kinds_have_one_title_each_and_titles_one_kind() -> None:
    kinds = {entry.kind: entry.title for entry in ALL}
    assert all(kinds[entry.kind] == entry.title for entry in ALL)
    assert len(set(kinds.values())) == len(kinds)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", kind) for kind in kinds)
