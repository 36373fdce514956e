"""wasi:http/types of WASI 0.3: what its fields, requests, responses and bodies have in common with those of 0.2.

How they are served and sent is in `tests.routes.test_wasi_0_3` and `tests.gateway_outbound.test_wasi_0_3`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from gateway.bindings import p3
from gateway.bindings.context import WasiCtx
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.fields import MAX_SIZE, Fields
from gateway.bindings.p3.http import Request
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from gateway.wasm.wasip3.assembly import read
from tests.conformance.test_fields import FORBIDDEN_NAMES, NO_LENGTHS
from tests.conformance.test_messages import INVALID, VALID
from tests.driven_guest import DrivenGuest, driven_over_time, driving

pytestmark = pytest.mark.anyio

_TRAILERS: Final = "(future (result (option (own $fields)) (error $error-code)))"
_RESULT: Final = "(future (result (error $error-code)))"
_CONTENTS: Final = """(param "headers" (own $fields)) (param "contents" (option $bytes))
      (param "trailers" $ended)"""
IMPORTS: Final = f"""
  (import "wasi:http/types@0.3.0" (instance $types
    {read("types")}
    (type $bytes (stream u8)) (type $ended {_TRAILERS}) (type $came {_RESULT})
    (export "[static]request.new" (func {_CONTENTS} (param "options" (option (own $request-options)))
      (result (tuple (own $request) $came))))
    (export "[static]response.new" (func {_CONTENTS} (result (tuple (own $response) $came))))
    (export "[static]request.consume-body" (func (param "this" (own $request)) (param "res" $came)
      (result (tuple $bytes $ended))))))
  (alias export $types "fields" (type $fields)) (alias export $types "error-code" (type $error-code))
  (alias export $types "request" (type $request))
  (import "test:host/requests@0.1.0" (instance
    (alias outer 1 $request (type $request')) (export "request" (type $request (eq $request')))
    (export "receive" (func (result (own $request))))))
