"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from gateway.server.heap import PERIOD, Heap
from tests.threadless import no_more_threads

PROGRAM = """
import resource, time
from gateway.server.heap import PERIOD, Heap

def resident():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * resource.getpagesize() >> 20

before = resident()
# Small enough to come from the heap and not from maps of their own.
blocks = [b"x" * 60_000 for _ in range(2000)]
pins = [b"x" * 60_000 for _ in range(2)]
full = resident()
del blocks
kept = resident()
heap = Heap()
for _ in range(PERIOD):
    heap.tick(0)
while resident() - before > (full - before) / 4:
    time.sleep(0.001)
print(kept - before > (full - before) * 3 / 4)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not with glibc")
def test_what_is_free_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "True"  # without it, it would have been kept


def test_without_a_thread_it_is_tried_again_later() -> None:
    heap = Heap()
    with no_more_threads():
        for _ in range(2 * PERIOD):
            heap.tick(0)


CROWD_LEAVES = """
import gc, weakref
from gateway.server.heap import CROWD, PERIOD, Heap

class Cycle:
    def __init__(self):
        self.me = self

gc.disable()  # what the collector does by itself is not meant
gc.freeze()
heap = Heap()
kept = []

def pass_time(connections, cycles):
    kept.extend(Cycle() for _ in range(cycles))
    left = weakref.ref(kept[-1])
    kept.clear()
    for _ in range(PERIOD):
        heap.tick(connections)
    return left() is None

print(pass_time(CROWD, 1), pass_time(CROWD, 1), pass_time(1, 1), pass_time(1, 1))
pass_time(CROWD, 1)
print(pass_time(1, 100_000))
"""


def test_what_a_crowd_has_left_behind_is_collected_when_it_has_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CROWD_LEAVES],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    # Once, and not where that would take long.
    assert done.stdout.split() == ["False", "False", "True", "False", "False"]
