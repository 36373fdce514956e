"""Components in two languages that have secrets, as a gateway serves them, with a server that comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import ask
from tests.capabilities.servers import OpenBao
from tests.conformance.probe import Probe
from tests.harness import GuestPath, StartGateway
from tests.production.gateways import until

FIELD = "password"
VALUES = {"file": b"sesame", "bytes": b"\xff\x00", "vault": b"swordfish"}


def test_secrets_are_revealed_and_told_to_nobody_else(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    """wasmcloud:secrets: text and bytes, `not-found` for others, a trap for one that vanished; never logged."""
    server = OpenBao(tmp_path)
    for name in ("file", "bytes"):
        (tmp_path / name).write_bytes(VALUES[name])
    token = tmp_path / "token"
    token.write_text("not-one")
    config = tmp_path / "gateway.toml"
    config.write_text(
        "".join(
            f"""
            [[components]]
            name = "{name}"
            source = "{guest(source)}"
            routes = [{{ host = "{name}.test" }}]
            [components.secrets]
            file = "file:{tmp_path}"
            bytes = "file:{tmp_path}/bytes"
            vault = "{server.url}#{FIELD}"
            vault-name = {{ url = "{server.url}", name = "{FIELD}" }}
            rotated = "{server.url}?token=file:{token}#{FIELD}"
            """
            for name, source in (("c", "c/secrets"), ("probe", "python/probe"))
        )
    )
    options = ("--operational-routes", "first", "--log-level", "debug")
    running = gateway(config, *options, env={"VAULT_TOKEN": server.root})
    try:
        probe = Probe(running, "/")

        def c(name: str) -> tuple[int, bytes]:
            answer = ask.get(f"{running.url}/{name}", headers={"host": "c.test"})
            return answer.status_code, answer.content

        def python(name: str) -> Any:
            return probe(f'result = reveal.reveal(store.get("{name}"))')

        def warnings() -> Any:
            return ask.get(f"{running.url}/readyz").json()["warnings"]

        # It is known to be away before anybody has asked it for anything.
        warning, _ = sorted(warnings())
        assert f"secrets vault+http://{server.address}/secret/shop: " in warning
        up = 'gateway_capability_backend_up{backend="vault",capability="secrets"}'
        assert f"{up} 0.0" in ask.get(f"{running.url}/metrics").text
        assert c("vault")[0] == 500
        assert running.wait_for_log(event="backend failed")["reason"]
        server.start()
        server.put(**{FIELD: "swordfish"})

        # A token is renewed, and that it cannot be is told; then it is replaced.
        degraded = 'gateway_capability_backend_degraded{backend="vault",capability="secrets"}'
        until(lambda: f"{degraded} 1.0" in ask.get(f"{running.url}/metrics").text)
        until(lambda: len(warnings()) == 1 and "(403)" in warnings()[0])
        token.write_text(server.root)
        until(lambda: c("rotated") == (200, b"string swordfish"))
        until(lambda: not warnings())
        until(lambda: f"{degraded} 0.0" in ask.get(f"{running.url}/metrics").text)

        assert c("file") == (200, b"string sesame")
        assert c("bytes") == (200, b"bytes \xff\x00")
        assert c("vault") == (200, b"string swordfish")
        assert c("vault-name") == (200, b"string swordfish")
        assert c("none") == (404, b"")
        assert python("file") == {"SecretValue_String": "sesame"}
        assert python("bytes") == {"SecretValue_Bytes": "\xff\x00"}
        assert python("vault") == {"SecretValue_String": "swordfish"}
        assert probe('result = attempt(store.get, "none")') == {"Err": "SecretsError_NotFound"}

        server.put(other="1")
        assert c("vault")[0] == 500
        assert "cannot be read any more" in probe.traps('reveal.reveal(store.get("vault"))')
        shown = [
            ask.get(f"{running.url}/{page}").text for page in ("readyz", "metrics", "components")
        ]
        told = repr(running.logs) + "".join(shown)
        assert f'secret/data/shop has no field "{FIELD}"' in told.replace("\\", "")
        for hidden in ("sesame", "swordfish", server.root):
            assert hidden not in told
    finally:
        server.kill()
