"""How long tests wait."""

from typing import Final

PATIENCE: Final = 120.0
"""Seconds that any wait takes at most before a test fails. Many times what the largest guest takes to compile on
two processors that have much else to do: only what never happens runs into it. A test that waits without a bound
ends, with the stacks of all threads, at the `timeout` of pyproject.toml, which is longer."""
