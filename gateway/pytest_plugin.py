"""Fixtures of pytest for tests of components, which import nothing before they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gateway.testing import TestedComponent

__all__ = ["open_component", "serve_component"]


@pytest.fixture
def open_component() -> Iterator[Callable[..., TestedComponent]]:
    """Opens components, in the process: `open_component(source, **keys)`, as `gateway.testing.with_fakes`.

    They are closed when the test ends.
    """
    yield from _opening(served=False)


@pytest.fixture
def serve_component() -> Iterator[Callable[..., TestedComponent]]:
    """The same on a free port of the loopback interface: where is `url`."""
    yield from _opening(served=True)


def _opening(*, served: bool) -> Iterator[Callable[..., TestedComponent]]:
    with ExitStack() as exits:

        def opened(source: Any, **keys: Any) -> TestedComponent:
            from gateway.testing import with_fakes  # noqa: PLC0415 - not for tests that ask for nothing

            return exits.enter_context(with_fakes(source, served=served, **keys))

        yield opened
