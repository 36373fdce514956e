"""`wasi:filesystem`: folders of the host, and nothing outside of them.

A guest is granted nothing but the folders that are mounted for its component, read-only unless the mount says
otherwise. `path_resolution` keeps it in there, `handle` keeps file descriptors from being confused, `worker`
keeps the event loop from waiting for a disk, and `open_files` keeps one guest from taking what all need.
"""

from __future__ import annotations

from gateway.bindings.filesystem.mount import Mount
from gateway.bindings.filesystem.open_files import OpenFiles
from gateway.bindings.filesystem.types import INTERFACES

__all__ = ["INTERFACES", "Mount", "OpenFiles"]
