"""wasi:io/streams and wasi:io/error, with the streams of bodies and of standard output."""

import hashlib
import json

import pytest

from tests.conformance.probe import Probe

OK = {"Ok": None}
CLOSED = {"Err": "StreamError_Closed"}

READS = ["read", "blocking_read", "skip", "blocking_skip"]


# --- input-stream ------------------------------------------------------------------------------------------


def test_reading_to_the_end(probe: Probe) -> None:
    """wasi:io/streams: a read gives no more than was asked for, all in order, then `closed` for ever."""
    assert probe(
        """
        stream = incoming()
        parts = [stream.blocking_read(2), stream.blocking_read(1), stream.blocking_read(100)]
        result = [parts, *(attempt(getattr(stream, name), 1) for name in
                           ("blocking_read", "read", "skip", "blocking_skip", "read"))]
        """,
        body=b"content",
    ) == [["co", "n", "tent"], *[CLOSED] * 5]


def test_nothing_yet_is_empty(probe: Probe) -> None:
    """wasi:io/streams: `read` and `skip` give nothing where there is nothing, the others wait for a byte."""
    with probe.open(
        """
        stream = incoming()
        before = [stream.read(100), stream.skip(100), stream.read(0), stream.skip(0)]
        say("empty")
        result = [before, stream.blocking_read(1), stream.blocking_skip(1), stream.blocking_read(100)]
        """,
        streaming=True,
    ) as conversation:
        conversation.said("empty")
        for byte in (b"a", b"b", b"c"):
            conversation.send_chunk(byte)
        answer = json.loads(conversation.head().read())
    assert answer["ok"] == [["", 0, "", 0], "a", 1, "c"]


@pytest.mark.parametrize("read", READS)
def test_a_read_of_nothing(probe: Probe, read: str) -> None:
    """wasi:io/streams: a read of 0 bytes is empty while the stream is open, and `closed` once it is."""
    assert probe(
        f"""
        stream = incoming()
        pollable = stream.subscribe()
        pollable.block()
        opened = attempt(stream.{read}, 0)
        stream.blocking_read(100)
        result = [opened, attempt(stream.{read}, 0)]
        """,
        body=b"content",
    ) == [{"Ok": 0 if "skip" in read else ""}, CLOSED]


def test_a_read_of_all_there_is(probe: Probe) -> None:
    """wasi:io/streams: a guest may ask for 2^64 bytes; at most 64 KiB come at once, and none is lost."""
    body = bytes(range(256)) * 4096
    sizes, digest = probe(
        """
        import hashlib
        stream, sizes, digest = incoming(), [], hashlib.sha256()
        while isinstance(got := attempt(stream.blocking_read, 2**64 - 1), Ok):
            sizes.append(len(got.value))
            digest.update(got.value)
        result = [sizes, digest.hexdigest()]
        """,
        body=body,
    )
    assert 0 < min(sizes) <= max(sizes) <= 65536
    assert sum(sizes) == len(body)
    assert digest == hashlib.sha256(body).hexdigest()


def test_skip_counts(probe: Probe) -> None:
    """wasi:io/streams: a skip gives how many bytes it passed over."""
    assert probe(
        """
        stream = incoming()
        result = [stream.blocking_skip(3), stream.skip(2), stream.blocking_read(100)]
        """,
        body=b"content",
    ) == [3, 2, "nt"]


# --- output-stream -----------------------------------------------------------------------------------------

STREAMS = {
    "body": "message, body, stream = outgoing(OutgoingResponse)",
    "stdout": "stream = stdout.get_stdout()",
}
opened = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


@opened
def test_writing_without_a_permit_traps(probe: Probe, stream: str) -> None:
    """wasi:io/streams: `write` is for what `check-write` has permitted; there is no permit before it."""
    reason = probe.traps(f"{stream}\nstream.write(b'abc')")
    assert reason == "write of 3 bytes exceeds the 0 that check-write permitted"


@opened
@pytest.mark.parametrize(
    "write", ["write(bytes(permit + 1))", "write_zeroes(permit + 1)", "write_zeroes(2**64 - 1)"]
)
def test_writing_beyond_the_permit_traps(probe: Probe, stream: str, write: str) -> None:
    """wasi:io/streams: one byte over the permit traps, in bodies too, where Wasmtime does not count."""
    reason = probe.traps(f"{stream}\npermit = stream.check_write()\nstream.{write}")
    assert reason.endswith("that check-write permitted")


@opened
def test_a_permit_is_spent(probe: Probe, stream: str) -> None:
    """wasi:io/streams: two writes share one permit, and a flush ends it."""
    assert probe.traps(f"""
        {stream}
        permit = stream.check_write()
        stream.write(bytes(permit - 2))
        stream.write(b"12")
        stream.write(b"3")
    """).startswith("write of 1 bytes exceeds the 0")
    assert probe.traps(f"""
        {stream}
        stream.check_write()
        stream.flush()
        stream.write(b"1")
    """).startswith("write of 1 bytes exceeds the 0")


