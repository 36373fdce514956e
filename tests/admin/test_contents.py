"""The folder of components that are sent: who uses a file, what is left of a killed worker, and full disks."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.contents import Contents, NotKept
from tests.full_disk import full_disk

NAME = f"app-{hashlib.sha256(b'content').hexdigest()}.wasm"


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def content(*parts: bytes) -> AsyncGenerator[bytes, None]:
    for part in parts or (b"con", b"tent"):
        yield part


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@in_loop
async def test_a_file_that_another_worker_uses_stays(tmp_path: Path) -> None:
    one, other = Contents(tmp_path), Contents(tmp_path)
    async with one.kept("app", content()) as path:
        await other.remove("app", path)
        assert path.read_bytes() == b"content"
        async with other.kept("app", content()):
            pass
        await other.remove("app", path)
        assert path.name == NAME
    await other.remove("app", path)
    assert names(tmp_path) == []


@in_loop
async def test_what_was_not_sent_for_it_stays(tmp_path: Path) -> None:
    contents = Contents(tmp_path)
    (tmp_path / "app.wasm").touch()
    async with contents.kept("app", content()) as path:
        pass
    await contents.remove("other", path)
    await contents.remove("app", tmp_path / "app.wasm")
    assert sorted(names(tmp_path)) == [NAME, "app.wasm"]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.admin.contents import Contents

async def parts():
    yield b"x" * (2 << 20)
    print("half", flush=True)
    sys.stdin.read()

async def main():
    async with Contents(Path(sys.argv[1])).kept("app", parts()):
        pass

asyncio.run(main())
"""


def test_what_a_killed_worker_left_is_removed_and_what_another_writes_is_not(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"half\n"
            [half] = names(tmp_path)
            Contents(tmp_path)
            assert names(tmp_path) == [half]
        finally:
            writer.send_signal(signal.SIGKILL)
    assert names(tmp_path) == [half]
    (tmp_path / ".other.tmp").touch()  # of somebody else
    Contents(tmp_path)
    assert names(tmp_path) == [".other.tmp"]


@pytest.mark.parametrize("parts", [(b"x" * 200_000,), (b"x" * (1 << 20), b"y")])
@in_loop
async def test_a_full_disk_is_told_and_nothing_is_left(
    tmp_path: Path, parts: tuple[bytes, ...]
) -> None:
    contents = Contents(tmp_path)
    with full_disk(), pytest.raises(NotKept, match="File too large"):
        async with contents.kept("app", content(*parts)):
            pass
    assert names(tmp_path) == []
    async with contents.kept("app", content()):
        assert names(tmp_path) == [NAME]


@in_loop
async def test_a_folder_that_has_gone_is_no_full_disk(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        async with contents.kept("app", content()):
            pass


@in_loop
async def test_one_that_trickles_gives_its_turn_back(tmp_path: Path) -> None:
    now = 0.0

    async def trickle() -> AsyncGenerator[bytes, None]:
        nonlocal now
        while True:
            now += 10.0
            yield b"x"

    async def steady() -> AsyncGenerator[bytes, None]:
        nonlocal now
        for _ in range(9):
            now += 10.0
            yield b"x" * (640 << 10)

    contents = Contents(tmp_path, lambda: now)
    with pytest.raises(TimeoutError):
        async with contents.kept("app", trickle()):
            pass
    assert (names(tmp_path), now) == ([], 40.0)
    async with asyncio.timeout(60), contents.kept("app", steady()) as path:
        assert path.stat().st_size == 9 * (640 << 10)
