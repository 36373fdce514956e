"""What a gateway makes of the claims and the digest of the components that it is to serve."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway, create_app
from gateway.config import ComponentConfig, ConfigError, GatewayConfig, load
from gateway.host.errors import ComponentError
from gateway.observe.events import ReturnEvent
from tests.forked import run
from tests.harness import GuestPath
from tests.routes.test_asgi import Server
from tests.wasm.claims.elsewhere import ACCOUNT as ISSUER
from tests.wasm.claims.elsewhere import OTHER_ACCOUNT as OTHER
from tests.wasm.claims.elsewhere import signed

LATE = 4_000_000_000  # in the year 2096


@pytest.fixture(params=["c/hello", "module/hello"], ids=["component", "core module"])
def hello(request: pytest.FixtureRequest, guest: GuestPath) -> bytes:
    return guest(request.param).read_bytes()


def serve(folder: Path, content: bytes, **keys: Any) -> Gateway:
    source = folder / "app.wasm"
    source.write_bytes(content)
    component = ComponentConfig.model_validate({"name": "app", "source": source, **keys})
    return create_app(GatewayConfig(components=(component,)))


def tampered(content: bytes) -> bytes:
    """The same with another byte in the text that it answers with."""
    assert content.count(b"Hello, World!") == 1
    return content.replace(b"Hello, World!", b"Hello, world!")


def counted(app: Gateway, reason: str) -> float | None:
    metrics = app.runtime.metrics
    assert metrics is not None
    labels = {"component": "app", "reason": reason}
    return metrics.registry.get_sample_value("gateway_claims_refused_total", labels)


@pytest.mark.parametrize("keys", [{}, {"require_signature": False}])
def test_an_unsigned_component_is_served(tmp_path: Path, hello: bytes, keys: Any) -> None:
    assert serve(tmp_path, hello, **keys).services[0].provenance.issuer is None


@pytest.mark.parametrize(
    "keys",
    [{}, {"require_signature": True}, {"trusted_issuers": [OTHER, ISSUER]}, {"claims": "report"}],
)
def test_a_signed_component_is_served(tmp_path: Path, hello: bytes, keys: Any) -> None:
    app = serve(tmp_path, signed(hello), **keys)
    assert app.services[0].provenance.issuer == ISSUER


REFUSED = [
    ("unsigned", {"require_signature": True}, "it is not signed, and must be"),
    ("unsigned", {"trusted_issuers": [ISSUER]}, "it is not signed, and must be"),
    ("tampered", {}, "the content is not the one that was signed"),
    ("expired", {}, "expired"),
    ("early", {}, "the claims are valid from 2096"),
    ("signed", {"trusted_issuers": [OTHER]}, f"its issuer {ISSUER} is not trusted"),
]


def made(kind: str, content: bytes) -> bytes:
    match kind:
        case "unsigned":
            return content
        case "tampered":
            return tampered(signed(content))
        case "expired":
            return signed(content, exp=1_000_000_000)
        case "early":
            return signed(content, nbf=LATE)
    return signed(content)


@pytest.mark.parametrize(("kind", "keys", "reason"), REFUSED)
def test_what_does_not_hold_is_refused(
    tmp_path: Path, hello: bytes, kind: str, keys: Any, reason: str
) -> None:
    with pytest.raises(ComponentError, match=reason) as caught:
        serve(tmp_path, made(kind, hello), **keys)
    assert str(caught.value).startswith(str(tmp_path / "app.wasm"))


@pytest.mark.parametrize(("kind", "keys", "reason"), REFUSED)
def test_it_is_only_counted_where_claims_are_reported(
    tmp_path: Path, hello: bytes, kind: str, keys: Any, reason: str
) -> None:
    app = serve(tmp_path, made(kind, hello), claims="report", **keys)
    kinds = {
        "unsigned": "unsigned",
        "tampered": "wrong-hash",
        "expired": "expired",
        "early": "not-yet-valid",
        "signed": "untrusted-issuer",
    }
    assert counted(app, kinds[kind]) == 1


@pytest.mark.anyio
async def test_events_tell_who_signed_the_component(tmp_path: Path, hello: bytes) -> None:
    app = serve(tmp_path, signed(hello))
    events: list[ReturnEvent] = []
    app.runtime.channel.add_sink(events.append)
    await Server("/").run(app)
    app.runtime.channel.flush()
    assert events[0].issuer == ISSUER
    assert events[0].subject == app.services[0].provenance.subject is not None


def test_a_digest_pins_the_content(tmp_path: Path, hello: bytes) -> None:
    digest = hashlib.sha256(hello).hexdigest()
    for pinned in (digest, digest.upper(), f"sha256:{digest}"):
        assert serve(tmp_path, hello, sha256=pinned)
    with pytest.raises(ComponentError, match=f"sha256 pins it to {digest}"):
        serve(tmp_path, tampered(hello), sha256=digest)
    # Not even where claims are only reported: a pin is no claim.
    with pytest.raises(ComponentError, match="sha256 pins it to"):
        serve(tmp_path, tampered(hello), sha256=digest, claims="report")


def configuration(folder: Path, content: bytes, text: str) -> Path:
    (folder / "app.wasm").write_bytes(content)
    config = folder / "gateway.toml"
    config.write_text(text)
    return config


def test_what_is_asked_of_all_components_can_be_said_once(tmp_path: Path, hello: bytes) -> None:
    text = f'''
        [defaults]
        require_signature = true
        trusted_issuers = ["{ISSUER}"]

        [[components]]
        name = "app"
        source = "app.wasm"
    '''
    config = load(configuration(tmp_path, hello, text))
    assert config.components[0].require_signature
    with pytest.raises(ComponentError, match="it is not signed"):
        create_app(config)
    assert create_app(load(configuration(tmp_path, signed(hello), text)))
    own = text + "require_signature = false\ntrusted_issuers = []\n"
    assert create_app(load(configuration(tmp_path, hello, own)))


def test_keys_that_are_none_are_told_by_the_configuration(tmp_path: Path, hello: bytes) -> None:
    text = """
        [[components]]
        name = "app"
        source = "app.wasm"
        sha256 = "abc"
        trusted_issuers = ["AAA"]
        claims = "maybe"
    """
    with pytest.raises(ConfigError) as caught:
        load(configuration(tmp_path, hello, text))
    told = str(caught.value)
    assert "components[0].sha256: must be a SHA-256 of 64 hexadecimal digits" in told
    assert "components[0].trusted_issuers[0]: " in told
    assert "components[0].claims: must be 'enforce' or 'report'" in told


def test_from_a_new_key_to_a_component_that_only_it_may_have_signed(
    tmp_path: Path, hello: bytes
) -> None:
    """Generate, sign, verify and inspect, as a user does it."""
    app, signed_app, seed = tmp_path / "app.wasm", tmp_path / "signed.wasm", tmp_path / "me.nk"
    app.write_bytes(hello)
    generated = run("keys", "generate", "-o", seed)
    assert generated.returncode == 0
    assert seed.stat().st_mode & 0o777 == 0o600
    assert seed.read_text().strip() not in generated.stdout + generated.stderr
    issuer = next(word for word in generated.stdout.split() if len(word) == 56)
    sign = run(
        "sign", app, "--issuer-seed", seed, "--expires", "30d", "--name", "App", "-o", signed_app
    )
    assert sign.returncode == 0
    assert run("verify", signed_app, "--trusted-issuer", issuer).returncode == 0
    assert run("verify", signed_app, "--trusted-issuer", OTHER).returncode == 2
    assert run("verify", app).returncode == 2
    inspected = run("inspect", signed_app).stdout
    assert issuer in inspected
    assert "as it was signed" in inspected
    told = run("sign", app, "--issuer-seed", app, "-o", tmp_path / "no.wasm")
    assert told.returncode == 2
    assert told.stderr.startswith("gateway: ")
