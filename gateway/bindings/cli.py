"""`wasi:cli`: what a program gets from whoever starts it.

No guest runs on a terminal here, and none has a directory to be in.

Source: `wasi:cli@0.2.12` and `0.3.2`, `environment.wit`, `exit.wit`, `stdio.wit`, `terminal.wit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NoReturn

from gateway.bindings.context import State, WasiCtx
from gateway.bindings.stdio import NoInput, Output, StandardOutput, discard
from gateway.host.binding import HostInterface
from gateway.host.errors import Exit
from gateway.host.values import Err, Ok

__all__ = ["INTERFACES", "CliCtx"]

_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})


class CliCtx(State):
    """What an invocation gets from whoever starts it.

    Attributes:
        environment: names and values, in order.
        arguments: by custom the first is the program's name.
        output: where stdout and stderr go.
    """

    __slots__ = ("arguments", "environment", "output")

    def __init__(
        self,
        environment: Mapping[str, str] = _NO_ENVIRONMENT,
        arguments: Sequence[str] = ("main.wasm",),
        output: Output = discard,
    ) -> None:
        self.environment = environment
        self.arguments = arguments
        self.output = output

    def close(self) -> None:
        """Let go of the output: it knows who listens, who knows this."""
        self.output = discard


environment = HostInterface("wasi:cli/environment", "0.2.12", key="environment")
exit_ = HostInterface("wasi:cli/exit", "0.2.12")
stdin = HostInterface("wasi:cli/stdin", "0.2.12")
stdout = HostInterface("wasi:cli/stdout", "0.2.12")
stderr = HostInterface("wasi:cli/stderr", "0.2.12")
# The resources of these two have no functions.
terminal_input = HostInterface("wasi:cli/terminal-input", "0.2.12")
terminal_output = HostInterface("wasi:cli/terminal-output", "0.2.12")
terminal_stdin = HostInterface("wasi:cli/terminal-stdin", "0.2.12")
terminal_stdout = HostInterface("wasi:cli/terminal-stdout", "0.2.12")
terminal_stderr = HostInterface("wasi:cli/terminal-stderr", "0.2.12")
environment_p3 = HostInterface("wasi:cli/environment", "0.3.2", key="environment")
exit_p3 = HostInterface("wasi:cli/exit", "0.3.2")
terminal_stdin_p3 = HostInterface("wasi:cli/terminal-stdin", "0.3.2")
terminal_stdout_p3 = HostInterface("wasi:cli/terminal-stdout", "0.3.2")
terminal_stderr_p3 = HostInterface("wasi:cli/terminal-stderr", "0.3.2")
# Of these the host has no functions: the streams of WASI 0.3 are its adapter's.
_OF_TYPES = tuple(
    HostInterface(f"wasi:cli/{name}", "0.3.2")
    for name in ("types", "stdin", "stdout", "stderr", "terminal-input", "terminal-output")
)
INTERFACES = (
    *_OF_TYPES,
    environment_p3,
    exit_p3,
    terminal_stdin_p3,
    terminal_stdout_p3,
    terminal_stderr_p3,
    environment,
    exit_,
    stdin,
    stdout,
    stderr,
    terminal_input,
    terminal_output,
    terminal_stdin,
    terminal_stdout,
    terminal_stderr,
)


@environment.function("get-environment")
@environment_p3.function("get-environment")
def get_environment(ctx: WasiCtx) -> list[tuple[str, str]]:
    """Names and values, in the order in which they were configured."""
    return list(ctx.of(CliCtx).environment.items())


@environment.function("get-arguments")
@environment_p3.function("get-arguments")
def get_arguments(ctx: WasiCtx) -> list[str]:
    """The arguments, by custom led by the program's name."""
    return list(ctx.of(CliCtx).arguments)


@environment.function("initial-cwd")
@environment_p3.function("get-initial-cwd")
def initial_cwd(_ctx: WasiCtx) -> str | None:
    """The directory to begin in: none."""
    return None


@exit_.function("exit")
@exit_p3.function("exit")
def exit_with_result(_ctx: WasiCtx, status: Ok | Err) -> NoReturn:
    """End the invocation, with success or without."""
    raise Exit(0 if isinstance(status, Ok) else 1)


@exit_.function("exit-with-code")
@exit_p3.function("exit-with-code")
def exit_with_code(_ctx: WasiCtx, status_code: int) -> NoReturn:
    """End the invocation with a status."""
    raise Exit(status_code)


@stdin.function("get-stdin")
def get_stdin(_ctx: WasiCtx) -> NoInput:
    """A new handle on standard input."""
    return NoInput()


@stdout.function("get-stdout")
def get_stdout(ctx: WasiCtx) -> StandardOutput:
    """A new handle on standard output."""
    return StandardOutput("stdout", ctx.of(CliCtx).output)


@stderr.function("get-stderr")
def get_stderr(ctx: WasiCtx) -> StandardOutput:
    """A new handle on standard error."""
    return StandardOutput("stderr", ctx.of(CliCtx).output)


@terminal_stdin.function("get-terminal-stdin")
@terminal_stdout.function("get-terminal-stdout")
@terminal_stderr.function("get-terminal-stderr")
@terminal_stdin_p3.function("get-terminal-stdin")
@terminal_stdout_p3.function("get-terminal-stdout")
@terminal_stderr_p3.function("get-terminal-stderr")
def get_terminal(_ctx: WasiCtx) -> None:
    """The terminal behind a standard stream: none."""
