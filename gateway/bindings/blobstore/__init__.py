"""`wasi:blobstore`: containers of objects that the operator has granted a component, by their names.

What is not granted is an error that begins with "access-denied"; so is a change of what may only be read.
Whatever else goes wrong with a store is an error too, within the time that it has to answer. Objects are streamed
both ways: a few blocks of one are in memory, whatever its size.

Source: `wasi:blobstore@0.2.0-draft`, `types.wit`, `container.wit`, `blobstore.wit`.
"""

from __future__ import annotations

from gateway.bindings.blobstore.grant import ALL, BlobstoreCtx, GrantedSpace
from gateway.bindings.blobstore.interfaces import INTERFACES

__all__ = ["ALL", "INTERFACES", "BlobstoreCtx", "GrantedSpace"]
