"""What guests pass to host functions, of sizes that nobody needs: nothing else may stand still meanwhile."""

from __future__ import annotations

import pytest

from tests.conformance.probe import Probe
from tests.harness import GatewayProcess
from tests.stalls import stalls_of

MAX_ARGUMENT = 2 << 20
MAX_ELEMENTS = 8192

TOO_LARGE = {
    "wasi:http/types#[method]fields.set": (
        "Fields().set('a', [b''] * 100_000)",
        "list<list<u8>>",
        100_000,
    ),
    "wasi:http/types#[static]fields.from-list": (
        "Fields.from_list([('a', b'')] * 100_000)",
        "list<tuple<string, list<u8>>>",
        100_000,
    ),
    "wasi:http/types#[method]fields.append": (
        "Fields().append('a' * 3_000_000, b'')",
        "string",
        3_000_000,
    ),
    "wasi:http/types#[method]outgoing-request.set-path-with-query": (
        "OutgoingRequest(Fields()).set_path_with_query('/' * 3_000_000)",
        "string",
        3_000_000,
    ),
    "wasi:http/types#[method]outgoing-request.set-authority": (
        "OutgoingRequest(Fields()).set_authority('a' * 3_000_000)",
        "string",
        3_000_000,
    ),
    "wasi:http/types#[method]outgoing-request.set-method": (
        "OutgoingRequest(Fields()).set_method(Method_Other('A' * 3_000_000))",
        "string",
        3_000_000,
    ),
    "wasi:io/poll#poll": (
        "poll.poll([monotonic_clock.subscribe_duration(0)] * 20_000)",
        "list<borrow<pollable>>",
        20_000,
    ),
}


@pytest.mark.parametrize("function", TOO_LARGE)
def test_what_is_too_large_traps(serving: GatewayProcess, probe: Probe, function: str) -> None:
    """A departure from WIT: an argument has 2 MiB and 8192 elements of lists at most (Wasmtime: 128 MiB)."""
    source, ty, length = TOO_LARGE[function]
    before = stalls(serving)
    assert probe.traps(source) == (
        f"{function}: a {ty} of length {length}; an argument may have {MAX_ARGUMENT} bytes and "
        f"{MAX_ELEMENTS} elements of lists"
    )
    assert stalls(serving) == before


def test_the_parts_of_a_list_count_together(probe: Probe) -> None:
    """A departure from WIT: many strings of a list are as much as a long one."""
    assert probe.traps("Fields().set('a', [bytes(300_000)] * 8)") == (
        "wasi:http/types#[method]fields.set: a list<u8> of length 300000; an argument may have "
        f"{MAX_ARGUMENT} bytes and {MAX_ELEMENTS} elements of lists"
    )


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (
            f"""
            stream = incoming()
            pollables = [stream.subscribe() for _ in range({MAX_ELEMENTS - 1})]
            soon = monotonic_clock.subscribe_duration(1_000_000)
            result = [poll.poll([*pollables, soon]) for _ in range(5)]
            """,
            [[MAX_ELEMENTS - 1]] * 5,
        ),
        (
            f"""
            never = [
                monotonic_clock.subscribe_duration(2**63 + i) for i in range({MAX_ELEMENTS - 2})
            ]
            soon = monotonic_clock.subscribe_duration(1_000_000)
            result = [poll.poll([soon, *never, soon]) for _ in range(5)]
            """,
            [[0, MAX_ELEMENTS - 1]] * 5,
        ),
        (
            """
            made = Fields()
            made.set("a", [b""] * 3_000)
            result = [len(made.clone().entries()) for _ in range(5)]
            """,
            [3_000] * 5,
        ),
        (
            """
            request = OutgoingRequest(Fields())
            request.set_path_with_query("/" + "a" * 2_000_000)
            request.set_method(Method_Other("A" * 2_000_000))
            result = len(request.path_with_query())
            """,
            2_000_001,
        ),
    ],
    ids=["one body polled", "timers polled", "fields", "strings"],
)
def test_what_is_just_not_too_large(
    serving: GatewayProcess, probe: Probe, source: str, result: object
) -> None:
    """The largest arguments hold nobody up."""
    before = stalls(serving)
    # The request's body never comes.
    assert probe(source, streaming=True) == result
    assert stalls(serving) == before


def stalls(serving: GatewayProcess) -> dict[str, float]:
    """What has held the loop so far."""
    return stalls_of(serving.wait_for_log(event="listening")["admin_url"])
