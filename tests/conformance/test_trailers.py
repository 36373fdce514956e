"""wasi:http/types, the trailers of a request.

The server passes none on, so these guests get their body from a test instead of a gateway.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.bindings import io
from gateway.bindings.http.body import IncomingContent
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.types import INTERFACES, IncomingBody
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok, Variant
from tests.driven_guest import IO, DrivenGuest, driven_guest, driving

pytestmark = pytest.mark.anyio

IMPORTS = f"""{IO}
  (import "wasi:http/types@0.2.12" (instance $types
    (alias outer 1 $pollable (type $outer-pollable))
    (alias outer 1 $input-stream (type $outer-input))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "input-stream" (type $input (eq $outer-input)))
    (type $code (variant (case "connection-terminated")))
    (export "error-code" (type $error-code (eq $code)))
    (type $header (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header)))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-body" (type $incoming-body (sub resource)))
    (export "future-trailers" (type $future-trailers (sub resource)))
    (type $got (result (option (own $fields)) (error $error-code)))
    (export "[method]fields.entries"
      (func (param "self" (borrow $fields)) (result (list (tuple string (list u8))))))
    (export "[method]fields.append" (func (param "self" (borrow $fields))
      (param "name" string) (param "value" (list u8)) (result (result (error $header-error)))))
    (export "[method]incoming-body.stream"
      (func (param "self" (borrow $incoming-body)) (result (result (own $input)))))
    (export "[static]incoming-body.finish"
      (func (param "this" (own $incoming-body)) (result (own $future-trailers))))
    (export "[method]future-trailers.subscribe"
      (func (param "self" (borrow $future-trailers)) (result (own $pollable))))
    (export "[method]future-trailers.get"
      (func (param "self" (borrow $future-trailers)) (result (option (result $got)))))))
  (alias export $types "incoming-body" (type $incoming-body))
  (import "test:host/bodies" (instance
    (alias outer 1 $incoming-body (type $outer-body))
    (export "incoming-body" (type $body (eq $outer-body)))
    (export "body" (func (result (own $body))))))
"""

FINISH = "types#incoming-body.finish"
GET = "types#future-trailers.get"
SUBSCRIBE = "types#future-trailers.subscribe"
READY = "poll#pollable.ready"

GONE = Ok(Err(Variant("connection-terminated")))
TRAILERS = [(b"x-checksum", b"1"), (b"transfer-encoding", b"chunked"), (b"host", b"a.test")]


@asynccontextmanager
async def receiving(content: IncomingContent) -> AsyncIterator[tuple[DrivenGuest, int]]:
    """A guest, and its handle on a body of this content."""
    bodies = HostInterface("test:host/bodies", None)
    bodies.function("body")(lambda _ctx: IncomingBody(content))
    interfaces = (*io.INTERFACES, *INTERFACES, bodies)
    async with driving(driven_guest(IMPORTS), interfaces) as guest:
        yield guest, await guest.call("bodies#body")


async def test_they_are_got_once() -> None:
    """wasi:http/types, future-trailers: none until the body has ended, then the trailers, then an error."""
    content = IncomingContent()
    async with receiving(content) as (guest, body):
        future = await guest.call(FINISH, body)
        pollable = await guest.call(SUBSCRIBE, future)
        assert await guest.call(GET, future) is None
        assert await guest.call(READY, pollable) is False
        content.feed(b"never read")
        content.end(Fields.incoming(TRAILERS))
        assert await guest.call(READY, pollable) is True
        match await guest.call(GET, future):
            case Ok(Ok(int(trailers))):
                entries = await guest.call("types#fields.entries", trailers)
            case other:
                pytest.fail(f"no trailers: {other}")
        assert entries == [("x-checksum", b"1")]
        assert await guest.call(GET, future) == Err()
        assert await guest.call(GET, future) == Err()


async def test_they_are_immutable_and_outlive_the_future() -> None:
    """wasi:http/types, fields: trailers are `immutable`, and, a departure from WIT, no child of their future."""
    content = IncomingContent()
    content.end(Fields.incoming(TRAILERS))
    async with receiving(content) as (guest, body):
        future = await guest.call(FINISH, body)
        trailers = (await guest.call(GET, future)).value.value
        await guest.call("types#drop future-trailers", future)
        outcome = await guest.call("types#fields.append", trailers, "x-checksum", b"2")
        assert outcome == Err(Variant("immutable"))
        assert await guest.call("types#fields.entries", trailers) == [("x-checksum", b"1")]


async def test_there_may_be_none() -> None:
    """wasi:http/types, future-trailers: a body that ends without any has none."""
    content = IncomingContent()
    content.end()
    async with receiving(content) as (guest, body):
        future = await guest.call(FINISH, body)
        assert await guest.call(GET, future) == Ok(Ok(None))
        assert await guest.call(GET, future) == Err()


async def test_a_body_that_breaks_has_its_error_for_trailers() -> None:
    """wasi:http/types, future-trailers: what went wrong, where no stream has told it yet."""
    content = IncomingContent()
    async with receiving(content) as (guest, body):
        future = await guest.call(FINISH, body)
        content.fail(Variant("connection-terminated"))
        assert await guest.call(GET, future) == GONE
        assert await guest.call(GET, future) == Err()


async def test_an_error_that_was_read_is_not_told_again() -> None:
    """wasi:http/types, future-trailers: after a stream that has failed there are no trailers, and no error."""
    content = IncomingContent()
    async with receiving(content) as (guest, body):
        stream = (await guest.call("types#incoming-body.stream", body)).value
        content.feed(b"begun")
        content.fail(Variant("connection-terminated"))
        assert await guest.call("streams#input-stream.read", stream, 100) == Ok(b"begun")
        match await guest.call("streams#input-stream.read", stream, 100):
            case Err(Variant("last-operation-failed", int())):
                pass
            case other:
                pytest.fail(f"no failure: {other}")
        assert await guest.call("streams#input-stream.read", stream, 100) == Err(Variant("closed"))
        await guest.call("streams#drop input-stream", stream)
        future = await guest.call(FINISH, body)
        assert await guest.call(GET, future) == Ok(Ok(None))


async def test_their_pollable_is_a_child() -> None:
    """Children: the future must outlive its pollable."""
    content = IncomingContent()
    async with receiving(content) as (guest, body):
        future = await guest.call(FINISH, body)
        await guest.call(SUBSCRIBE, future)
        with pytest.raises(Trap, match="resource has children"):
            await guest.call("types#drop future-trailers", future)
