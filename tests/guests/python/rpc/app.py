"""The exports of `rpc.wit`. A value arrives as Python has it, and goes back the same."""

# ruff: noqa: T201 - one of the exports is to print

import sys
import time
from typing import Any

import wit_world
from componentize_py_types import Err, Result
from wit_world import exports
from wit_world.imports import exit as cli


class WitWorld(wit_world.WitWorld):
    """The functions at the root."""

    def __init__(self) -> None:
        self._counted = 0

    def add(self, a: int, b: int) -> int:
        return (a + b) % 2**32

    def count(self) -> int:
        self._counted += 1
        return self._counted

    def swallow(self, value: str) -> None:
        pass

    def divide(self, dividend: int, divisor: int) -> int:
        if divisor == 0:
            raise Err("division by zero")
        return dividend // divisor


class Types(exports.Types):
    """The export `types`."""

    def _echo(self, value: Any) -> Any:
        return value

    echo_bool = _echo
    echo_u8 = _echo
    echo_s8 = _echo
    echo_u16 = _echo
    echo_s16 = _echo
    echo_u32 = _echo
    echo_s32 = _echo
    echo_u64 = _echo
    echo_s64 = _echo
    echo_f32 = _echo
    echo_f64 = _echo
    echo_char = _echo
    echo_color = _echo
    echo_access = _echo
    echo_month = _echo
    echo_bits = _echo

    echo_string = _echo
    echo_bytes = _echo
    echo_list_bool = _echo
    echo_list_s8 = _echo
    echo_list_u16 = _echo
    echo_list_s32 = _echo
    echo_list_u64 = _echo
    echo_list_s64 = _echo
    echo_list_f32 = _echo
    echo_list_f64 = _echo
    echo_list_char = _echo
    echo_list_string = _echo
    echo_list_bytes = _echo
    echo_list_color = _echo
    echo_list_access = _echo
    echo_list_point = _echo
    echo_list_shape = _echo
    echo_list_tuple = _echo
    echo_list_option = _echo
    echo_outline = _echo
    echo_list_result = _echo
    echo_list_result_ok = _echo
    echo_list_result_err = _echo
    echo_list_result_both = _echo
    echo_deep = _echo

    echo_point = _echo
    echo_line = _echo
    echo_keywords = _echo
    echo_file = _echo
    echo_tuple = _echo
    echo_tuple_one = _echo
    echo_shape = _echo
    echo_option = _echo
    echo_option_string = _echo
    echo_option_option = _echo
    echo_option_result = _echo
    echo_results = _echo
    echo_many = _echo

    def gather(self, *fields: Any) -> exports.types.Many:
        return exports.types.Many(*fields)

    def concat(self, *parts: str) -> str:
        return "".join(parts)


def _settle(_self: Any, outcome: Result[Any, Any]) -> Any:
    """What a function whose WIT result is a `result` does with one: returns the ok, raises the err."""
    if isinstance(outcome, Err):
        raise outcome
    return outcome.value


class Outcomes(exports.Outcomes):
    """The export `outcomes`."""

    settle = _settle
    settle_none = _settle
    settle_ok = _settle
    settle_err = _settle
    settle_option = _settle

    def trap(self) -> None:
        raise RuntimeError("a detail of the guest")

    def spin(self) -> None:
        while True:
            pass

    def allocate(self) -> None:
        kept = []
        while True:
            kept.append(b"\1" * 2**20)

    def exit(self, status: Result[None, None]) -> None:
        cli.exit(status)

    def print(self, output: str, error: str) -> None:
        print(output, flush=True)
        print(error, file=sys.stderr, flush=True)

    def wait(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)


class TestRpcTwins(exports.TestRpcTwins):
    """The export `test:rpc/twins`."""

    def name(self) -> str:
        return "test:rpc"

    def alone(self) -> str:
        return "only test:rpc"


class TestOtherTwins(exports.TestOtherTwins):
    """The export `test:other/twins`."""

    def name(self) -> str:
        return "test:other"
