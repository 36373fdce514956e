"""What a way to components has in common with others, whatever comes there."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """A way to call components, from when it is started to when it is closed; HTTP is the one that is none.

    It belongs to one configuration, and is made with that: before there is an event loop, and maybe in vain.
    Everything else is done on the loop.
    """

    @property
    def identity(self) -> Hashable:
        """What it has in common with the one that takes its place in the next configuration."""

    @property
    def trouble(self) -> str | None:
        """Why nothing comes, for the operator to see to, who is told what it is of; None if that is not so."""

    @property
    def busy(self) -> bool:
        """Whether anything that it took is still to be finished."""

    def start(self, before: Transport | None) -> None:
        """Begin to take what comes.

        Args:
            before: the one of this identity that does so until now. It has nothing more to take from then on: what
                comes goes to exactly one of them.
        """

    async def ready(self) -> None:
        """Wait until what comes is taken, which may be never: whoever sends it may be out of reach."""

    def drain(self, *, inside: bool) -> None:
        """Take nothing more. May be called again, and where it was never started.

        Args:
            inside: whether that is so too for what comes from components of this worker, whose requests may be
                under way still.
        """

    async def finished(self) -> None:
        """Wait until all that was taken is finished."""

    def abandon(self) -> None:
        """Give up what was taken and has not begun; what has is stopped as any call is."""

    async def aclose(self) -> None:
        """End it, with what has not been finished. May be called again. Must not raise."""
