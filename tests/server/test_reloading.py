"""What of a configuration can change without a restart, and when it is looked at."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.lifecycle.watch import Watch
from gateway.server.reloading import FIXED, Configuration, Reloader, with_fixed
from gateway.server.supervisor import MAX_DELAY, restart_delay

# --- what can change -----------------------------------------------------------------------------


def test_what_is_made_once_is_fixed_and_what_is_asked_each_time_is_not() -> None:
    assert {"host", "port", "workers", "http", "loop", "max_connections", "metrics"} <= set(FIXED)
    assert {"drain_grace", "shutdown_timeout", "access_log", "rpc_max_body"}.isdisjoint(FIXED)


def test_what_cannot_change_is_kept() -> None:
    component = ComponentConfig(name="a", source=Path("a.wasm"))
    running = GatewayConfig(server=ServerConfig(port=1, drain_grace=1.0))
    read = GatewayConfig(server=ServerConfig(port=2, drain_grace=2.0), components=(component,))
    config, kept = with_fixed(running, read)
    assert kept == ["port"]
    assert (config.server.port, config.server.drain_grace) == (1, 2.0)
    assert config.components == (component,)


def test_what_is_compared_with_is_how_the_gateway_was_started() -> None:
    written = GatewayConfig(server=ServerConfig(port=1))
    configuration = Configuration(written, lambda: written)
    written = GatewayConfig(server=ServerConfig(port=2))
    assert configuration.read().server.port == 1
    configuration.current = configuration.read()
    assert configuration.read().server.port == 1


# --- one at a time -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_requests_during_a_reload_are_one_more(caplog: pytest.LogCaptureFixture) -> None:
    reloads = 0
    begun, may_end = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def reload() -> None:
        nonlocal reloads
        reloads += 1
        begun.release()
        await may_end.acquire()
        if reloads == 1:
            raise ValueError("a bug")

    reloader = Reloader(reload)
    running = asyncio.create_task(reloader.run())
    reloader.request()
    await begun.acquire()
    reloader.request()
    reloader.request()
    assert reloads == 1
    may_end.release()
    await begun.acquire()
    may_end.release()
    for _ in range(10):
        await asyncio.sleep(0)
    assert reloads == 2
    running.cancel()
    caplog.clear()  # the error was meant


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.wasm"
    path.write_bytes(b"one")
    return path


def test_a_file_that_has_not_changed_is_not_told_of(file: Path) -> None:
    watch = Watch(lambda: [file])
    assert [watch.changed() for _ in range(3)] == [False] * 3


def test_a_file_that_is_being_written_is_told_of_once_it_is_whole(file: Path) -> None:
    watch = Watch(lambda: [file])
    with file.open("wb") as written:
        for number in range(1, 4):
            written.write(b"a part")
            written.flush()
            os.utime(file, ns=(number, number))
            assert not watch.changed()
    assert watch.changed()
    assert not watch.changed()


def test_a_file_of_the_same_size_and_time_that_is_another_is_told_of(file: Path) -> None:
    os.utime(file, ns=(1, 1))
    watch = Watch(lambda: [file])
    other = file.with_suffix(".new")
    other.write_bytes(b"two")
    os.utime(other, ns=(1, 1))
    other.rename(file)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_missing_for_a_moment_is_not_told_of(file: Path) -> None:
    watch = Watch(lambda: [file])
    kept = file.rename(file.with_suffix(".old"))
    assert not watch.changed()
    kept.rename(file)
    assert [watch.changed() for _ in range(3)] == [False] * 3


def test_a_file_that_is_missing_is_told_of(file: Path) -> None:
    watch = Watch(lambda: [file])
    file.unlink()
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_looked_at_later_may_have_changed(file: Path) -> None:
    files: list[Path] = []
    watch = Watch(lambda: files)
    files.append(file)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


# --- starting again ------------------------------------------------------------------------------


def test_a_worker_is_started_again_at_once_and_then_less_and_less_often() -> None:
    delays = [restart_delay(failures) for failures in range(20)]
    assert delays[:2] == [0, 0]
    assert delays == sorted(delays)
    assert 0 < delays[2] < 1
    assert delays[-1] == MAX_DELAY
    assert restart_delay(10_000) == MAX_DELAY