"""
ENDS: Final = (("bytes", "(stream u8)"), ("ended", _TRAILERS), ("came", _RESULT))

OK, IMMUTABLE = Ok(None), Err(Variant("immutable"))
INVALID_SYNTAX, FORBIDDEN = Err(Variant("invalid-syntax")), Err(Variant("forbidden"))


class HttpGuest:
    """A driven guest that has messages."""

    def __init__(self, guest: DrivenGuest) -> None:
        self.guest = guest

    async def call(self, name: str, *args: Any) -> Any:
        """Call a function of `wasi:http/types`."""
        return await self.guest.call(f"types#{name}", *args)

    async def fields(self, *entries: tuple[str, bytes]) -> int:
        """Fields of these entries."""
        made = await self.call("fields.from-list", list(entries))
        assert isinstance(made, Ok), made
        handle: int = made.value
        return handle

    async def entries(self, fields: int) -> Any:
        """All that fields have."""
        return await self.call("fields.copy-all", fields)

    async def make(
        self, message: str, *entries: tuple[str, bytes], contents: int | None = None
    ) -> tuple[int, int, int]:
        """A request or a response: it, the end to write its trailers to, and the future of what comes of it."""
        ended, trailers = await self.guest.new("ended")
        options = [None] * (message == "request")
        made, came = await self.call(
            f"{message}.new", await self.fields(*entries), contents, ended, *options
        )
        return made, trailers, came


@asynccontextmanager
async def driven(*received: Request) -> AsyncIterator[HttpGuest]:
    """A guest, to which these requests come when it asks for them."""
    requests = HostInterface("test:host/requests", "0.1.0")
    coming = iter(received)
    requests.function("receive")(lambda _ctx: next(coming))
    component = driven_over_time(IMPORTS, ENDS)
    async with driving(component, (*p3.INTERFACES, requests), WasiCtx()) as guest:
        yield HttpGuest(guest)


def request(content: IncomingContent, *headers: tuple[bytes, bytes]) -> Request:
    """One that the host has received."""
    return Request(
        method="POST",
        path_with_query="/a?b",
        scheme="http",
        authority="a.test",
        headers=headers,
        content=content,
    )


# --- fields ------------------------------------------------------------------------------------------------


async def test_names_are_in_lower_case_and_case_insensitive() -> None:
    async with driven() as guest:
        fields = await guest.fields(("X-Name", b"1"), ("other", b"2"))
        assert await guest.call("fields.append", fields, "x-NAME", b"3") == OK
        assert await guest.call("fields.get", fields, "X-NAME") == [b"1", b"3"]
        assert await guest.call("fields.has", fields, "x-nAme")
        assert await guest.entries(fields) == [("x-name", b"1"), ("other", b"2"), ("x-name", b"3")]


async def test_a_name_is_a_token() -> None:
    async with driven() as guest:
        fields = await guest.fields()
        assert await guest.call("fields.append", fields, "!#$%&'*+-.^_`|~09azAZ", b"") == OK
        for name in ("", " ", "a b", "a:", "a\n", "é", "\u212a", "a/b", '"', "(", "a\0"):
            assert await guest.call("fields.from-list", [(name, b"")]) == INVALID_SYNTAX
            assert await guest.call("fields.append", fields, name, b"") == INVALID_SYNTAX
            assert await guest.call("fields.set", fields, name, [b""]) == INVALID_SYNTAX
            assert await guest.call("fields.delete", fields, name) == INVALID_SYNTAX
            assert await guest.call("fields.get-and-delete", fields, name) == INVALID_SYNTAX
            assert await guest.call("fields.get", fields, name) == []
            assert not await guest.call("fields.has", fields, name)


async def test_the_bytes_of_a_value() -> None:
    async with driven() as guest:
        fields = await guest.fields()
        accepted = [
            byte
            for byte in range(256)
            if await guest.call("fields.append", fields, "x", bytes((118, byte, 118))) == OK
        ]
        assert accepted == [9, *range(32, 127), *range(128, 256)]


async def test_a_content_length_is_a_number_of_64_bits() -> None:
    async with driven() as guest:
        fields = await guest.fields(("Content-Length", b"007"))
        assert await guest.call("fields.get", fields, "content-length") == [b"7"]
        for value in NO_LENGTHS:
            length = ("Content-Length", value.encode())
            assert await guest.call("fields.from-list", [length]) == INVALID_SYNTAX
            assert await guest.call("fields.append", fields, *length) == INVALID_SYNTAX
            assert await guest.call("fields.set", fields, length[0], [length[1]]) == INVALID_SYNTAX
        assert await guest.entries(fields) == [("content-length", b"7")]


async def test_what_belongs_to_the_connection_is_forbidden() -> None:
    async with driven() as guest:
        fields = await guest.fields(("TE", b"trailers"), ("Trailer", b"x-sum"))
        for lower in FORBIDDEN_NAMES:
            for name in (lower, lower.title()):
                assert await guest.call("fields.from-list", [(name, b"")]) == FORBIDDEN
                assert await guest.call("fields.append", fields, name, b"\n") == FORBIDDEN
                assert await guest.call("fields.set", fields, name, []) == FORBIDDEN
                assert await guest.call("fields.delete", fields, name) == FORBIDDEN
                assert await guest.call("fields.get-and-delete", fields, name) == FORBIDDEN
        assert await guest.entries(fields) == [("te", b"trailers"), ("trailer", b"x-sum")]


async def test_changes() -> None:
    async with driven() as guest:
        fields = await guest.fields(("a", b"1"), ("b", b"2"), ("a", b"3"))
        assert await guest.call("fields.set", fields, "b", [b"4", b"5"]) == OK
        assert await guest.call("fields.set", fields, "b", [b"6", b"\n"]) == INVALID_SYNTAX
        assert await guest.call("fields.get", fields, "b") == [b"4", b"5"]
        copied = await guest.call("fields.clone", fields)
        assert await guest.call("fields.set", fields, "b", []) == OK
        assert await guest.call("fields.delete", fields, "absent") == OK
        assert await guest.call("fields.get-and-delete", fields, "a") == Ok([b"1", b"3"])
        assert await guest.entries(fields) == []
        assert len(await guest.entries(copied)) == 4


async def test_fields_that_are_too_large_are_an_error() -> None:
    full = b"v" * (MAX_SIZE - len("name") - 32 - 40)
    too_large = Err(Variant("size-exceeded"))
    async with driven() as guest:
        fields = await guest.fields(("name", full))
        assert await guest.call("fields.append", fields, "a", b"") == too_large
        assert await guest.call("fields.set", fields, "name", [full + b"v"]) == too_large
        assert await guest.call("fields.from-list", [("name", full + b"v")]) == too_large
        assert await guest.call("fields.get", fields, "name") == [full]


@pytest.mark.parametrize("message", ["received", "request", "response"])
async def test_the_headers_of_a_message_are_immutable(message: str) -> None:
    async with driven(request(IncomingContent(), (b"x", b"1"))) as guest:
        if message == "received":
            made, message = await guest.guest.call("requests#receive"), "request"
        else:
            made, _, _ = await guest.make(message, ("x", b"1"))
        headers = await guest.call(f"{message}.get-headers", made)
        await guest.call(f"drop {message}", made)  # whose headers are no child of it
        assert await guest.call("fields.append", headers, "x", b"2") == IMMUTABLE
        assert await guest.call("fields.append", headers, "x", b"\n") == INVALID_SYNTAX
        assert await guest.call("fields.set", headers, "x", [b"\n"]) == IMMUTABLE
        assert await guest.call("fields.delete", headers, "absent") == IMMUTABLE
        assert await guest.call("fields.get-and-delete", headers, "x") == IMMUTABLE
        assert await guest.entries(headers) == [("x", b"1")]
        copied = await guest.call("fields.clone", headers)
        assert await guest.call("fields.append", copied, "x", b"2") == OK


# --- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", sorted(VALID))
async def test_setters(what: str) -> None:
    name = what.replace("_", "-")

    def value(text: str) -> Any:
        return Variant("other", text) if what in {"method", "scheme"} else text

    async with driven() as guest:
        made, _, _ = await guest.make("request")
        for text in VALID[what]:
            assert await guest.call(f"request.set-{name}", made, value(text)) == OK
            assert await guest.call(f"request.get-{name}", made) == value(text)
        last = await guest.call(f"request.get-{name}", made)
        for text in INVALID[what]:
            assert await guest.call(f"request.set-{name}", made, value(text)) == Err()
            assert await guest.call(f"request.get-{name}", made) == last
        if what != "method":
            assert await guest.call(f"request.set-{name}", made, None) == OK
            assert await guest.call(f"request.get-{name}", made) is None


async def test_status_codes() -> None:
    async with driven() as guest:
        made, _, _ = await guest.make("response")
        assert await guest.call("response.get-status-code", made) == 200
        for status in (100, 204, 404, 600, 999):
            assert await guest.call("response.set-status-code", made, status) == OK
            assert await guest.call("response.get-status-code", made) == status
        for status in (0, 99, 1000, 65535):
            assert await guest.call("response.set-status-code", made, status) == Err()
        assert await guest.call("response.get-status-code", made) == 999


async def test_a_request_is_told_as_it_was_received() -> None:
    async with driven(request(IncomingContent())) as guest:
        received = await guest.guest.call("requests#receive")
        names = ("method", "path-with-query", "scheme", "authority", "options")
        told = [await guest.call(f"request.get-{name}", received) for name in names]
        assert told == [Variant("post"), "/a?b", Variant("HTTP"), "a.test", None]


# --- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["request", "response"])
async def test_a_message_that_is_dropped_gives_up_its_contents(message: str) -> None:
    async with driven() as guest:
        bytes_, writing = await guest.guest.new("bytes")
        made, trailers, came = await guest.make(message, contents=bytes_)
        await guest.call(f"drop {message}", made)
        assert await guest.guest.write("bytes", writing, b"data") == (0, True)
        assert await guest.guest.write_future("ended", trailers, Ok(None))
        never = Err(Variant("internal-error", "it was never sent"))
        assert await guest.guest.read_future("came", came) == never


async def consumed(guest: HttpGuest) -> tuple[int, int]:
    """The ends of the body and of the trailers of the next request."""
    received = await guest.guest.call("requests#receive")
    came, _ = await guest.guest.new("came")
    stream, ended = await guest.call("request.consume-body", received, came)
    return stream, ended


async def test_a_body_that_was_received_and_its_trailers() -> None:
    content = IncomingContent()
    async with driven(request(content)) as guest:
        stream, ended = await consumed(guest)
        content.feed(b"some")
        assert await guest.guest.read("bytes", stream, 2) == (list(b"so"), False)
        assert await guest.guest.read("bytes", stream, 8) == (list(b"me"), False)
        content.end(Fields.incoming([(b"x-sum", b"1"), (b"host", b"a.test")]))
        assert await guest.guest.read("bytes", stream, 8) == ([], True)
        told = await guest.guest.read_future("ended", ended)
        assert isinstance(told, Ok)
        assert await guest.entries(told.value) == [("x-sum", b"1")]
        assert await guest.call("fields.delete", told.value, "x-sum") == IMMUTABLE


async def test_what_is_not_read_of_a_body_is_skipped_for_its_trailers() -> None:
    content = IncomingContent()
    async with driven(request(content)) as guest:
        stream, ended = await consumed(guest)
        content.feed(b"never read")
        content.end()
        await guest.guest.call("ends#bytes.drop-readable", stream)
        assert await guest.guest.read_future("ended", ended) == Ok(None)


async def test_a_body_that_breaks_has_its_error_for_trailers() -> None:
    content = IncomingContent()
    async with driven(request(content)) as guest:
        stream, ended = await consumed(guest)
        content.feed(b"some")
        assert await guest.guest.read("bytes", stream, 8) == (list(b"some"), False)
        content.fail(Variant("connection-terminated"))
        assert await guest.guest.read("bytes", stream, 8) == ([], True)
        assert await guest.guest.read_future("ended", ended) == Err(
            Variant("connection-terminated")
        )


async def test_a_request_that_was_consumed_is_gone() -> None:
    async with driven(request(IncomingContent())) as guest:
        received = await guest.guest.call("requests#receive")
        came, _ = await guest.guest.new("came")
        await guest.call("request.consume-body", received, came)
        with pytest.raises(Trap, match="is not a resource"):
            await guest.call("request.get-method", received)
