"""The limit of an instance is divided among its memories, so that their sum stays within it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.host.engine import Engine
from gateway.host.errors import Trap
from gateway.wasm.binary.core_module import Limits
from gateway.wasm.instance_limits import MAX_TABLE_ELEMENTS, needed, share
from tests.host.guests import call_now, load_component

PAGE = 1 << 16
MIB = 1 << 20

_SIZES = st.lists(
    st.integers(0, 100).flatmap(
        lambda least: st.builds(Limits, st.just(least), st.none() | st.integers(least, 200))
    ),
    max_size=6,
)


@given(_SIZES, st.integers(0, 1000))
def test_shares_never_pass_the_whole_and_waste_nothing(sizes: list[Limits], total: int) -> None:
    each = share(sizes, total)

    def taken(of: int) -> int:
        return sum(of if size.maximum is None else min(size.maximum, of) for size in sizes)

    assert taken(each) <= total
    assert each == total or taken(each + 1) > total


@given(_SIZES, st.integers(0, 1000))
def test_what_is_needed_is_the_least_that_has_room_for_all(sizes: list[Limits], total: int) -> None:
    begins = all(size.minimum <= share(sizes, total) for size in sizes)
    assert begins == (total >= needed(sizes))


def growing(*memories: str) -> str:
    """A component whose `run` grows all memories as far as they go, and returns the sum of their pages."""
    defined = "".join(f"(memory $m{at} {sizes})" for at, sizes in enumerate(memories))
    grown = "".join(
        f"(loop $more (br_if $more (i32.ne (memory.grow $m{at} (i32.const 1)) (i32.const -1))))"
        f"(local.set $sum (i32.add (local.get $sum) (memory.size $m{at})))"
        for at in range(len(memories))
    )
    return f"""
      (component
        (core module $m {defined}
          (func (export "run") (result i32) (local $sum i32) {grown} (local.get $sum)))
        (core instance $i (instantiate $m))
        (func (export "run") (result u32) (canon lift (core func $i "run"))))
    """


@pytest.mark.parametrize(
    ("memories", "pages"),
    [
        (("1",), 64),
        (("1", "1 1"), 64),  # one large and one tiny
        (("1",) * 12, 60),
        (("1 4", "1", "1 100"), 64),
    ],
)
def test_all_memories_of_an_instance_are_one_sum(
    engine: Engine, tmp_path: Path, memories: tuple[str, ...], pages: int
) -> None:
    linked = load_component(engine, growing(*memories), tmp_path)
    assert call_now(linked, max_memory=4 * MIB) == pages


def test_instances_within_an_instance_are_part_of_it(engine: Engine, tmp_path: Path) -> None:
    inner = growing("1").replace("(component", "(component $c", 1)
    text = f"""
      (component
        {inner}
        (instance $a (instantiate $c)) (instance $b (instantiate $c))
        (export "run" (func $a "run")) (export "again" (func $b "run")))
    """
    linked = load_component(engine, text, tmp_path)
    assert call_now(linked, max_memory=4 * MIB) == 32
    assert call_now(linked, function="again", max_memory=4 * MIB) == 32


def test_all_tables_of_an_instance_are_one_sum(engine: Engine, tmp_path: Path) -> None:
    tables = "(table $a 0 funcref) (table $b 0 funcref) (table $c 0 10 funcref)"
    grow = "".join(
        f"(loop $more (br_if $more (i32.ne (table.grow ${name} (ref.null func) (i32.const 5))"
        " (i32.const -1))))"
        for name in "abc"
    )
    text = f"""
      (component
        (core module $m {tables}
          (func (export "run") (result i32) {grow}
            (i32.add (table.size $a) (i32.add (table.size $b) (table.size $c)))))
        (core instance $i (instantiate $m))
        (func (export "run") (result u32) (canon lift (core func $i "run"))))
    """
    linked = load_component(engine, text, tmp_path)
    assert MAX_TABLE_ELEMENTS - 10 <= call_now(linked) <= MAX_TABLE_ELEMENTS


def test_who_hides_its_memories_has_one(engine: Engine, tmp_path: Path) -> None:
    """The size of its table is in an expression, so what an instance takes is not told by the file."""
    hidden = '(func $f) (table 1 (ref func) (ref.func $f)) (func (export "run"))'
    text = """
      (component
        (core module $m {memories} {hidden})
        (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "run"))))
    """
    one = load_component(engine, text.format(memories="(memory 1)", hidden=hidden), tmp_path)
    assert call_now(one, max_memory=PAGE) is None
    two = load_component(
        engine, text.format(memories="(memory 1) (memory 1)", hidden=hidden), tmp_path
    )
    with pytest.raises(Trap, match="memory count too high"):
        call_now(two, max_memory=4 * MIB)
