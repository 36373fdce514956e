"""wasi:cli, in a guest that has arguments and an environment (those of `conftest.py`)."""

import pytest

from tests.conformance.probe import Probe

CLOSED = {"Err": "StreamError_Closed"}


# --- environment -------------------------------------------------------------------------------------------


def test_the_environment_is_in_order(probe: Probe) -> None:
    """wasi:cli/environment: pairs in the order of the configuration, and none of the gateway's own."""
    assert probe("result = environment.get_environment()") == [
        ["ZEBRA", "1"],
        ["ANT", ""],
        ["MIX", "a=b ü"],
    ]


def test_the_arguments(probe: Probe) -> None:
    """wasi:cli/environment: the arguments of the configuration, after a name for the program."""
    name, *arguments = probe("result = environment.get_arguments()")
    assert name == "main.wasm"
    assert arguments == ["first", "second argument"]


def test_no_directory_to_begin_in(probe: Probe) -> None:
    """wasi:cli/environment: no directory is granted, so none is the initial one."""
    assert probe("result = [environment.initial_cwd(), preopens.get_directories()]") == [None, []]


# --- exit --------------------------------------------------------------------------------------------------

EXITS = [
    ("exit.exit(Ok(None))", 0),
    ("exit.exit(Err(None))", 1),
    ("exit.exit_with_code(0)", 0),
    ("exit.exit_with_code(1)", 1),
    ("exit.exit_with_code(255)", 255),
]


@pytest.mark.parametrize(("call", "status"), EXITS)
def test_exit_ends_the_guest(probe: Probe, call: str, status: int) -> None:
    """wasi:cli/exit: it never returns and is no trap; without a response by then, the request fails."""
    with probe.open(f"""
        say("before")
        try:
            {call}
        finally:
            say("after")
    """) as conversation:
        response = conversation.response()
        assert (response.status, response.problem) == (500, "component-failed")
        assert conversation.lines() == ["before"]
        ended = conversation.log("invocation ended early")
        assert ended["reason"] == f"the guest exited with status {status}"
        assert conversation.log("request")["outcome"] == "err"
        assert "component trapped" not in [record["event"] for record in conversation.logs()]


@pytest.mark.parametrize(("call", "status"), EXITS)
def test_exit_after_the_response(probe: Probe, call: str, status: int) -> None:
    """wasi:cli/exit: a response that was finished is sent whole; the status tells how the invocation went."""
    with probe.open(f"""
        finish(*respond(), b"whole")
        {call}
    """) as conversation:
        assert conversation.response().body == b"whole"
        assert conversation.log("request")["outcome"] == ("err" if status else "ok")


# --- stdin, stdout, stderr ---------------------------------------------------------------------------------


def test_stdin_is_closed(probe: Probe) -> None:
    """wasi:cli/stdin: there is no input, a read of 0 bytes included, which Wasmtime lets pass."""
    outcomes = probe("""
        stream = stdin.get_stdin()
        result = [
            attempt(getattr(stream, name), size)
            for name in ("read", "blocking_read", "skip", "blocking_skip") for size in (0, 1)
        ]
    """)
    assert outcomes == [CLOSED] * 8


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_output_becomes_lines_of_the_log(probe: Probe, name: str) -> None:
    """wasi:cli/stdout, stderr: each line is a record with the stream, the component and the request."""
    with probe.open(f"""
        stream = {name}.get_{name}()
        stream.blocking_write_and_flush("first\\nsec".encode())
        stream.blocking_write_and_flush("ond ü\\r\\nlast, without an end".encode())
    """) as conversation:
        conversation.head().read()
        records = [record for record in conversation.logs() if record["event"] == "guest output"]
    assert [record["line"] for record in records] == ["first", "second ü", "last, without an end"]
    assert {(record["stream"], record["component"]) for record in records} == {(name, "probe")}


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_every_handle_is_a_new_one(probe: Probe, name: str) -> None:
    """wasi:cli: each `get` gives a handle of its own; dropping one leaves the others."""
    assert probe(f"""
        first, second = {name}.get_{name}(), {name}.get_{name}()
        assert first.handle != second.handle
        drop(first)
        pollable = second.subscribe()
        result = pollable.ready()
    """)


def test_all_handles_are_on_one_stream(probe: Probe) -> None:
    """wasi:cli/stdout: what is written to two handles is one stream, here one line."""
    with probe.open("""
        for part in (b"one ", b"line", b"\\n"):
            stdout.get_stdout().blocking_write_and_flush(part)
    """) as conversation:
        conversation.head().read()
        assert conversation.lines() == ["one line"]


def test_there_is_no_terminal(probe: Probe) -> None:
    """wasi:cli/terminal-stdin, -stdout, -stderr: none, whatever the gateway itself runs on."""
    assert probe("""
        result = [
            terminal_stdin.get_terminal_stdin(),
            terminal_stdout.get_terminal_stdout(),
            terminal_stderr.get_terminal_stderr(),
        ]
    """) == [None, None, None]
