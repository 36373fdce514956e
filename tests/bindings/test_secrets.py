"""wasmcloud:secrets: who gets one, what becomes of it, and where it never is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import structlog

from gateway.app import create_app
from gateway.bindings import secrets
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.secrets import GrantedSecret, SecretsCtx
from gateway.capabilities.operations import Operations
from gateway.capabilities.secrets import MAX_SECRET, OPENERS
from gateway.config import ComponentConfig, GatewayConfig
from gateway.config.backend_url import BackendURL
from gateway.config.grant import SecretGrant
from gateway.host.errors import ComponentError, Trap
from gateway.host.values import Err, Ok, Variant
from tests.driven_guest import DrivenGuest, driven_guest, driving
from tests.harness import GuestPath

pytestmark = pytest.mark.anyio

IMPORTS = """
  (import "wasmcloud:secrets/store@0.1.0-draft" (instance $store
    (type $error' (variant (case "upstream" string) (case "io" string) (case "not-found")))
    (export "secrets-error" (type $error (eq $error')))
    (type $value' (variant (case "string" string) (case "bytes" (list u8))))
    (export "secret-value" (type $value (eq $value')))
    (export "secret" (type $secret (sub resource)))
    (export "get" (func (param "key" string) (result (result (own $secret) (error $error)))))))
  (alias export $store "secret" (type $secret))
  (alias export $store "secret-value" (type $value))
  (import "wasmcloud:secrets/reveal@0.1.0-draft" (instance
    (alias outer 1 $secret (type $outer-secret))
    (alias outer 1 $value (type $outer-value))
    (export "secret" (type $secret (eq $outer-secret)))
    (export "secret-value" (type $value (eq $outer-value)))
    (export "reveal" (func (param "s" (borrow $secret)) (result $value)))))
"""
HIDDEN = "hunter2"


def granted(urls: Mapping[str, str]) -> WasiCtx:
    found = {}
    for name, url in urls.items():
        parsed = BackendURL.parse(url)
        source = OPENERS[parsed.scheme](parsed)
        source.check(name)
        found[name] = GrantedSecret(source, name, Operations("shop", source.kind, timeout=5.0))
    return WasiCtx(SecretsCtx(found), caller=Caller("shop", "1"))


async def revealed(guest: DrivenGuest, name: str) -> Variant:
    handle = await guest.call("store#get", name)
    assert isinstance(handle, Ok)
    value = await guest.call("reveal#reveal", handle.value)
    assert isinstance(value, Variant)
    return value


async def test_secrets_are_found_where_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wasmcloud:secrets/reveal: `string` where it is UTF-8, else `bytes`."""
    monkeypatch.setenv("SHOP_KEY", "schlüssel")
    (tmp_path / "token").write_bytes(b"text\n")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    ctx = granted(
        {
            "key": "env:SHOP_KEY",
            "token": f"file:{tmp_path}",
            "binary": f"file:{tmp_path}",
            "any name": f"file:{tmp_path}/token",
        }
    )
    async with driving(driven_guest(IMPORTS), secrets.INTERFACES, ctx) as guest:
        assert await revealed(guest, "key") == Variant("string", "schlüssel")
        assert await revealed(guest, "token") == Variant("string", "text\n")
        assert await revealed(guest, "binary") == Variant("bytes", b"\xff\x00")
        assert await revealed(guest, "any name") == Variant("string", "text\n")


@pytest.mark.parametrize("ctx", [None, WasiCtx(SecretsCtx({}))], ids=["nothing", "none"])
async def test_what_was_not_granted_is_not_found(ctx: WasiCtx | None) -> None:
    """wasmcloud:secrets/store: an unknown key is `not-found`; `upstream` and `io` are never returned."""
    async with driving(driven_guest(IMPORTS), secrets.INTERFACES, ctx) as guest:
        assert await guest.call("store#get", "PATH") == Err(Variant("not-found"))


async def test_one_that_was_replaced_is_seen_at_once(tmp_path: Path) -> None:
    """wasmcloud:secrets/store: a handle has the key alone, and no value."""
    file = tmp_path / "token"
    file.write_text("old")
    ctx = granted({"token": f"file:{tmp_path}"})
    async with driving(driven_guest(IMPORTS), secrets.INTERFACES, ctx) as guest:
        handle = (await guest.call("store#get", "token")).value
        assert await guest.call("reveal#reveal", handle) == Variant("string", "old")
        file.write_text("new")
        assert await guest.call("reveal#reveal", handle) == Variant("string", "new")


async def test_one_that_has_vanished_traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wasmcloud:secrets/reveal: traps where the value has vanished."""
    (tmp_path / "token").write_text("here")
    monkeypatch.setenv("SHOP_KEY", "here")
    ctx = granted({"token": f"file:{tmp_path}", "key": "env:SHOP_KEY"})
    os.unlink(tmp_path / "token")
    monkeypatch.delenv("SHOP_KEY")
    for name in ("token", "key"):
        with pytest.raises(Trap, match=f'secret "{name}": .* any more$') as trap:
            async with driving(driven_guest(IMPORTS), secrets.INTERFACES, ctx) as guest:
                await revealed(guest, name)
        assert str(tmp_path) not in trap.value.message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "large").write_bytes(bytes(MAX_SECRET + 1))
    (tmp_path / "good").write_text(HIDDEN)
    return tmp_path


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("env:NOT_SET_HERE", "NOT_SET_HERE is not set in the gateway's environment"),
        ("env:", 'must name a variable, such as "env:API_KEY"'),
        ("file:", 'must name a file or a folder, such as "file:/run/secrets"'),
        ("file:{}", "{}/token: No such file or directory"),
        ("file:{}/large", "{}/large has more than 65536 bytes"),
        ("vault:x", 'has the scheme "vault:"; there are env:, file:, vault+http:, vault+https:'),
    ],
)
def test_a_component_whose_secret_is_missing_is_refused(
    guest: GuestPath, folder: Path, url: str, reason: str
) -> None:
    """wasmcloud:secrets: a component does not start whose secret cannot be had."""
    grant = SecretGrant.model_validate({"url": url.format(folder)})
    component = ComponentConfig(name="shop", source=guest("c/hello"), secrets={"token": grant})
    with pytest.raises(ComponentError) as refused:
        create_app(GatewayConfig(components=(component,)))
    assert str(refused.value).endswith(
        f'secrets "token" of component shop: {reason.format(folder)}'
    )


@pytest.mark.parametrize("name", ["..", "../good", "a/b", "/etc/passwd"])
def test_a_name_does_not_lead_out_of_its_folder(folder: Path, name: str) -> None:
    inner = folder / "inner"
    inner.mkdir()
    source = OPENERS["file"](BackendURL.parse(f"file:{inner}"))
    with pytest.raises(ValueError, match="no file there can be called"):
        source.check(name)


async def test_a_secret_is_told_to_nobody_else(folder: Path) -> None:
    """wasmcloud:secrets: a value is never logged."""
    ctx = granted({"good": f"file:{folder}"})
    grant = SecretGrant.model_validate({"url": f"file://user:{HIDDEN}@host/x"})
    assert HIDDEN not in repr(grant)
    with structlog.testing.capture_logs() as logged:
        async with driving(driven_guest(IMPORTS), secrets.INTERFACES, ctx) as guest:
            await revealed(guest, "good")
    assert HIDDEN not in repr(logged) + repr(ctx.of(SecretsCtx).secrets)
