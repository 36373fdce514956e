"""Runs targets, each in a process of its own, and keeps what they find."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.hostile.target import load
from tests.hostile.worker import Options, arguments

__all__ = ["FINDINGS", "Finding", "Run", "can_guide", "run"]

FINDINGS: Final = Path(__file__).parent / "findings"
"""What was found, a file for each; not in the repository."""

_HANG: Final = 120.0
"""Seconds beyond its time after which a worker hangs. Generous: the machine may have others to serve."""


@dataclass(frozen=True)
class Finding:
    """An input that did harm.

    Attributes:
        target: the name of the target.
        kind: what is the same of all that have one cause.
        reason: what happened, with the traceback where there is one.
        path: the file of the input; None where no single one did it.
    """

    target: str
    kind: str
    reason: str
    path: Path | None

    def __str__(self) -> str:
        again = "" if self.path is None else f"\n  again: make fuzz REPLAY={self.path}"
        return f"{self.target}: {self.kind}\n{self.reason.rstrip()}{again}"


@dataclass(frozen=True)
class Run:
    """What came of it.

    Attributes:
        inputs: how many were tried; None where the engine does not tell.
        findings: what was found.
    """

    inputs: int | None
    findings: list[Finding]


def can_guide(target: str) -> bool:
    """Whether coverage can guide the inputs of a target here."""
    return load(target).guided and find_spec("atheris") is not None


def run(options: Options, *, findings: Path = FINDINGS) -> Run:
    """Run a target.

    Args:
        options: what to do; `current` is chosen here.
        findings: the folder for what is found.
    """
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder, "current")
        options = replace(options, current=str(current))
        command = [sys.executable, "-m", "tests.hostile.worker", json.dumps(arguments(options))]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        try:
            output, errors = process.communicate(timeout=(options.seconds or 0) + _HANG)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            errors += f"\nnot done {_HANG:g} s after its time"
        told = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        found = [_found(options.target, each, findings) for each in told if "kind" in each]
        data = current.read_bytes() if current.exists() else b""
        if process.returncode and not found and not _is_harmless(process.returncode, data, options):
            kind = f"status {process.returncode}"
            ended = {"kind": kind, "reason": errors[-8000:], "data": data.hex()}
            found.append(_found(options.target, ended, findings))
    return Run(next((each["inputs"] for each in told if "inputs" in each), None), found)


def _is_harmless(status: int, data: bytes, options: Options) -> bool:
    """Whether libFuzzer has ended on its own account, by no signal, and the input does nothing without it."""
    if not options.guided or status < 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "input")
        path.write_bytes(data)
        again = replace(options, guided=False, inputs=None, seconds=None, replay=str(path))
        return not run(again, findings=Path(folder)).findings


def _found(target: str, told: dict[str, Any], folder: Path) -> Finding:
    data = bytes.fromhex(told["data"])
    path = None
    if data:
        folder.mkdir(parents=True, exist_ok=True)
        kind = re.sub(r"[^A-Za-z0-9.]+", "-", told["kind"])
        path = folder / f"{target}+{kind}"
        path.write_bytes(data)
    return Finding(target, told["kind"], told["reason"], path)
