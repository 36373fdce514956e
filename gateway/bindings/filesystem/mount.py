"""A folder of the host that guests find as a preopened directory."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.bindings.descriptors import UNCOUNTED, Share
from gateway.bindings.filesystem.handle import Handle
from gateway.bindings.filesystem.path_resolution import SEARCH_DIRECTORY

__all__ = ["Mount"]


class Mount:
    """A folder that is open, so that it stays the same one whatever becomes of its path.

    Args:
        host: the folder; links on the way to it are followed.
        guest: the path under which guests find it, one that `gateway.policy.guest_path` returned.
        writable: whether guests may change anything in it. There is no limit to what they may write: that is
            for a quota of the file system to set.
        share: where what guests open in it takes its places among the file descriptors.

    Attributes:
        guest: its path for guests.
        writable: whether guests may change anything in it.
        handle: the folder.

    Raises:
        OSError: there is no such folder, or it may not be searched.
    """

    def __init__(
        self, host: Path, guest: str, *, writable: bool = False, share: Share = UNCOUNTED
    ) -> None:
        self.guest = guest
        self.writable = writable
        self.handle = Handle(os.open(host, SEARCH_DIRECTORY), share)

    def close(self) -> None:
        """Let go of the folder; guests that have it open keep it as long as they do."""
        self.handle.release()
