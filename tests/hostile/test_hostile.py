"""A part of the attacks, the same each time: what `make fuzz` does for as long as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import planted
from tests.hostile.runner import can_guide, run
from tests.hostile.target import CORPUS, NAMES, load
from tests.hostile.worker import Options

SEED = 20_261_128
"""Any number does; what it leads to is the same each time, as long as targets and seeds are."""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    inputs = load(name).ci_inputs
    done = run(Options(name, SEED, "", inputs=inputs), findings=tmp_path)
    assert not done.findings, "\n".join(map(str, done.findings))
    assert done.inputs is not None
    assert done.inputs >= inputs


def test_all_that_is_kept_belongs_to_a_target() -> None:
    assert {folder.name for folder in CORPUS.glob("*/")} <= set(NAMES)


PLANTED = {
    "FAILS": "KeyError planted.py",
    "DIES": "status -6",
    "SPINS": "TooLongError",
    "KEEPS": "GrownError",
}


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_planted_is_found(fault: str, tmp_path: Path) -> None:
    name = f"{planted.__name__}:{fault}"
    inputs = 30 if fault == "SPINS" else 400
    [finding] = run(Options(name, SEED, "", inputs=inputs), findings=tmp_path).findings
    assert finding.kind.startswith(PLANTED[fault])
    if finding.path is not None:
        data = finding.path.read_bytes()
        assert b"open" in data
        assert fault != "FAILS" or data == b"open"
        [again] = run(Options(name, 0, "", replay=str(finding.path)), findings=tmp_path).findings
        assert again.kind == finding.kind


def test_what_does_no_harm_is_no_finding(tmp_path: Path) -> None:
    name = f"{planted.__name__}:HARMLESS"
    assert not run(Options(name, SEED, "", inputs=400), findings=tmp_path).findings


guided = pytest.mark.skipif(
    not can_guide("tokens"), reason="needs atheris, which is not there for every platform"
)


@guided
def test_coverage_guides(tmp_path: Path) -> None:
    """It reaches into the parsers, and keeps what led somewhere new."""
    evolved = tmp_path / "evolved"
    evolved.mkdir()
    options = Options("json_rpc", SEED, "", inputs=500, guided=True, evolved=str(evolved))
    assert not run(options, findings=tmp_path).findings
    assert list(evolved.iterdir())


@guided
def test_what_is_planted_is_found_by_coverage_too(tmp_path: Path) -> None:
    name = f"{planted.__name__}:FAILS"
    [finding] = run(Options(name, SEED, "", inputs=400, guided=True), findings=tmp_path).findings
    assert finding.kind.startswith(PLANTED["FAILS"])
