"""wasi:http/types, bodies: incoming-body, future-trailers and outgoing-body."""

import json
from http.client import IncompleteRead

import pytest

from tests.conformance.probe import Probe

OK = {"Ok": None}
CLOSED = {"Err": "StreamError_Closed"}
FAILED = {"Err": {"StreamError_LastOperationFailed": "<Error>"}}

MIB = 1 << 20


# --- outgoing-body -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["OutgoingRequest", "OutgoingResponse"])
def test_a_body_can_be_written_before_anyone_sends_it(probe: Probe, message: str) -> None:
    """wasi:http/types, outgoing-body: without a consumer, 1 MiB can be written and the body finished."""
    assert probe(f"""
        message, body, stream = outgoing({message})
        permits = []
        while permit := stream.check_write():
            permits.append(permit)
            stream.write(bytes(min(permit, 300_000)))
        pollable = stream.subscribe()
        full = [stream.check_write(), pollable.ready(), attempt(stream.flush), attempt(stream.write, b"")]
        drop(pollable)
        drop(stream)
        result = [permits[0], permits[0] - permits[1], full, attempt(OutgoingBody.finish, body, None)]
    """) == [MIB, 300_000, [0, False, OK, OK], OK]


def test_a_full_body_blocks_without_a_consumer(hasty_probe: Probe) -> None:
    """wasi:http/types, outgoing-body: a blocking write waits for room, here until the guest's time is up."""
    with hasty_probe.open("""
        message, body, stream = outgoing(OutgoingRequest)
        stream.write_zeroes(stream.check_write())
        say("full")
        stream.blocking_write_and_flush(b"one more")
        say("written")
    """) as conversation:
        assert conversation.head().status == 504
        assert conversation.lines() == ["full"]


