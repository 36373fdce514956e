"""Core modules that are to be made components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from gateway.wasm.componentize import NotComponentizable, componentize
from tests.hostile.target import Attack, Target


def _seeds() -> Sequence[bytes]:
    from tests.wasm.componentize.test_malicious import ADAPTED, SMALL

    return [SMALL, ADAPTED]


@contextmanager
def _attack() -> Iterator[Attack]:
    def make(data: bytes) -> None:
        with suppress(NotComponentizable):
            componentize(data)

    yield make


TARGET = Target(_attack, _seeds, max_cpu_seconds=1.0, ci_inputs=500)
