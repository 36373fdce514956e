"""wasi:cli: environment, exit, the standard streams and terminals."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.bindings import cli, io
from gateway.bindings.cli import CliCtx
from gateway.bindings.context import WasiCtx
from gateway.host.errors import Exit, Trap
from gateway.host.values import Err, Ok, Variant
from tests.driven_guest import IO, driven_guest, driving

pytestmark = pytest.mark.anyio

INTERFACES = (*io.INTERFACES, *cli.INTERFACES)
IMPORTS = f"""{IO}
  (import "wasi:cli/environment@0.2.12" (instance
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))
    (export "initial-cwd" (func (result (option string))))))
  (import "wasi:cli/exit@0.2.12" (instance
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))))
  (import "wasi:cli/stdin@0.2.12" (instance
    (alias outer 1 $input-stream (type $outer))
    (export "input-stream" (type $input (eq $outer)))
    (export "get-stdin" (func (result (own $input))))))
  (import "wasi:cli/stdout@0.2.12" (instance
    (alias outer 1 $output-stream (type $outer))
    (export "output-stream" (type $output (eq $outer)))
    (export "get-stdout" (func (result (own $output))))))
  (import "wasi:cli/stderr@0.2.12" (instance
    (alias outer 1 $output-stream (type $outer))
    (export "output-stream" (type $output (eq $outer)))
    (export "get-stderr" (func (result (own $output))))))
  (import "wasi:cli/terminal-input@0.2.12" (instance $terminal-in
    (export "terminal-input" (type (sub resource)))))
  (alias export $terminal-in "terminal-input" (type $terminal-input))
  (import "wasi:cli/terminal-output@0.2.12" (instance $terminal-out
    (export "terminal-output" (type (sub resource)))))
  (alias export $terminal-out "terminal-output" (type $terminal-output))
  (import "wasi:cli/terminal-stdin@0.2.12" (instance
    (alias outer 1 $terminal-input (type $outer))
    (export "terminal-input" (type $terminal (eq $outer)))
    (export "get-terminal-stdin" (func (result (option (own $terminal)))))))
  (import "wasi:cli/terminal-stdout@0.2.12" (instance
    (alias outer 1 $terminal-output (type $outer))
    (export "terminal-output" (type $terminal (eq $outer)))
    (export "get-terminal-stdout" (func (result (option (own $terminal)))))))
  (import "wasi:cli/terminal-stderr@0.2.12" (instance
    (alias outer 1 $terminal-output (type $outer))
    (export "terminal-output" (type $terminal (eq $outer)))
    (export "get-terminal-stderr" (func (result (option (own $terminal)))))))
"""

CLOSED = Err(Variant("closed"))
OUTPUTS = [("stdout#get-stdout", "stdout"), ("stderr#get-stderr", "stderr")]


class Recorder:
    """An output that keeps what it was given."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, bytes]] = []

    def __call__(self, stream: str, data: bytes) -> None:
        self.chunks.append((stream, data))


# --- environment -------------------------------------------------------------------------------------------


async def test_environment_is_a_list_in_order() -> None:
    environment = {"ZEBRA": "1", "APE": "", "häuser": "a=b\n⚡"}
    async with driving(driven_guest(IMPORTS), INTERFACES, WasiCtx(CliCtx(environment))) as guest:
        pairs = await guest.call("environment#get-environment")
        assert pairs == [("ZEBRA", "1"), ("APE", ""), ("häuser", "a=b\n⚡")]


async def test_environment_may_be_large() -> None:
    environment = {f"NAME_{number}": "x" * 1000 for number in range(1000)}
    async with driving(driven_guest(IMPORTS), INTERFACES, WasiCtx(CliCtx(environment))) as guest:
        assert await guest.call("environment#get-environment") == list(environment.items())


async def test_arguments_are_a_list_in_order() -> None:
    ctx = WasiCtx(CliCtx(arguments=["program", "", "-x", "ä b"]))
    async with driving(driven_guest(IMPORTS), INTERFACES, ctx) as guest:
        assert await guest.call("environment#get-arguments") == ["program", "", "-x", "ä b"]


async def test_nothing_is_granted_unless_it_is_configured() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        assert await guest.call("environment#get-environment") == []
        assert await guest.call("environment#get-arguments") == ["main.wasm"]
        assert await guest.call("environment#initial-cwd") is None


