"""What the host functions of one invocation work with: the data of its store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from gateway.bindings.body import Queue

if TYPE_CHECKING:
    from gateway.bindings.filesystem.mount import Mount
    from gateway.bindings.filesystem.open_files import OpenFiles
    from gateway.bindings.outbound import OutboundRequests
    from gateway.bindings.sockets.context import WasiSocketsCtx

__all__ = ["Output", "WasiCtx"]


class Output(Protocol):
    """Takes what a guest writes; one that is a `gateway.bindings.io.Source` too, only when it is ready."""

    def __call__(self, stream: str, data: bytes, /) -> None:
        """Take bytes. Must not block or raise.

        Args:
            stream: `stdout` or `stderr`.
            data: what was written there.
        """


def discard(_stream: str, _data: bytes) -> None:
    """The output of a guest whose words nobody wants."""


@dataclass(slots=True)
class WasiCtx:
    """The state that an invocation's WASI calls share. Everything that is not granted here is denied.

    Attributes:
        environment: what `wasi:cli/environment.get-environment` returns, in order.
        arguments: what `get-arguments` returns; by custom the first is the program's name.
        output: where stdout and stderr go.
        mounts: the folders that `wasi:filesystem/preopens.get-directories` returns, in order.
        started_ns: when the invocation began, on the clock of `time.monotonic_ns`.
        open_files: what the guest has open of them; made when it opens the first.
        outbound: what sends the requests of `wasi:http/outgoing-handler`; None refuses all of them.
        sockets: the network that `wasi:sockets` gives access to; None for none.
        queue: what counts the bytes of bodies that wait to be sent.
        fields_size: bytes that were written into header fields so far.
        seed: what `wasi:random/insecure-seed` returns; constant within an invocation, as WIT asks.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ("main.wasm",)
    output: Output = discard
    mounts: Sequence[Mount] = ()
    started_ns: int = field(default_factory=monotonic_ns)
    open_files: OpenFiles | None = None
    outbound: OutboundRequests | None = None
    sockets: WasiSocketsCtx | None = None
    queue: Queue = field(default_factory=Queue)
    fields_size: int = 0
    _seed: tuple[int, int] | None = None

    @property
    def seed(self) -> tuple[int, int]:
        """What `wasi:random/insecure-seed` returns."""
        if self._seed is None:
            raw = os.urandom(16)
            self._seed = (int.from_bytes(raw[:8]), int.from_bytes(raw[8:]))
        return self._seed

    def close(self) -> None:
        """Cancel what goes on outside for the invocation, which has ended."""
        self.output = discard  # it knows who listens, who knows this
        if self.outbound is not None:
            self.outbound.close()
