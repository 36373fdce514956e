"""Core modules from the compiler's output to an answer, with nothing but the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forked import run
from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.routes.wire import get
from tests.wasm.claims.elsewhere import ACCOUNT, signed


def content(gateway: GatewayProcess, target: str = "/") -> bytes:
    response = get(gateway, target)
    assert response.status == 200
    return response.body


@pytest.mark.parametrize("name", ["module/hello", "preview1/libc", "preview1/golang"])
def test_a_core_module_is_served_as_it_is(
    guest: GuestPath, gateway: StartGateway, name: str
) -> None:
    assert content(gateway(guest(name)))


def test_a_signed_core_module_is_verified_as_it_was_signed(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    module = tmp_path / "signed.wasm"
    module.write_bytes(signed(guest("module/hello").read_bytes()))
    running = gateway(module, "--trusted-issuer", ACCOUNT)
    assert content(running) == b"Hello, World!\n"


def test_a_component_is_made_ahead_of_time(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    component = tmp_path / "app.wasm"
    made = run("componentize", guest("module/hello"), "-o", component)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert component.read_bytes()[:8] == b"\0asm\x0d\0\x01\0"
    assert "export wasi:http/incoming-handler@0.2.0" in run("inspect", component).stdout
    assert content(gateway(component)) == b"Hello, World!\n"
    # What is a component stays what it is.
    again = tmp_path / "again.wasm"
    assert run("componentize", component, "-o", again).returncode == 0
    assert again.read_bytes() == component.read_bytes()


def test_what_cannot_be_made_one_is_not_written(tmp_path: Path) -> None:
    module, component = tmp_path / "module.wat", tmp_path / "app.wasm"
    module.write_text("(module)")
    made = run("componentize", module, "-o", component)
    assert (made.returncode, made.stdout) == (2, "")
    assert "this core module cannot be made a component" in made.stderr
    assert not component.exists()
