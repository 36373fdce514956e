"""What is told of a component before it is compiled, and what of one that the engine refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import wasmtime

from gateway.host.cache import CompileCache
from gateway.host.component import MAX_CALLABLE, Component, Source
from gateway.host.engine import Engine
from gateway.host.errors import ComponentError
from tests.host.guests import guest
from tests.host.waiting import holding


def written(folder: Path, text: str) -> Path:
    path = folder / "component.wasm"
    path.write_bytes(wasmtime.wat2wasm(text))
    return path


def test_a_pipe_is_no_component(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wasm")
    with pytest.raises(ComponentError, match="cannot be read: Not a regular file"):
        Source(tmp_path / "pipe.wasm")


def test_a_device_is_no_component() -> None:
    with pytest.raises(ComponentError, match="cannot be read: Not a regular file"):
        Source(Path("/dev/zero"))


def test_instances_without_measure(tmp_path: Path) -> None:
    layers = "".join(
        f"(component $c{level} (alias outer $root $c{level - 1} (component $c))"
        " (instance (instantiate $c)) (instance (instantiate $c)))"
        for level in range(1, 40)
    )
    leaf = "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))"
    text = f"(component $root {leaf} {layers} (instance (instantiate $c39)))"
    with pytest.raises(ComponentError, match="would be more than 200000 instances"):
        Source(written(tmp_path, text))


def test_so_many_components_of_wasi_0_3_in_one_and_no_more(tmp_path: Path) -> None:
    assert Source(written(tmp_path, holding(MAX_CALLABLE))).stacks > MAX_CALLABLE
    with pytest.raises(ComponentError, match=f"composed of {MAX_CALLABLE + 1} components"):
        Source(written(tmp_path, holding(MAX_CALLABLE + 1)))


def test_what_is_looked_at_of_one_of_wasi_0_3_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, holding(1))
    cache = CompileCache(tmp_path / "cache")
    first = Source(path, cache=cache)
    [entry] = cache.folder.glob("*.cwasm")
    before = entry.stat()
    assert Source(path, cache=cache).served == first.served
    [after] = [each.stat() for each in cache.folder.glob("*.cwasm")]
    # Not when it was read, which is all that may have changed.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_section_that_nobody_knows(tmp_path: Path) -> None:
    path = written(tmp_path, guest(""))
    path.write_bytes(path.read_bytes() + b"\x1f\x01\x00")
    source = Source(path)
    assert source.functions
    assert source.footprint is None
    with pytest.raises(ComponentError, match="It may be damaged, or use a feature"):
        Component.alone(source, name="guest")


def test_a_memory_that_threads_share(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="has a memory that threads share"):
        Source(written(tmp_path, guest("", module="(memory 1 2 shared)")))


@pytest.mark.parametrize(
    "text",
    [
        '(component (import "f" (func async)))',
        '(component (type $s (stream u8)) (import "f" (func (param "a" $s))))',
        '(component (type $s (future u8)) (import "f" (func (param "a" $s))))',
        '(component (import "f" (func (param "a" error-context))))',
        "(component (core func (canon task.return)))",
        "(component (core func (canon waitable-set.new)))",
        '(component (import "f" (func $f)) (core func (canon lower (func $f) async)))',
        "(component (core func (canon thread.yield)))",
    ],
)
def test_what_only_wasi_0_3_has_is_called_so(tmp_path: Path, engine: Engine, text: str) -> None:
    with pytest.raises(ComponentError) as refused:
        Component(engine, Source(written(tmp_path, text)), name="new")
    assert "a component of WASI 0.3" in str(refused.value)
    assert "for WASI 0.2." in str(refused.value)
    assert "damaged" not in str(refused.value)


def test_types_that_double(tmp_path: Path, engine: Engine) -> None:
    doubled = " ".join(f"(type $t{at} (tuple $t{at - 1} $t{at - 1}))" for at in range(1, 18))
    text = f'(component (type $t0 (tuple u8 u8)) {doubled} (import "f" (func (param "a" $t17))))'
    with pytest.raises(ComponentError, match="have more than 100000 types"):
        Component(engine, Source(written(tmp_path, text)), name="doubled")
