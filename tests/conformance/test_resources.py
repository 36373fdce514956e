"""Resources: who owns them, what keeps them alive, and what a guest that breaks the rules gets."""

import pytest

from tests.conformance.probe import Probe

CLOSED = {"Err": "StreamError_Closed"}


def test_a_resource_that_was_given_away_is_out_of_reach(probe: Probe) -> None:
    """Canonical ABI: `own<T>` passed to the host takes the handle away; to use it again traps."""
    reason = probe.traps("""
        headers = Fields()
        again = forge(headers)
        OutgoingResponse(headers)
        again.entries()
    """)
    assert reason.startswith("unknown handle index")


def test_a_resource_that_was_given_away_was_not_dropped(probe: Probe) -> None:
    """Canonical ABI: `own<T>` passed to the host is no drop; the host has the resource from then on.

    Dropping an outgoing-body would abort it. Here it is given to the host, which sends all of it.
    """
    response = probe.response("""
        body, stream = respond()
        finish(body, stream, b"whole")
    """)
    assert (response.status, response.body) == (200, b"whole")


def test_a_resource_that_was_dropped_is_out_of_reach(probe: Probe) -> None:
    """Canonical ABI: to use a handle that was dropped traps."""
    reason = probe.traps("""
        headers = Fields()
        again = forge(headers)
        drop(headers)
        again.entries()
    """)
    assert reason.startswith("unknown handle index")


def test_a_handle_of_another_type_traps(probe: Probe) -> None:
    """Canonical ABI: a handle is good for resources of its own type only."""
    reason = probe.traps("""
        headers = Fields()
        pollable = monotonic_clock.subscribe_duration(0)
        pollable.handle = headers.handle
        pollable.ready()
    """)
    assert "handle index" in reason


@pytest.mark.parametrize(
    ("parent", "source"),
    [
        (
            "BodyInputStream",
            """
            stream = incoming()
            pollable = stream.subscribe()
            drop(stream)
            """,
        ),
        (
            "BodyOutputStream",
            """
            response, body, stream = outgoing(OutgoingResponse)
            pollable = stream.subscribe()
            drop(stream)
            """,
        ),
        (
            "FutureTrailers",
            """
            trailers = IncomingBody.finish(request.consume())
            pollable = trailers.subscribe()
            drop(trailers)
            """,
        ),
        (
            "NoInput",
            """
            stream = stdin.get_stdin()
            pollable = stream.subscribe()
            drop(stream)
            """,
        ),
        (
            "StandardOutput",
            """
            stream = stdout.get_stdout()
            pollable = stream.subscribe()
            drop(stream)
            """,
        ),
        (
            "IncomingBody",
            """
            stream = incoming()
            drop(incoming_body)
            """,
        ),
        (
            "IncomingBody",
            """
            stream = incoming()
            IncomingBody.finish(incoming_body)
            """,
        ),
        (
            "OutgoingBody",
            """
            response, body, stream = outgoing(OutgoingResponse)
            drop(body)
            """,
        ),
        (
            "OutgoingBody",
            """
            request, body, stream = outgoing(OutgoingRequest)
            OutgoingBody.finish(body, None)
            """,
        ),
    ],
    ids=[
        "pollable of incoming stream",
        "pollable of outgoing stream",
        "pollable of trailers",
        "pollable of stdin",
        "pollable of stdout",
        "incoming stream, body dropped",
        "incoming stream, body finished",
        "outgoing stream, body dropped",
        "outgoing stream, body finished",
    ],
)
def test_a_parent_must_outlive_its_children(probe: Probe, parent: str, source: str) -> None:
    """Children: a pollable of what it was subscribed to, and the streams of bodies; the parent's end traps."""
    assert probe.traps(source) == f"{parent}: resource has children"


def test_children_may_go_before_their_parents(probe: Probe) -> None:
    """Children: once they are dropped, so may be the parent."""
    outcome = probe("""
        stream = incoming()
        first, second = stream.subscribe(), stream.subscribe()
        drop(second)
        drop(first)
        drop(stream)
        drop(incoming_body)
        drop(request)
        result = "fine"
    """)
    assert outcome == "fine"


def test_headers_and_bodies_may_outlive_their_message(probe: Probe) -> None:
    """Children, a departure from WIT as in Wasmtime: headers and bodies are none; the message may go first.

    A body that has no message any more goes nowhere: its stream is closed.
    """
    assert probe(
        """
        sent, incoming_headers = request.consume(), request.headers()
        drop(request)
        stream = sent.stream()

        response, body, out = outgoing(OutgoingResponse, ("x-kept", "1"))
        headers = response.headers()
        drop(response)
        written = attempt(out.check_write)

        outgoing_request, request_body, request_out = outgoing(OutgoingRequest, ("x-kept", "2"))
        request_headers = outgoing_request.headers()
        drop(outgoing_request)
        request_written = attempt(request_out.check_write)

        result = [
            incoming_headers.get("x-sent"), stream.blocking_read(9),
            headers.entries(), written, request_headers.entries(), request_written,
        ]
        """,
        headers=[("x-sent", "1")],
        body=b"content",
    ) == [["1"], "content", [["x-kept", "1"]], CLOSED, [["x-kept", "2"]], CLOSED]


def test_what_a_guest_never_dropped_is_no_failure(probe: Probe) -> None:
    """Handles that are alive when the guest returns, parents and children alike, are the host's to free."""
    response = probe.response("""
        body, stream = respond()
        kept = [stream.subscribe(), Fields(), monotonic_clock.subscribe_duration(2**64 - 1), incoming()]
        kept.append(kept[-1].subscribe())
        stream.blocking_write_and_flush(b"kept")
        drop(kept.pop(0))
        finish(body, stream)
    """)
    assert (response.status, response.body) == (200, b"kept")


def test_a_trap_ends_the_invocation_and_no_other(probe: Probe) -> None:
    """A trap in a host function: the guest goes no further, and the next request has an instance of its own."""
    with probe.open("""
        say("before")
        try:
            poll.poll([])
        finally:
            say("after")
    """) as conversation:
        assert conversation.head().status == 500
        assert conversation.lines() == ["before"]
    assert probe("result = 'served'") == "served"


def test_handles_are_bounded(probe: Probe) -> None:
    """Resource table: a guest that never drops is stopped by a trap; the host's memory is not its to fill.

    The engine's own limit, 100,000 handles, comes before that of the host's table, 1,000,000 resources.
    """
    reason = probe.traps("""
        while True:
            headers = Fields()
            headers.finalizer.detach()
    """)
    assert "handle limit" in reason
    assert probe("result = 'served'") == "served"
