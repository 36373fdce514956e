"""wasi:logging: what becomes of what a component logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.bindings import logging
from gateway.bindings.context import WasiCtx
from gateway.bindings.logging import LoggingCtx
from gateway.bindings.stdio import MAX_LINE
from tests.bindings.conftest import Ask
from tests.driven_guest import driven_guest, driving

pytestmark = pytest.mark.anyio

LEVELS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "error": "error",
    "critical": "error",
}


@pytest.mark.parametrize("name", ["wasi:logging/logging", "wasi:logging/logging@0.1.0-draft"])
async def test_it_is_there_with_and_without_a_version(name: str) -> None:
    """wasi:logging: `logging@0.1.0-draft`, and the same without a version."""
    said: list[tuple[str, str, str]] = []
    ctx = WasiCtx(LoggingCtx(lambda *words: said.append(words)))
    imports = f"""
      (import "{name}" (instance
        (type $enum (enum {" ".join(f'"{level}"' for level in LEVELS)}))
        (export "level" (type $level (eq $enum)))
        (export "log" (func
          (param "level" $level) (param "context" string) (param "message" string)))))
    """
    async with driving(driven_guest(imports), logging.INTERFACES, ctx) as guest:
        await guest.call("logging#log", "warn", "db", "slow")
    assert said == [("warn", "db", "slow")]


def told(logs: list[Any]) -> list[Any]:
    return [entry for entry in logs if entry["event"].startswith("guest ")]


async def test_each_level_is_one_of_the_log(ask: Callable[..., Ask]) -> None:
    """wasi:logging: `critical` is logged as an error; the context is a field."""
    call = ask(log_level="debug")
    with capture_logs() as logs:
        for level in LEVELS:
            await call("say", level, "db", f"{level}\nmessage")
    lines = told(logs)
    assert {line["guest_level"]: line["log_level"] for line in lines} == LEVELS
    assert {(line["event"], line["context"], line["component"]) for line in lines} == {
        ("guest log", "db", "guest")
    }
    assert [line["message"] for line in lines] == [f"{level}\nmessage" for level in LEVELS]
    assert all(line["request_id"] for line in lines)


async def test_a_long_message_is_cut(ask: Callable[..., Ask]) -> None:
    call = ask()
    with capture_logs() as logs:
        await call("say", "info", "", "x" * (MAX_LINE + 1))
    (line,) = told(logs)
    assert line["message"] == "x" * MAX_LINE


async def test_it_counts_with_what_the_invocation_writes(ask: Callable[..., Ask]) -> None:
    call = ask(log_max_bytes="10B")
    with capture_logs() as logs:
        await call("say", "info", "ctx", "1234567")
        await call("say", "info", "ctx", "12345678")
    assert [line["event"] for line in told(logs)] == ["guest log", "guest output dropped"]


async def test_no_lines_means_none(ask: Callable[..., Ask]) -> None:
    """wasi:logging: `log` never fails, whatever becomes of the line."""
    call = ask(log_max_lines=0)
    with capture_logs() as logs:
        await call("say", "error", "", "")
    (line,) = told(logs)
    assert (line["event"], line["lines"]) == ("guest output dropped", 1)
