"""The resource table by itself."""

from __future__ import annotations

import asyncio

import pytest

from gateway.host import table
from gateway.host.errors import Trap
from gateway.host.table import Resource, ResourceTable


class Named(Resource):
    """A resource that notes when it is dropped."""

    __slots__ = ("dropped", "name", "parent")

    def __init__(self, name: str, dropped: list[str], parent: Resource | None = None) -> None:
        self.parent = parent
        self.name = name
        self.dropped = dropped

    def drop(self) -> None:
        self.dropped.append(self.name)


def test_numbers_are_never_used_again() -> None:
    resources = ResourceTable()
    first = resources.push(Resource())
    resources.take(first)
    assert resources.push(Resource()) != first
    assert len(resources) == 1


@pytest.mark.parametrize("use", [ResourceTable.__getitem__, ResourceTable.take])
def test_a_number_that_is_not_there_traps(use: object) -> None:
    assert callable(use)
    with pytest.raises(Trap, match="unknown resource 7"):
        use(ResourceTable(), 7)


def test_a_parent_is_free_again_when_its_last_child_has_gone() -> None:
    resources = ResourceTable()
    parent = Resource()
    rep = resources.push(parent)
    children = [resources.push(Named("child", [], parent)) for _ in range(2)]
    resources.take(children[0])
    with pytest.raises(Trap, match="Resource: resource has children"):
        resources.take(rep)
    resources.take(children[1])
    assert resources.take(rep) is parent
    assert len(resources) == 0


def test_closing_drops_the_youngest_first() -> None:
    dropped: list[str] = []
    resources = ResourceTable()
    parent = Named("parent", dropped)
    resources.push(parent)
    resources.push(Named("child", dropped, parent))
    resources.push(Named("other", dropped))
    resources.close()
    resources.close()
    assert dropped == ["other", "child", "parent"]
    assert not parent.children


@pytest.mark.anyio
async def test_closing_gives_others_their_turn() -> None:
    dropped: list[str] = []
    names = [str(number) for number in range(2 * table._AT_ONCE + 1)]
    resources = ResourceTable()
    for name in names:
        resources.push(Named(name, dropped))
    seen: list[int] = []
    resources.close()
    while len(resources):
        seen.append(len(resources))
        await asyncio.sleep(0)
    assert seen == [table._AT_ONCE + 1, 1]
    assert dropped == names[::-1]


def test_without_a_loop_closing_drops_all_at_once() -> None:
    dropped: list[str] = []
    resources = ResourceTable()
    for number in range(table._AT_ONCE + 1):
        resources.push(Named(str(number), dropped))
    resources.close()
    assert len(dropped) == table._AT_ONCE + 1


def test_a_full_table_traps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_RESOURCES", 2)
    resources = ResourceTable()
    resources.push(Resource())
    rep = resources.push(Resource())
    with pytest.raises(Trap, match="resource table has no free keys"):
        resources.push(Resource())
    resources.take(rep)
    resources.push(Resource())
