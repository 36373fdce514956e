"""Resources of a peer: bytes, whose meaning is its own.

Source: SPEC.md of https://github.com/bytecodealliance/wrpc, "Resources"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.host import wit
from gateway.host.errors import Gone
from gateway.host.table import Resource
from gateway.wrpc.cursor import Cursor

__all__ = ["MAX_HANDLE", "Handle", "Handles", "OfPeer"]

MAX_HANDLE: Final = 1024
"""Bytes of a resource. Threat: a peer that gives large ones, which are kept for as long as a guest has handles to
them. Arbitrary: those of peers are names and UUIDs."""


class Handle(Resource):
    """A resource that a peer has given, while a guest has a handle to it. The protocol has no word for its end.

    Attributes:
        handles: those of that peer.
        data: what it is to the peer.
    """

    __slots__ = ("data", "handles")

    def __init__(self, handles: Handles, data: bytes) -> None:
        self.handles = handles
        self.data = data


class Handles:
    """The resources of one peer, on the wire.

    Args:
        name: what the peer is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def of(self, ty: wit.Function) -> wit.Function:
        """The type of a function of the peer, whose resources are all its own."""

        def of_peer(part: wit.Type) -> wit.Type | None:
            return OfPeer(part.resource, self) if isinstance(part, wit.Own | wit.Borrow) else None

        params = tuple((name, wit.replaced(param, of_peer)) for name, param in ty.params)
        return wit.Function(params, None if ty.result is None else wit.replaced(ty.result, of_peer))

    def has(self, value: object) -> bool:
        """Whether something is one of them."""
        return type(value) is Handle and value.handles is self

    def bytes_of(self, value: Any) -> bytes:
        """What a resource is to the peer.

        Raises:
            Gone: it is none of this peer.
        """
        if not self.has(value):
            raise Gone(f"a resource is none of {self._name}")
        data: bytes = value.data
        return data

    def read(self, cursor: Cursor) -> Handle:
        """Read one.

        Raises:
            Malformed: it is none.
        """
        size = cursor.count()
        if size > MAX_HANDLE:
            raise cursor.malformed(f"a resource, of at most {MAX_HANDLE} bytes,")
        return Handle(self, cursor.take(size))


@dataclass(frozen=True, slots=True)
class OfPeer(wit.Own):
    """A resource of a peer, as own or borrow, which are one on the wire."""

    handles: Handles
