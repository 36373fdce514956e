"""Compiled components on disk: what is used, what is not, and what is made again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from structlog.testing import capture_logs
from wasmtime import component as wasm

from gateway.host.cache import CompileCache, compile_key
from gateway.host.compiler import CompileFailed, Compiler
from gateway.host.engine import Engine, PoolSize
from tests.host.guests import guest

ONE = bytes(wasmtime.wat2wasm(guest("(i32.const 1)", result="u32")))
TWO = bytes(wasmtime.wat2wasm(guest("(i32.const 2)", result="u32")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "cache"


@pytest.fixture
def cache(folder: Path) -> CompileCache:
    return CompileCache(folder)


def run(engine: Engine, component: wasm.Component) -> int:
    """What the component's `run` returns: 1 of `ONE`, 2 of `TWO`."""
    store = wasmtime.Store(engine.wasmtime)
    store.set_epoch_deadline(1_000_000)
    instance = wasm.Linker(engine.wasmtime).instantiate(store, component)
    function = instance.get_func(store, "run")
    assert function is not None
    result: int = function(store)
    return result


def use(cache: CompileCache, engine: Engine, binary: bytes = ONE) -> tuple[int, list[str]]:
    """What a component from the cache returns, and the events that were logged."""
    with capture_logs() as logs:
        result = run(engine, cache.component(engine, binary))
    return result, [entry["event"] for entry in logs]


def only_entry(folder: Path) -> Path:
    [entry] = folder.iterdir()
    return entry


def plant(folder: Path, engine: Engine) -> Path:
    """Put the code of `TWO` in the place of `ONE`, which tells whether an entry is used."""
    entry = only_entry(folder)
    code = bytes(wasm.Component(engine.wasmtime, TWO).serialize())
    key = entry.stem.rpartition("-")[0]
    planted = folder / f"{key}-{hashlib.sha256(code).hexdigest()}.cwasm"
    entry.unlink()
    planted.write_bytes(code)
    planted.chmod(0o600)
    return planted


def test_a_component_is_compiled_once_and_kept(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    assert use(cache, engine) == (1, [])
    entry = only_entry(folder)
    before = entry.stat()
    assert use(cache, engine) == (1, [])
    assert only_entry(folder) == entry
    assert (entry.stat().st_ino, entry.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_kept_is_what_runs(cache: CompileCache, folder: Path, engine: Engine) -> None:
    use(cache, engine)
    plant(folder, engine)
    assert use(cache, engine) == (2, [])


def test_only_its_owner_can_read_what_is_kept(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    use(cache, engine)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert only_entry(folder).stat().st_mode & 0o777 == 0o600


def test_components_do_not_get_in_each_others_way(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    for _ in range(2):
        assert use(cache, engine, ONE) == (1, [])
        assert use(cache, engine, TWO) == (2, [])
    assert len(list(folder.iterdir())) == 2


def test_engines_with_and_without_pools_share_entries(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    use(cache, engine)
    plant(folder, engine)
    assert use(cache, Engine(PoolSize(1, 1, 1, 1, 1 << 20, 1, 1, 1))) == (2, [])


def flip_a_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda data: data[:100], lambda data: b"", lambda data: data + b"\0"],
    ids=["a bit flipped", "truncated", "empty", "longer"],
)
def test_a_damaged_entry_is_made_again(
    cache: CompileCache, folder: Path, engine: Engine, damage: Any
) -> None:
    use(cache, engine)
    entry = only_entry(folder)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert use(cache, engine) == (1, ["compiled component damaged"])
    assert only_entry(folder).read_bytes() == whole
    assert use(cache, engine) == (1, [])


def test_an_entry_that_the_engine_refuses_is_made_again(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    use(cache, engine)
    entry = only_entry(folder)
    key = entry.stem.rpartition("-")[0]
    entry.unlink()
    other = b"of another engine"
    (folder / f"{key}-{hashlib.sha256(other).hexdigest()}.cwasm").write_bytes(other)
    assert use(cache, engine) == (1, ["compiled component damaged"])
    assert only_entry(folder) == entry


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "file").touch()
    cache = CompileCache(tmp_path / "file" / "cache")
    for _ in range(2):
        assert use(cache, engine) == (1, ["compiled component not kept"])


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(
    cache: CompileCache, folder: Path, engine: Engine, mode: int
) -> None:
    use(cache, engine)
    planted = plant(folder, engine)
    folder.chmod(mode)
    assert use(cache, engine) == (1, ["cache ignored"])
    assert only_entry(folder) == planted


def test_an_entry_that_others_can_write_to_is_not_used(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    use(cache, engine)
    plant(folder, engine).chmod(0o620)
    assert use(cache, engine) == (1, ["cache ignored"])


WORKER = """
import sys
from pathlib import Path
from gateway.host.cache import CompileCache
from gateway.host.engine import Engine
sys.stdin.readline()
CompileCache(Path(sys.argv[1])).component(Engine(), Path(sys.argv[2]).read_bytes())
"""


def test_workers_that_start_together_leave_whole_entries(
    cache: CompileCache, folder: Path, tmp_path: Path, engine: Engine
) -> None:
    binary = tmp_path / "one.wasm"
    binary.write_bytes(ONE)
    command = [sys.executable, "-c", WORKER, str(folder), str(binary)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        output, _ = worker.communicate()
        assert (worker.returncode, output) == (0, "")
    assert {path.suffix for path in folder.iterdir()} == {".cwasm"}
    assert use(cache, engine) == (1, [])


def test_many_damaged_entries_of_one_key_cost_little(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    use(cache, engine)
    key = only_entry(folder).stem.rpartition("-")[0]
    only_entry(folder).unlink()
    for number in range(100):
        (folder / f"{key}-{number:064x}.cwasm").write_bytes(b"damaged")
    result, events = use(cache, engine)
    assert result == 1
    assert 0 < len(events) < 10
    assert set(events) == {"compiled component damaged"}


def test_an_entry_that_is_a_pipe_is_not_waited_for(
    cache: CompileCache, folder: Path, engine: Engine
) -> None:
    use(cache, engine)
    entry = only_entry(folder)
    entry.unlink()
    os.mkfifo(entry, 0o600)
    assert use(cache, engine) == (1, ["compiled component damaged"])
    assert entry.is_file()


def test_what_many_want_at_once_is_compiled_once(folder: Path, engine: Engine) -> None:
    class Counting(Compiler):
        compiled = 0

        def compile(self, component: bytes, *, concurrent: bool = False) -> bytes:
            with lock:
                Counting.compiled += 1
            return super().compile(component, concurrent=concurrent)

    lock = threading.Lock()
    with ThreadPoolExecutor() as threads:
        # Each has a cache of its own, as a process has.
        wanted = [
            threads.submit(CompileCache(folder).component, engine, ONE, Counting())
            for _ in range(8)
        ]
        assert [run(engine, each.result()) for each in wanted] == [1] * 8
    assert Counting.compiled == 1


def test_who_waits_for_another_can_be_stopped(folder: Path, engine: Engine) -> None:
    folder.mkdir(0o700, parents=True)
    key = compile_key(engine, ONE)
    with (folder / f".{key}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        compiler = Compiler()
        compiler.stop()
        with pytest.raises(CompileFailed):
            CompileCache(folder).component(engine, ONE, compiler)
