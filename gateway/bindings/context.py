"""What the host functions of one invocation work with: the data of its store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns

__all__ = ["Output", "WasiCtx"]

Output = Callable[[str, bytes], None]
"""Takes what a guest writes to `stdout` or `stderr`: the stream's name and the bytes. Must not block or raise."""


def discard(_stream: str, _data: bytes) -> None:
    """The output of a guest whose words nobody wants."""


@dataclass(slots=True)
class WasiCtx:
    """The state that an invocation's WASI calls share. Everything that is not granted here is denied.

    Attributes:
        environment: what `wasi:cli/environment.get-environment` returns, in order.
        arguments: what `get-arguments` returns; by custom the first is the program's name.
        output: where stdout and stderr go.
        started_ns: when the invocation began, on the clock of `time.monotonic_ns`.
        seed: what `wasi:random/insecure-seed` returns; constant within an invocation, as WIT asks.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ("main.wasm",)
    output: Output = discard
    started_ns: int = field(default_factory=monotonic_ns)
    _seed: tuple[int, int] | None = None

    @property
    def seed(self) -> tuple[int, int]:
        """What `wasi:random/insecure-seed` returns."""
        if self._seed is None:
            raw = os.urandom(16)
            self._seed = (int.from_bytes(raw[:8]), int.from_bytes(raw[8:]))
        return self._seed
