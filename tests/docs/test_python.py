"""The programs of the page about calls from Python run, and have the right types."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import GuestPath

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
*PROGRAMS, TESTS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_all_programs_are_found() -> None:
    assert len(PROGRAMS) + 1 == PAGE.read_text().count("```python") == 4
    assert "def test_" in TESTS


@pytest.fixture
def folder(tmp_path: Path, guest: GuestPath) -> Path:
    shutil.copy(guest("examples/hello"), tmp_path / "hello.wasm")
    shutil.copy(guest("examples/counter"), tmp_path / "counter.wasm")
    shutil.copy(guest("c/rpc"), tmp_path / "rpc.wasm")
    shutil.copy(guest("c/proxy"), tmp_path / "proxy.wasm")
    return tmp_path


def test_they_run(folder: Path) -> None:
    # Each is a program of its own: what one defines is not there for the next.
    runs = "\n".join(f"exec({program!r}, {{'__name__': 'main'}})" for program in PROGRAMS)
    run = subprocess.run(
        [sys.executable, "-c", runs], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_tests_pass(folder: Path) -> None:
    (folder / "test_components.py").write_text(TESTS)
    # Its entry point may be one that is not installed yet.
    options = ["-q", "-p", "no:component-gateway", "-p", "gateway.pytest_plugin"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", "-W", "error"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_they_have_the_right_types(folder: Path, pytestconfig: pytest.Config) -> None:
    for number, program in enumerate(PROGRAMS):
        (folder / f"program_{number}.py").write_text(program)
    cache = pytestconfig.rootpath / ".mypy_cache" / "readme"
    options = ["--strict", "--config-file=", f"--cache-dir={cache}"]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