@opened
@pytest.mark.parametrize(
    "call",
    [
        "blocking_write_and_flush(bytes(4097))",
        "blocking_write_zeroes_and_flush(4097)",
        "blocking_write_zeroes_and_flush(2**64 - 1)",
    ],
)
def test_blocking_writes_of_more_than_4096_bytes_trap(probe: Probe, stream: str, call: str) -> None:
    """wasi:io/streams: the blocking writes are for small pieces."""
    assert "4096" in probe.traps(f"{stream}\nstream.{call}")


def test_what_was_written_arrives(probe: Probe) -> None:
    """wasi:io/streams: by every kind of write, in order; the blocking ones need no permit and take 4096 bytes."""
    response = probe.response("""
        body, stream = respond()
        assert stream.check_write() >= 6
        stream.write(b"one")
        stream.write(b"")
        stream.write_zeroes(3)
        stream.write_zeroes(0)
        stream.flush()
        stream.blocking_write_and_flush(b"2" * 4096)
        stream.blocking_write_zeroes_and_flush(4096)
        stream.blocking_write_and_flush(b"")
        stream.blocking_write_zeroes_and_flush(0)
        stream.blocking_flush()
        finish(body, stream, b"end")
    """)
    assert response.body == b"one\0\0\0" + b"2" * 4096 + bytes(4096) + b"end"


def test_blocking_writes_go_on_over_permits(probe: Probe) -> None:
    """wasi:io/streams: where less fits than is to be written, a blocking write waits for more room."""
    response = probe.response("""
        response, body, stream = outgoing(OutgoingResponse)
        stream.write(b"." * (stream.check_write() - 10))
        assert stream.check_write() == 10
        ResponseOutparam.set(response_out, Ok(response))
        response_set = True
        finish(body, stream, b"x" * 4096)
    """)
    assert response.body.endswith(b"." + b"x" * 4096)


# --- splice ------------------------------------------------------------------------------------------------


def test_splice_moves_what_is_there(probe: Probe) -> None:
    """wasi:io/streams: `splice` moves no more than it is told, than is there and than fits; it gives the count."""
    response = probe.response(
        """
        source = incoming()
        body, stream = respond()
        arrived = source.subscribe()
        arrived.block()
        counts = [stream.splice(source, 0), stream.splice(source, 3), stream.splice(source, 100)]
        stream.blocking_write_and_flush(json.dumps(counts).encode())
        finish(body, stream, json.dumps(to_json(attempt(stream.splice, source, 1))).encode())
        """,
        body=b"content",
    )
    assert response.body == b'content[0, 3, 4]{"Err": "StreamError_Closed"}'


def test_splice_without_room_moves_nothing(probe: Probe) -> None:
    """wasi:io/streams: no permit, no bytes; those of the source stay there."""
    assert probe(
        """
        source = incoming()
        arrived = source.subscribe()
        arrived.block()
        message, body, stream = outgoing(OutgoingRequest)
        stream.write_zeroes(stream.check_write())
        result = [stream.splice(source, 100), source.read(100)]
        """,
        body=b"content",
    ) == [0, "content"]


def test_splice_of_nothing_yet(probe: Probe) -> None:
    """wasi:io/streams: `splice` gives 0 while there is nothing, `blocking-splice` waits for a byte."""
    with probe.open(
        """
        source = incoming()
        message, body, stream = outgoing(OutgoingResponse)
        before = stream.splice(source, 100)
        say("empty")
        result = [before, stream.blocking_splice(source, 100)]
        """,
        streaming=True,
    ) as conversation:
        conversation.said("empty")
        conversation.send_chunk(b"content")
        assert conversation.head().read() == b'{"ok": [0, 7]}'


@pytest.mark.parametrize("splice", ["splice", "blocking_splice"])
def test_the_errors_of_either_side_end_a_splice(probe: Probe, splice: str) -> None:
    """wasi:io/streams: `closed` of the source, or of the stream that is written to."""
    assert probe(
        f"""
        source = incoming()
        message, body, stream = outgoing(OutgoingRequest)
        ended = attempt(stream.{splice}, stdin.get_stdin(), 1)
        attempt(outgoing_handler.handle, message, None)
        gone = attempt(stream.{splice}, source, 1)
        result = [ended, gone, source.blocking_read(100)]
        """,
        body=b"content",
    ) == [CLOSED, CLOSED, "content"]


def test_an_echo_by_splice(probe: Probe) -> None:
    """wasi:io/streams: `blocking-splice` alone copies a body of any length."""
    part = bytes(range(256)) * 256
    with probe.open(
        """
        source = incoming()
        body, stream = respond()
        while isinstance(attempt(stream.blocking_splice, source, 2**64 - 1), Ok):
            pass
        finish(body, stream)
        """,
        streaming=True,
    ) as conversation:
        response = conversation.head()
        for _ in range(50):
            conversation.send_chunk(part)
            assert response.read(len(part)) == part
        conversation.send_chunk(b"")
        assert response.read() == b""
