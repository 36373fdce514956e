"""The values of one side of an invocation, parameters or the result, in frames.

Values without streams and futures go by the root alone. Of others, the root says by a zero which are pending.
These go by their own paths (`gateway.wrpc.index`): a stream in lists of its elements, of which the last is empty,
a future as its payload. A future that is ready stands in place, after a one, and a stream as the list of its
elements.

What goes from here has all streams pending, each with all of its elements in one list, and all futures ready. Of a
stream in place, the specification and the peers in Rust have no more than the list, and those in Go a one before
it; what comes is read as the former. No peer is known that writes any.

Source: SPEC.md, "Component model value definition encoding extensions"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.host import wit
from gateway.wrpc.cursor import Cursor
from gateway.wrpc.decode import reader_of_all
from gateway.wrpc.encode import writer_of_all
from gateway.wrpc.extent import Extent
from gateway.wrpc.frames import MAX_FRAMES, Incoming, frame
from gateway.wrpc.index import Outgoing
from gateway.wrpc.over_time import Arrivals, Pending

__all__ = ["Values"]


class Values:
    """Values of certain types.

    Args:
        types: these types: of all parameters, or of the result.

    Attributes:
        go_on: whether there are streams or futures among them.

    Raises:
        TypeError: as of `gateway.wrpc.encode.writer`.
    """

    def __init__(self, types: Sequence[wit.Type]) -> None:
        self.go_on = any(map(wit.goes_on, types))
        self._types = types
        self._write = writer_of_all(types)
        self._read = reader_of_all(types)

    def frames(self, values: Sequence[Any]) -> bytearray:
        """All of them."""
        return self.begun(values)[0]

    def begun(self, values: Sequence[Any]) -> tuple[bytearray, list[Pending]]:
        """The frames that begin them, and what follows by paths of its own as it comes."""
        out = Outgoing()
        self._write(out, values)
        sent = frame(out)
        for path, data in out.indexed.items():
            sent += frame(data, path)
        return sent, out.pending

    def arrivals(self, stream: Incoming, max_size: int) -> Arrivals:
        """What comes of them from a peer, streams and futures over time.

        Args:
            stream: what comes.
            max_size: bytes that may be there before anybody wants them.
        """
        return Arrivals(self._types, stream, max_size)

    async def received(self, stream: Incoming, *, frames: int = MAX_FRAMES) -> Cursor:
        """What comes of them from a peer.

        Where there are streams or futures among them, that is all of them. Others may be whole with the end of the
        peer's side only.

        Args:
            stream: what comes.
            frames: how many are read at most of values without streams and futures.

        Raises:
            Malformed: what comes are no frames, or they are not whole, or more than there may be.
            TimeoutError: nothing comes.
        """
        if not self.go_on:
            return Cursor(await stream.root(frames=frames))
        extent = Extent(self._types)
        await stream.indexed(extent)
        return extent.cursor()

    def read(self, cursor: Cursor) -> tuple[Any, ...]:
        """What they are: the same each time.

        Raises:
            Malformed: the bytes are something else.
        """
        cursor = cursor.from_start()
        values = self._read(cursor)
        cursor.end()
        return values
