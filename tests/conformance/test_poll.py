"""wasi:io/poll, with the pollables of clocks and bodies."""

from tests.conformance.probe import Probe

NEVER = "never = monotonic_clock.subscribe_duration(2**64 - 1)"


def test_an_empty_list_traps(probe: Probe) -> None:
    """wasi:io/poll: there is nothing to wait for in an empty list."""
    assert probe.traps("poll.poll([])") == "poll of an empty list"


def test_every_ready_index_is_returned(probe: Probe) -> None:
    """wasi:io/poll: a pollable may be in the list twice, and several may be on one source."""
    assert probe(
        f"""
        {NEVER}
        stream = incoming()
        first, second = stream.subscribe(), stream.subscribe()
        first.block()
        result = poll.poll([first, never, second, first])
        """,
        body=b"there",
    ) == [0, 2, 3]


def test_poll_waits_for_one(probe: Probe) -> None:
    """wasi:io/poll: it returns as soon as one is ready, and never without."""
    assert probe(f"""
        {NEVER}
        soon = monotonic_clock.subscribe_duration(1_000_000)
        result = [poll.poll([never, soon]), never.ready(), soon.ready()]
    """) == [[1], False, True]


def test_poll_waits_for_what_is_outside(probe: Probe) -> None:
    """wasi:io/poll: bytes of the request's body end a wait that nothing inside of the guest would."""
    with probe.open(
        f"""
        {NEVER}
        stream = incoming()
        arrived = stream.subscribe()
        before = arrived.ready()
        say("waiting")
        result = [before, poll.poll([never, arrived]), arrived.ready(), stream.read(100)]
        """,
        streaming=True,
    ) as conversation:
        conversation.said("waiting")
        conversation.send_chunk(b"arrived")
        assert conversation.head().read() == b'{"ok": [false, [1], true, "arrived"]}'


def test_ready_never_blocks_and_a_pollable_is_reusable(probe: Probe) -> None:
    """wasi:io/poll: `ready` answers at once, as often as it is asked; once it is true, so do the others."""
    assert probe(
        f"""
        {NEVER}
        stream = incoming()
        pollable = stream.subscribe()
        seen = [never.ready(), never.ready()]
        for part in (b"ab", b"cd"):
            pollable.block()
            pollable.block()
            seen += [pollable.ready(), pollable.ready(), poll.poll([pollable]), stream.read(2)]
        result = seen
        """,
        body=b"abcd",
    ) == [False, False, *[True, True, [0], "ab"], *[True, True, [0], "cd"]]


def test_a_pollable_is_not_ready_when_all_is_read(probe: Probe) -> None:
    """wasi:io/poll: readiness is what there is now; it comes and goes."""
    with probe.open(
        """
        stream = incoming()
        pollable = stream.subscribe()
        seen = []
        for part in ("one", "two"):
            pollable.block()
            seen += [stream.read(100), pollable.ready()]
            say(part)
        pollable.block()
        result = [*seen, attempt(stream.read, 1), pollable.ready()]
        """,
        streaming=True,
    ) as conversation:
        conversation.send_chunk(b"one")
        conversation.said("one")
        conversation.send_chunk(b"two")
        conversation.said("two")
        conversation.send_chunk(b"")
        assert conversation.head().read() == (
            b'{"ok": ["one", false, "two", false, {"Err": "StreamError_Closed"}, true]}'
        )


def test_the_end_counts_as_readiness(probe: Probe) -> None:
    """wasi:io/poll: a stream that has ended or is closed is ready, for there is nothing to wait for."""
    assert probe(
        """
        stream = incoming()
        ended = stream.subscribe()
        stream.blocking_read(100)
        at_end = attempt(stream.blocking_read, 100)

        closed = stdin.get_stdin()

        message, body, written = outgoing(OutgoingRequest)
        written.write_zeroes(written.check_write())
        full = written.subscribe()
        before = full.ready()
        attempt(outgoing_handler.handle, message, None)

        result = [at_end, before, poll.poll([ended, closed.subscribe(), full])]
        """,
        body=b"all",
    ) == [{"Err": "StreamError_Closed"}, False, [0, 1, 2]]
