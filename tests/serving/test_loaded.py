"""What components of the same content share, and what a change of what is served leaves alone."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, GatewayConfig, Route
from gateway.serving.service import Service
from tests.harness import GuestPath
from tests.patience import until
from tests.routes.test_asgi import Server

pytestmark = pytest.mark.anyio

OPENED: Final[list[str]] = []
"""The files that this process has opened, those of the guests in this module's folders among them."""


@pytest.fixture(scope="module", autouse=True)
def _watch_files() -> None:
    def note(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | Path) and "test_loaded" in str(args[0]):
            OPENED.append(str(args[0]))

    sys.addaudithook(note)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("test_loaded")


def copied(guest: Path, folder: Path, name: str, section: bytes = b"") -> Path:
    """A copy of a component; another one, where it has a custom section of this name."""
    content = guest.read_bytes()
    if section:
        content += bytes([0, len(section) + 1, len(section)]) + section
    path = folder / f"{name}.wasm"
    path.write_bytes(content)
    OPENED.clear()
    return path


def components(count: int, *files: Path) -> list[ComponentConfig]:
    """Components of these files, each with a path of its own."""
    return [
        ComponentConfig(
            name=f"c{number}",
            source=files[number % len(files)],
            routes=(Route(path=f"/c{number}"),),
        )
        for number in range(count)
    ]


def callees(count: int, *files: Path) -> list[ComponentConfig]:
    """The same of files that answer no requests."""
    return [
        ComponentConfig(name=f"c{number}", source=files[number % len(files)])
        for number in range(count)
    ]


def configured(configs: Sequence[ComponentConfig]) -> GatewayConfig:
    return GatewayConfig(components=tuple(configs))


async def status(app: Gateway, target: str) -> int:
    server = Server(target)
    await server.run(app)
    return int(server.sent[0]["status"])


def exports(services: Sequence[Service]) -> list[int]:
    return [id(service.exports) for service in services]


async def test_a_thousand_components_with_default_keys_are_in_the_pools(
    guest: GuestPath, folder: Path
) -> None:
    file = copied(guest("wat/hello"), folder, "hello")
    app = create_app(configured(components(1000, file)))
    assert len({id(each.linked.component.engine) for each in app.services}) == 1
    assert app.services[0].linked.component.engine.pooled
    assert len(set(exports(app.services))) == 1
    assert [str(file)] == OPENED
    assert await status(app, "/c0") == await status(app, "/c999") == 200
    await app.aclose()


async def test_the_same_content_is_compiled_and_linked_once_wherever_it_is(
    guest: GuestPath, folder: Path
) -> None:
    files = [copied(guest("wat/hello"), folder, name) for name in ("a", "b")]
    other = copied(guest("wat/hello"), folder, "other", b"other")
    app = create_app(configured(components(3, *files, other)))
    one, same, else_ = app.services
    assert one.exports is same.exports is not else_.exports
    assert [str(each.config.source) for each in app.services] == OPENED
    await app.aclose()


async def test_what_is_granted_other_interfaces_is_linked_apart(guest: GuestPath) -> None:
    source = guest("c/messages")
    keys = {"name": "granted", "source": source, "messaging": "memory:"}
    granted = ComponentConfig.model_validate(keys)
    app = create_app(configured([*callees(1, source), granted]))
    one, two = app.services
    assert one.linked.component is two.linked.component
    assert one.linked is not two.linked
    assert one.linked.unknown != two.linked.unknown
    await app.aclose()


async def test_a_reload_touches_only_what_has_changed(guest: GuestPath, folder: Path) -> None:
    files = [copied(guest("c/rpc"), folder, str(number), b"%d" % number) for number in range(3)]
    configs = callees(3, *files)
    app = create_app(configured(configs))
    before = [service.exports for service in app.services]
    told = [each.description for each in before]
    copied(guest("c/rpc"), folder, "1", b"changed")
    await app.reload(configured(configs))
    after = [service.exports for service in app.services]
    assert [new is old for new, old in zip(after, before, strict=True)] == [True, False, True]
    assert [each.description is text for each, text in zip(after, told, strict=True)] == [
        True,
        False,
        True,
    ]
    await app.aclose()


async def test_a_component_that_is_put_leaves_the_others_alone(
    guest: GuestPath, folder: Path
) -> None:
    file = copied(guest("wat/hello"), folder, "hello")
    app = create_app(configured(components(3, file)))
    before = exports(app.services)
    new = copied(guest("wat/hello"), folder, "new", b"new")
    put = ComponentConfig(name="new", source=new, routes=(Route(path="/new"),))
    await app._deployment.put_component(put)
    assert [str(new)] == OPENED
    assert exports(app.services)[:3] == before
    assert await status(app, "/new") == 200
    await app.aclose()


async def test_what_nobody_uses_any_more_is_gone(guest: GuestPath, folder: Path) -> None:
    file = copied(guest("wat/hello"), folder, "hello")
    app = create_app(configured(components(2, file)))
    digest = app.services[0].digest
    copied(guest("wat/hello"), folder, "hello", b"new")
    await app.reload(configured(components(2, file)))
    loaded = app.runtime.loaded

    def is_gone() -> bool:
        gc.collect()
        return digest not in loaded.components

    await until(is_gone)
    assert list(loaded.components) == [app.services[0].digest]
    await app.aclose()