def test_a_full_body_has_room_again_when_it_is_sent(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: more than fits passes through, whole and in order."""
    response = probe.response("""
        body, stream = respond()
        pollable = stream.subscribe()
        for part in range(30):
            data = bytes([part]) * 100_000
            while data:
                pollable.block()
                permit = stream.check_write()
                stream.write(data[:permit])
                data = data[permit:]
        drop(pollable)
        finish(body, stream, bytes([255]) * 2_000_000)
    """)
    parts = b"".join(bytes([part]) * 100_000 for part in range(30))
    assert response.body == parts + b"\xff" * 2_000_000


def test_less_of_a_body_waits_once_it_is_sent(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: 64 KiB, so that who writes without pause leaves others their turn."""
    response = probe.response("""
        body, stream = respond()
        finish(body, stream, str(stream.check_write()).encode())
    """)
    assert response.body == b"65536"


def test_bodies_that_nobody_sends_are_bounded_together(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: all bodies of an invocation share 16 MiB of waiting bytes.

    A message that is given up leaves its part to the others.
    """
    assert probe("""
        made = [outgoing(OutgoingRequest) for _ in range(17)]
        permits = []
        for message, body, stream in made:
            permits.append(stream.check_write())
            stream.write_zeroes(permits[-1])
        last = made[16][2]
        pollable = last.subscribe()
        full = pollable.ready()
        drop(made[0][2])
        drop(made[0][1])
        drop(made[0][0])
        result = permits, full, pollable.ready(), last.check_write()
        drop(pollable)
        for message, body, stream in made[1:]:
            drop(stream)
            drop(body)
            drop(message)
    """) == [[1 << 20] * 16 + [0], False, True, 1 << 20]


def test_permits_cannot_be_piled_up(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: permits of many bodies that are used at once trap at twice the bound."""
    reason = probe.traps("""
        made = [outgoing(OutgoingRequest) for _ in range(40)]
        permits = [stream.check_write() for _, _, stream in made]
        for (_, _, stream), permit in zip(made, permits):
            stream.write_zeroes(permit)
    """)
    assert reason == "more than 33554432 bytes of bodies wait to be sent"


def test_flush_does_nothing(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: what was written is on its way; flush neither waits nor takes the permit."""
    assert probe("""
        message, body, stream = outgoing(OutgoingRequest)
        stream.check_write()
        stream.write(b"content")
        before = stream.check_write()
        result = [attempt(stream.flush), attempt(stream.blocking_flush), stream.check_write() == before]
    """) == [OK, OK, True]


def test_a_body_that_nobody_wants_is_closed(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: once its consumer is gone, the stream is closed, and ready."""
    assert probe("""
        message, body, stream = outgoing(OutgoingRequest)
        stream.write_zeroes(stream.check_write())
        pollable = stream.subscribe()
        before = pollable.ready()
        attempt(outgoing_handler.handle, message, None)
        result = [
            before,
            pollable.ready(),
            attempt(stream.check_write),
            attempt(stream.flush),
            attempt(stream.blocking_flush),
            attempt(stream.blocking_write_and_flush, b"more"),
            attempt(stream.blocking_write_zeroes_and_flush, 4),
            attempt(stream.check_write),
        ]
    """) == [False, True, CLOSED, OK, *[CLOSED] * 4]


SIZES = [
    ("OutgoingRequest", "ErrorCode_HttpRequestBodySize"),
    ("OutgoingResponse", "ErrorCode_HttpResponseBodySize"),
]


@pytest.mark.parametrize("message", ["OutgoingRequest", "OutgoingResponse"])
def test_a_body_of_just_the_announced_length(probe: Probe, message: str) -> None:
    """wasi:http/types, outgoing-body: one that is as long as `content-length` says can be finished."""
    assert probe(f"""
        result = []
        for length in (0, 11):
            message, body, stream = outgoing({message}, ("content-length", str(length)))
            if length:
                stream.blocking_write_and_flush(b"hello ")
                stream.blocking_write_and_flush(b"world")
            drop(stream)
            result.append(attempt(OutgoingBody.finish, body, None))
    """) == [OK, OK]


@pytest.mark.parametrize(("message", "code"), SIZES)
def test_a_body_that_is_too_short(probe: Probe, message: str, code: str) -> None:
    """wasi:http/types, outgoing-body: to finish it after 3 of 11 bytes is an error that says 3."""
    assert probe(f"""
        message, body, stream = outgoing({message}, ("content-length", "11"))
        stream.blocking_write_and_flush(b"abc")
        drop(stream)
        result = attempt(OutgoingBody.finish, body, None)
    """) == {"Err": {code: 3}}


@pytest.mark.parametrize(("message", "code"), SIZES)
@pytest.mark.parametrize("writes", [[18], [11, 7], [5, 13]])
def test_a_body_that_is_too_long(probe: Probe, message: str, code: str, writes: list[int]) -> None:
    """wasi:http/types, outgoing-body: the write that makes it longer than 11 bytes fails, with the total of 18.

    It fails once; then the stream is closed. To finish the body is the same error.
    """
    assert probe(f"""
        message, body, stream = outgoing({message}, ("content-length", "11"))
        outcomes = [attempt(stream.blocking_write_and_flush, b"x" * size) for size in {writes}]
        failure = outcomes[-1].value.value
        code = http_error_code(failure)
        outcomes.append(attempt(stream.check_write))
        drop(stream)
        result = [outcomes, code, bool(failure.to_debug_string()), attempt(OutgoingBody.finish, body, None)]
    """) == [[*[OK] * (len(writes) - 1), FAILED, CLOSED], {code: 18}, True, {"Err": {code: 18}}]


def test_finish_consumes_the_trailers(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: `finish` takes the trailers, whether or not they can be sent."""
    assert probe.traps("""
        message, body, stream = outgoing(OutgoingRequest)
        drop(stream)
        trailers = fields(("x-checksum", "1"))
        kept = forge(trailers)
        OutgoingBody.finish(body, trailers)
        kept.entries()
    """).startswith("unknown handle index")


FINISHED = {
    "too short": "drop(stream); attempt(OutgoingBody.finish, body, None)",
    "too long": "attempt(stream.blocking_write_and_flush, b'x' * 2000)",
}
UNFINISHED = {
    "dropped": "drop(stream); drop(body)",
    "left": "",
    "trapped": "poll.poll([])",
    "exited": "exit.exit(Ok(None))",
}
LENGTH = "('content-length', '1000')"


@pytest.mark.parametrize(
    ("headers", "ending"),
    [
        *[("", ending) for ending in UNFINISHED.values()],
        *[(LENGTH, ending) for ending in (UNFINISHED | FINISHED).values()],
    ],
    ids=[*UNFINISHED, *[f"{ending}, length" for ending in UNFINISHED | FINISHED]],
)
def test_a_body_that_is_not_whole_is_broken_off(probe: Probe, headers: str, ending: str) -> None:
    """wasi:http/types, outgoing-body: the client never sees a clean end of what was not finished.

    Nor does it when the whole store ends, where Wasmtime closes the body as if it were complete.
    """
    with probe.open(
        f"""
        turn = incoming()
        body, stream = respond({headers})
        stream.blocking_write_and_flush(b"begun ")
        turn.blocking_read(1)
        {ending}
        """,
        streaming=True,
    ) as conversation:
        response = conversation.head()
        assert response.status == 200
        assert response.read(6) == b"begun "
        conversation.send_chunk(b".")
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            response.read()


# --- incoming-body -----------------------------------------------------------------------------------------


def test_trailers_are_none_until_the_body_has_ended(probe: Probe) -> None:
    """wasi:http/types, future-trailers: none, then the trailers once, then an error.

    There are none to get: the server does not pass on the trailers of a request.
    """
    with probe.open(
        """
        trailers = IncomingBody.finish(request.consume())
        pollable = trailers.subscribe()
        before = [pollable.ready(), trailers.get(), trailers.get()]
        say("asked")
        pollable.block()
        result = [*before, pollable.ready(), trailers.get(), trailers.get(), trailers.get(), pollable.ready()]
        """,
        streaming=True,
    ) as conversation:
        conversation.said("asked")
        conversation.send_chunk(b"never read")
        conversation.send(b"0\r\nx-trailer: 1\r\n\r\n")
        answer = json.loads(conversation.head().read())
    assert answer["ok"] == [
        False, None, None, True, {"Ok": {"Ok": None}}, {"Err": None}, {"Err": None}, True,
    ]  # fmt: skip


@pytest.mark.parametrize("read", [0, 1])
def test_finish_drains_what_was_not_read(probe: Probe, read: int) -> None:
    """wasi:http/types, incoming-body: `finish` reads the rest, however long, for the trailers come after it."""
    assert probe(
        f"""
        stream = incoming()
        stream.blocking_skip({read})
        drop(stream)
        trailers = IncomingBody.finish(incoming_body)
        pollable = trailers.subscribe()
        pollable.block()
        result = trailers.get()
        """,
        body=bytes(3 * MIB),
    ) == {"Ok": {"Ok": None}}


@pytest.mark.parametrize(
    "source",
    [
        "drop(request)",
        "drop(request.consume())",
        "stream = incoming(); drop(stream); drop(incoming_body)",
        "drop(IncomingBody.finish(request.consume()))",
        "",
    ],
    ids=["request", "body", "stream and body", "future", "nothing"],
)
def test_a_body_that_is_dropped_holds_nobody_up(probe: Probe, source: str) -> None:
    """wasi:http/types, incoming-body: dropped or forgotten, the client can send all and is answered."""
    assert probe(f"{source}\nresult = 'answered'", body=bytes(3 * MIB)) == "answered"


# The response is complete before the request is, which the server takes for the end of both.
BREAK = """
        stream = incoming()
        finish(*respond(), b"complete")
        pollable = stream.subscribe()
        pollable.block()
"""


def test_a_body_that_breaks(probe: Probe) -> None:
    """wasi:http/types, incoming-body: its stream fails once, then it is closed.

    `http-error-code` gives the reason, where Wasmtime gives none. To files, the error is a foreign one.
    """
    with probe.open(
        f"""
        {BREAK}
        failed = attempt(stream.blocking_read, 1)
        error = failed.value.value
        tell(
            pollable.ready(),
            failed,
            http_error_code(error),
            filesystem_types.filesystem_error_code(error),
            bool(error.to_debug_string()),
            attempt(stream.blocking_read, 1),
            attempt(stream.read, 1),
        )
        """,
        streaming=True,
    ) as conversation:
        assert conversation.response().body == b"complete"
        assert conversation.told() == [
            True, FAILED, "ErrorCode_ConnectionTerminated", None, True, CLOSED, CLOSED,
        ]  # fmt: skip


def test_the_trailers_of_a_body_that_broke(probe: Probe) -> None:
    """wasi:http/types, future-trailers: the error of the body, unless its stream has told that; then none."""
    with probe.open(
        f"""
        {BREAK}
        drop(pollable)
        attempt(stream.blocking_read, 1)
        drop(stream)
        trailers = IncomingBody.finish(incoming_body)
        tell(trailers.get(), trailers.get())
        """,
        streaming=True,
    ) as conversation:
        conversation.head().read()
        assert conversation.told() == [{"Ok": {"Ok": None}}, {"Err": None}]
    with probe.open(
        f"""
        {BREAK}
        drop(pollable)
        drop(stream)
        trailers = IncomingBody.finish(incoming_body)
        tell(trailers.get(), trailers.get())
        """,
        streaming=True,
    ) as conversation:
        conversation.head().read()
        assert conversation.told() == [
            {"Ok": {"Err": "ErrorCode_ConnectionTerminated"}},
            {"Err": None},
        ]
