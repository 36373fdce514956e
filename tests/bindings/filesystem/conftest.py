"""Fixtures of these tests."""

from collections.abc import Iterator

import pytest

from tests.bindings.filesystem.gate import CloseGate, Gate, closing_gates


@pytest.fixture
def close_gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloseGate]:
    """`close_gate("pread")`: makes the worker threads wait in `os.pread`, until the test ends at the latest."""
    gates: list[Gate] = []
    yield closing_gates(monkeypatch, gates)
    for gate in gates:
        gate.open()
