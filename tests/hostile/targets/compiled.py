"""Files said to be components, as far as the engine is asked: read, bridged, compiled, introspected."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.bindings import provided
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.host.errors import ComponentError
from gateway.host.linker import link
from tests.hostile.target import Attack, Target
from tests.hostile.targets import component_binary


def _seeds() -> Sequence[bytes]:
    text = b'(component (core module $m (func (export "f") unreachable)))'
    return [*component_binary.TARGET.seeds(), text]


@contextmanager
def _attack() -> Iterator[Attack]:
    engine = Engine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "guest.wasm")

        def compiled(data: bytes) -> None:
            path.write_bytes(data)
            with suppress(ComponentError):
                source = Source(path)
                # What nothing is known of is refused before it is compiled, for it may be without measure.
                if source.footprint is not None:
                    link(Component(engine, source, name="guest"), provided())

        yield compiled


TARGET = Target(_attack, _seeds, max_size=2048, max_cpu_seconds=3.0, guided=False, ci_inputs=300)
