"""The engine's pools and its ticker."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from gateway.host.engine import Engine, PoolSize
from gateway.host.errors import DeadlineExceeded
from gateway.host.settings import ROOM
from tests.host.guests import SPIN, call, call_now, guest, load_component

POOL = PoolSize(
    instances=4,
    core_instances=8,
    memories=4,
    tables=200,
    max_memory=1 << 20,
    max_core_instances_per_component=2,
    max_memories_per_component=1,
    max_tables_per_component=50,
)


def in_a_process_of_its_own(script: str, *arguments: str) -> str:
    """What a script prints; the process must end well."""
    command = [sys.executable, "-c", PRELUDE + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


PRELUDE = """
import sys
from pathlib import Path
from gateway.host.engine import Engine
from tests.host.guests import call_now, guest, host, load_component
from tests.host.test_engine import POOL
"""

LIMITED = """
import resource
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = in_use + (int(sys.argv[1]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
engine = Engine(POOL)
print("pooled" if engine.pooled else "on demand")
text = guest("(i32.const 7)", module="(memory 1)", result="u32")
print(call_now(load_component(engine, text, Path(sys.argv[2])), max_memory=1 << 20))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc/self/statm")
@pytest.mark.parametrize("room", [256, *(ROOM // (1 << 20) + more for more in (-1, 0, 16, 512))])
def test_pools_that_the_system_has_no_room_for_are_done_without(tmp_path: Path, room: int) -> None:
    """Where the engine's own reservation fails it ends the process: whatever the room, that must not happen.

    Without room for 4 GiB for each memory, components work too.
    """
    lines = in_a_process_of_its_own(LIMITED, str(room), str(tmp_path)).splitlines()
    if room << 20 < ROOM:
        assert "pooling refused" in lines[0]
        assert lines[-2:] == ["on demand", "7"]
    if room << 20 > ROOM + (256 << 20):
        assert lines == ["pooled", "7"]
    assert lines[-1] == "7"


MAPPED = """
from dataclasses import replace
limit = int(Path("/proc/sys/vm/max_map_count").read_text())
# Two maps for each stack, and room for one engine of this size, not for two.
size = replace(POOL, instances=limit * 3 // 10)
engines = [Engine(size), Engine(size)]
print(*(engine.pooled for engine in engines))
del engines[0]
print(Engine(size).pooled, Engine(replace(size, instances=limit)).pooled)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the maps of a process")
def test_stacks_that_the_system_has_no_maps_for_are_not_pooled() -> None:
    """Where the engine cannot protect a stack it ends the process. Engines that live at once add up."""
    lines = in_a_process_of_its_own(MAPPED).splitlines()
    told = [line for line in lines if "pooling refused" not in line]
    assert told == ["True False", "True False"]
    assert all("memory maps" in line for line in lines if line not in told)


def test_an_engine_without_pools_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Engine().pooled
    assert Engine(POOL).pooled
    assert capsys.readouterr().out == ""


def test_pools_do_not_change_compiled_code() -> None:
    assert Engine().fingerprint == Engine(POOL).fingerprint


def test_the_ticker_ends_with_its_engine(tmp_path: Path) -> None:
    for _ in range(20):
        before = set(threading.enumerate())
        engine = Engine()
        [ticker] = set(threading.enumerate()) - before
        alive = weakref.ref(engine)
        call_now(load_component(engine, guest(""), tmp_path))
        del engine
        gc.collect()
        assert alive() is None
        ticker.join(60)
        assert not ticker.is_alive()


def test_the_ticker_is_there_whenever_there_are_guests(tmp_path: Path) -> None:
    engine = Engine()
    spinning = load_component(engine, guest(SPIN), tmp_path)
    short = load_component(engine, guest(""), tmp_path)

    async def rounds() -> None:
        for _ in range(20):
            with pytest.raises(DeadlineExceeded):
                await call(spinning, max_execution_time=0.001)
            await call(short)

    asyncio.run(rounds())
