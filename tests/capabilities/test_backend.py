"""Backends are shared by URL, and closed with the last who has them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from gateway.capabilities.backend import BackendError, Backends, BackendUnusable
from gateway.capabilities.keyvalue import OPENERS, KeyValueStore, Quota
from gateway.capabilities.worker import WorkerBackends
from gateway.config import ComponentConfig, GatewayConfig
from gateway.config.backend_url import BackendURL
from gateway.config.grant import KeyValueGrant
from gateway.host.errors import ComponentError
from tests.capabilities.keyvalue.conftest import documented
from tests.harness import GuestPath

pytestmark = pytest.mark.anyio

QUOTA = Quota(1024)


def lease(backends: Backends[KeyValueStore], url: str) -> object:
    return backends.lease(BackendURL.parse(url))


async def test_one_url_is_one_backend() -> None:
    backends: Backends[KeyValueStore] = Backends("keyvalue", OPENERS)
    first, second = (backends.lease(BackendURL.parse("memory:")) for _ in range(2))
    other = backends.lease(BackendURL.parse("memory:other"))
    assert first.backend is second.backend is not other.backend
    await first.backend.bucket("", QUOTA).set("key", b"1")
    await first.aclose()
    await first.aclose()
    assert await second.backend.bucket("", QUOTA).get("key") == b"1"
    assert await other.backend.bucket("", QUOTA).get("key") is None
    await second.aclose()
    await other.aclose()
    again = backends.lease(BackendURL.parse("memory:"))
    assert await again.backend.bucket("", QUOTA).get("key") is None
    await again.aclose()


async def test_what_was_used_is_closed_though_the_last_who_has_it_is_refused() -> None:
    backends: Backends[KeyValueStore] = Backends("keyvalue", OPENERS)
    served, refused = (backends.lease(BackendURL.parse("memory:")) for _ in range(2))
    bucket = served.backend.bucket("", QUOTA)
    await bucket.set("key", b"1")
    await served.aclose()
    refused.abandon()
    refused.abandon()
    await refused.aclose()
    assert await bucket.get("key") == b"1"  # nothing was closed so far
    await backends.close_abandoned()
    with pytest.raises(BackendError, match="the store is not available"):
        await bucket.get("key")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "nothing:",
            'has the scheme "nothing:"; there are memory:, nats:, redis:, rediss:, sqlite:',
        ),
        ("memory:a/b", 'must be "memory:", or with a name of letters and digits "memory:NAME"'),
        ("nats://host", 'must name a server and a bucket, such as "nats://HOST:4222/BUCKET"'),
        ("nats://host/a.b", 'must name a server and a bucket, such as "nats://HOST:4222/BUCKET"'),
        ("nats://host:0/b", 'must name a server and a bucket, such as "nats://HOST:4222/BUCKET"'),
        (
            "nats://host/b?replicas=9",
            'may have "replicas=N" for its query, from 1 to 5, and nothing else',
        ),
        ("redis:", 'must name a server, such as "redis://HOST:6379/0"'),
        ("redis:///1", 'must name a server, such as "redis://HOST:6379/0"'),
        ("redis://host/one", 'must have the number of a database for its path, such as "/0"'),
        ("redis://host:port", "has a port that is not a number from 1 to 65535"),
        (
            "redis://host?ssl_ca_certs=x",
            "has a parameter of the query that is not known; of rediss:// there are ssl_ca_certs, ssl_certfile, "
            "ssl_keyfile",
        ),
        ("sqlite:", 'must name a file, such as "sqlite:app.db"'),
        ("sqlite:/nowhere/app.db", "names a file in a folder that is not there: make /nowhere"),
        ("sqlite:/usr", "names a folder, and must name a file, such as app.db in there"),
    ],
)
def test_what_cannot_be_used_is_refused_early(url: str, reason: str) -> None:
    backends: Backends[KeyValueStore] = Backends("keyvalue", OPENERS)
    with pytest.raises(BackendUnusable) as refused:
        lease(backends, url)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "redis://host",
            "is a Redis server, which does not count what a component has: leave max_keys and max_bytes out, and "
            "bound the server by its maxmemory",
        ),
        (
            "nats://host/b",
            "is a bucket of NATS, which does not count what a component has: leave max_keys and max_bytes out, "
            "and bound the bucket (nats kv add --max-bucket-size)",
        ),
    ],
)
async def test_bounds_of_what_is_not_counted_are_refused(url: str, reason: str) -> None:
    store = Backends("keyvalue", OPENERS).lease(BackendURL.parse(url))
    for quota in (Quota(1024, max_keys=1), Quota(1024, max_bytes=0)):
        with pytest.raises(BackendUnusable) as refused:
            store.backend.bucket("", quota)
        assert str(refused.value) == reason
    await store.aclose()


@pytest.mark.parametrize(("url", "client"), [("redis://host", "redis"), ("nats://host/b", "nats")])
def test_a_client_that_is_not_installed_is_named(
    url: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == client]:
        monkeypatch.setitem(sys.modules, name, None)
    for module in (client, "nats_link"):
        monkeypatch.delitem(sys.modules, f"gateway.capabilities.keyvalue.{module}", raising=False)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(BackendUnusable) as refused:
        lease(Backends("keyvalue", OPENERS), url)
    assert str(refused.value) == (
        f"needs a package that is not installed: pip install 'component-gateway[{client}]'"
    )


@pytest.mark.parametrize("text", ["", "memory", "/srv/x", "Memory:", "memory:\0"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a URL"):
        BackendURL.parse(text)


def test_credentials_are_not_shown() -> None:
    url = BackendURL.parse("redis://user:secret@host:6379/1?password=secret")
    assert "secret" not in repr(url)
    assert repr(url) == "redis://host:6379/1"
    assert str(url) == "redis://user:secret@host:6379/1?password=secret"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:pa/secret@host:6379/1", "redis://host:6379/1"),
        ("redis://:pa@secret@host", "redis://host"),
        ("redis://:pa?secret@host", "redis://..."),
        ("redis://:pa#secret@host", "redis://..."),
        ("redis://host/0#secret", "redis://host/0"),
        ("nats://a:secret@one,nats://b:secret@two", "nats://two"),
        ("s3://bucket/a?secret=secret", "s3://bucket/a"),
        ("file:/srv/a@b", "file:/srv/a@b"),
    ],
)
def test_nothing_of_a_password_is_shown_that_is_not_escaped(text: str, shown: str) -> None:
    assert repr(BackendURL.parse(text)) == shown


@pytest.mark.parametrize(
    ("family", "url"),
    [
        ("keyvalue", "redis://[::1"),
        ("keyvalue", "redis://user:secret\u2100@host"),
        ("keyvalue", "nats://user:secret\u2100@host/bucket"),
        ("keyvalue", f"sqlite:/{'x' * 300}"),
        ("blobstore", f"file:/{'x' * 300}"),
        ("messaging", "nats://[::1"),
        ("messaging", "nats://user:secret\u2100@host"),
        ("messaging", "nats://user:secret@host:port"),
        ("messaging", "nats://host,ws://host"),
    ],
)
def test_what_no_client_makes_sense_of_is_refused(family: str, url: str) -> None:
    backends: Backends[Any] = getattr(WorkerBackends(), family)
    with pytest.raises(BackendUnusable) as refused:
        backends.lease(BackendURL.parse(url))
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None  # which might have it


async def test_a_file_is_made_when_it_is_used(tmp_path: Path) -> None:
    backends: Backends[KeyValueStore] = Backends("keyvalue", OPENERS)
    taken = backends.lease(BackendURL.parse(f"sqlite:{tmp_path}/a.db"))
    assert os.listdir(tmp_path) == []
    await taken.backend.bucket("", QUOTA).set("key", b"1")
    assert "a.db" in os.listdir(tmp_path)
    await taken.aclose()


async def test_a_reload_that_is_refused_leaves_no_backend(guest: GuestPath) -> None:
    def config(**urls: str) -> GatewayConfig:
        grants = {name: KeyValueGrant.model_validate({"url": url}) for name, url in urls.items()}
        component = ComponentConfig(name="guest", source=guest("c/hello"), keyvalue=grants)
        return GatewayConfig(components=(component,))

    app = create_app(config(default="memory:"))
    with pytest.raises(ComponentError, match='has the scheme "nothing:"'):
        await app.reload(config(default="memory:", other="memory:other", third="nothing:"))
    assert app.runtime.backends.keyvalue.abandoned == []
    with pytest.raises(ComponentError):
        await app.reload(config(other="memory:other", third="nothing:"))
    assert app.runtime.backends.keyvalue.abandoned == []
    await app.aclose()


async def test_an_application_lends_its_own(guest: GuestPath) -> None:
    store = documented()(BackendURL.parse("dict:"))
    await store.bucket("", QUOTA).set("key", b"1")
    grant = KeyValueGrant.model_validate({"url": "app:"})
    component = ComponentConfig(name="guest", source=guest("c/hello"), keyvalue={"default": grant})
    app = create_app(GatewayConfig(components=(component,)), backends={"keyvalue": {"app": store}})
    assert app.components() == ["guest"]
    await app.aclose()
    assert await store.bucket("", QUOTA).get("key") == b"1"  # nobody has closed it


@pytest.mark.parametrize(
    ("backends", "reason"),
    [
        ({"keyvalue": {"memory": None}}, "component_gateway.keyvalue has memory: already"),
        ({"keyvalue": {"My": None}}, "must be a URL"),
        (
            {"cache": {}},
            'there is no family "cache" of backends: blobstore, keyvalue, messaging, secrets',
        ),
    ],
)
def test_what_cannot_be_lent_is_refused(backends: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        WorkerBackends(backends)


def test_another_package_may_have_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[component_gateway.keyvalue]\nshop = shop_stores:Store\nbroken = shop_stores:Missing\n"
    )
    (tmp_path / "shop_stores.py").write_text(
        "from gateway.capabilities.keyvalue.sqlite import SQLiteStore\n"
        "def Store(url):\n    assert url.rest == 'here'\n    return SQLiteStore(None)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    backends: Backends[KeyValueStore] = Backends("keyvalue", OPENERS)
    assert backends.lease(BackendURL.parse("shop:here")).backend.kind == "memory"
    for url, reason in {
        "broken:": 'has the scheme "broken:", whose shop_stores:Missing cannot be loaded: ',
        "other:": 'has the scheme "other:"; there are broken:, memory:, nats:, redis:, rediss:, shop:, sqlite:',
    }.items():
        with pytest.raises(BackendUnusable) as refused:
            backends.lease(BackendURL.parse(url))
        assert str(refused.value).startswith(reason)
