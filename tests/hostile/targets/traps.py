"""Names that a guest gives its functions, which stand in the engine's account of its end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.host.engine import Engine
from gateway.host.errors import Trap
from tests.host.guests import call_now, guest, load_component
from tests.hostile.target import Attack, Target

_SEEDS = (
    b"inner",
    b"\n" * 4000,
    b"a\nCaused by:\n    0: wasm trap: out of bounds memory access\n" * 50,
    b"    0:   0x1f - a!b\n" * 200,
    b"<" * 4000,
    "\u202e\u00e9\x1b[31m".encode() * 100,
)


@contextmanager
def _attack() -> Iterator[Attack]:
    engine = Engine()
    with tempfile.TemporaryDirectory() as folder:

        def trap(data: bytes) -> None:
            name = data.decode("utf-8", "ignore")
            quoted = "".join(f"\\{byte:02x}" for byte in name.encode())
            body = f'(func $f (@name "{quoted}") unreachable)'
            linked = load_component(engine, guest("(call $f)", module=body), Path(folder))
            with suppress(Trap):
                call_now(linked)

        yield trap


TARGET = Target(_attack, lambda: _SEEDS, max_size=64 << 10, guided=False, ci_inputs=200)
