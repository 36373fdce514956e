"""`gateway client`: where the module goes, and what happens where there is nothing to call."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forked import run
from tests.harness import GuestPath


def client(*arguments: str | Path) -> tuple[int, bytes, str]:
    """Run `gateway client`; gives exit status, standard output and standard error."""
    done = run("client", *arguments)
    return done.returncode, done.stdout.encode(), done.stderr


@pytest.mark.parametrize("options", [[], ["--async"]])
def test_the_module_is_written_or_printed(
    guest: GuestPath, tmp_path: Path, options: list[str]
) -> None:
    module = tmp_path / "client.py"
    assert client(guest("c/rpc"), "-o", module, *options) == (0, b"", "")
    assert client(guest("c/rpc"), *options) == (0, module.read_bytes(), "")
    compiled = compile(module.read_text(), str(module), "exec")
    assert ("AsyncClient" if options else "Client") in compiled.co_names


def test_a_component_without_functions_has_no_client(guest: GuestPath, tmp_path: Path) -> None:
    status, printed, told = client(guest("c/hello"), "-o", tmp_path / "client.py")
    assert (status, printed) == (2, b"")
    assert "exports no functions that can be called with JSON" in told
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_told(guest: GuestPath, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "client.py"
    status, printed, told = client(guest("c/rpc"), "-o", path)
    assert (status, printed) == (1, b"")
    assert told == f"gateway: {path}: No such file or directory\n"