# --- exit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "argument", "status"),
    [
        ("exit#exit", Ok(), 0),
        ("exit#exit", Err(), 1),
        ("exit#exit-with-code", 0, 0),
        ("exit#exit-with-code", 7, 7),
        ("exit#exit-with-code", 255, 255),
    ],
)
async def test_exit_never_returns_and_tells_the_status(
    function: str, argument: Any, status: int
) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        with pytest.raises(Exit) as ended:
            await guest.call(function, argument)
    assert ended.value.status == status


# --- stdin, stdout, stderr ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["read", "blocking-read", "skip", "blocking-skip"])
@pytest.mark.parametrize("size", [0, 1, 2**64 - 1])
async def test_stdin_is_closed(function: str, size: int) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        stdin = await guest.call("stdin#get-stdin")
        assert await guest.call(f"streams#input-stream.{function}", stdin, size) == CLOSED


@pytest.mark.parametrize(
    ("get", "kind"),
    [
        ("stdin#get-stdin", "input"),
        ("stdout#get-stdout", "output"),
        ("stderr#get-stderr", "output"),
    ],
)
async def test_the_standard_streams_are_always_ready(get: str, kind: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        pollable = await guest.call(f"streams#{kind}-stream.subscribe", await guest.call(get))
        assert await guest.call("poll#pollable.ready", pollable) is True
        await guest.call("poll#pollable.block", pollable)
        assert await guest.call("poll#poll", [pollable]) == [0]


@pytest.mark.parametrize(("get", "name"), OUTPUTS)
async def test_every_handle_is_a_new_one_on_the_same_stream(get: str, name: str) -> None:
    output = Recorder()
    async with driving(driven_guest(IMPORTS), INTERFACES, WasiCtx(CliCtx(output=output))) as guest:
        first, second = await guest.call(get), await guest.call(get)
        assert first != second
        for handle, data in ((first, b"1"), (second, b"2"), (first, b"3")):
            await guest.call("streams#output-stream.blocking-write-and-flush", handle, data)
        await guest.call("streams#drop output-stream", first)
        await guest.call("streams#output-stream.blocking-write-and-flush", second, b"4")
    assert output.chunks == [(name, b"1"), (name, b"2"), (name, b"3"), (name, b"4")]


@pytest.mark.parametrize(("get", "name"), OUTPUTS)
async def test_output_is_permitted_a_mebibyte_at_a_time_and_without_end(
    get: str, name: str
) -> None:
    output = Recorder()
    data = bytes(range(256)) * 4096
    async with driving(driven_guest(IMPORTS), INTERFACES, WasiCtx(CliCtx(output=output))) as guest:
        handle = await guest.call(get)
        for _ in range(3):
            assert await guest.call("streams#output-stream.check-write", handle) == Ok(1 << 20)
            assert await guest.call("streams#output-stream.write", handle, data) == Ok()
            assert await guest.call("streams#output-stream.flush", handle) == Ok()
        assert output.chunks == [(name, data)] * 3
        assert await guest.call("streams#output-stream.blocking-flush", handle) == Ok()
        assert await guest.call("streams#output-stream.check-write", handle) == Ok(1 << 20)
        with pytest.raises(Trap, match="exceeds the 1048576"):
            await guest.call("streams#output-stream.write", handle, data + b"x")
    assert len(output.chunks) == 3


@pytest.mark.parametrize(("get", "name"), OUTPUTS)
async def test_output_gets_zeroes_and_nothing_of_an_empty_write(get: str, name: str) -> None:
    output = Recorder()
    async with driving(driven_guest(IMPORTS), INTERFACES, WasiCtx(CliCtx(output=output))) as guest:
        handle = await guest.call(get)
        function = "streams#output-stream.blocking-write-zeroes-and-flush"
        assert await guest.call(function, handle, 3) == Ok()
        assert await guest.call(function, handle, 0) == Ok()
        assert await guest.call("streams#output-stream.write", handle, b"") == Ok()
    assert output.chunks == [(name, bytes(3))]


@pytest.mark.parametrize(("get", "name"), OUTPUTS)
async def test_output_that_nobody_wants_is_a_sink(get: str, name: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        handle = await guest.call(get)
        function = "streams#output-stream.blocking-write-and-flush"
        assert await guest.call(function, handle, b"hello") == Ok()


# --- terminals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
async def test_no_standard_stream_is_a_terminal(name: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        assert await guest.call(f"terminal-{name}#get-terminal-{name}") is None
