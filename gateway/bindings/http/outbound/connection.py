"""A connection to a server: the bytes of a transport as the events of HTTP/1.1.

The protocol and the coroutines that use it share one loop. Bytes go straight into h11, which parses when someone
asks for the next event; nobody asking, the transport is paused, so a response waits in the peer's buffers and not
here. Writing is the transport's business, which says when to `drain`.

The end of the stream is kept from h11 until all before it was parsed. Only so can a response that breaks off be
told from one that is malformed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

import h11

from gateway.bindings.http.outbound.failure import (
    OutboundFailure,
    lost_failure,
    protocol_failure,
)
from gateway.host.values import Variant

__all__ = ["Connection"]

MAX_HEAD: Final = 128 << 10
"""Bytes of a head, or of a trailer section, that has not ended yet. A server could send fields for ever. As much
as a guest's own fields may have."""

MAX_EVENTS: Final = 64
"""Chunks that are parsed in one go. Arbitrary: a response of one-byte chunks must not hold up the loop."""

MAX_BATCH: Final = 64 << 10
"""Bytes of content that are returned at once, unless a single chunk has more: what a guest reads at once."""

_Received: TypeAlias = h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage


class Connection(asyncio.Protocol):
    """A connection, for one exchange after another.

    Attributes:
        received: whether the peer has sent anything in this exchange.
    """

    def __init__(self) -> None:
        self.received = False
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._transport: asyncio.Transport
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False
        self._lost: OutboundFailure | None = None
        self._next: _Received | OutboundFailure | None = None
        self._reusable = True
        self._on_disturbed: Callable[[], None] | None = None

    # --- asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Keep bytes, and ask for no more than these until someone reads."""
        self.received = True
        self._http.receive_data(data)
        # Not only where nobody reads: uvloop reads up to 32 times before whoever does gets a turn.
        if (self._reader is None or self._reader.done()) and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._stir()

    def eof_received(self) -> None:
        """The peer sends nothing more; the transport closes."""
        self._ended = not self._is_cut_off()
        self._stir()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will move."""
        if self._lost is None:
            self._lost = lost_failure(exc)
        self._stir()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The transport has enough to send."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """It has not any more."""
        self._writing_paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _stir(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        if self._on_disturbed is not None:
            self._on_disturbed()

    # --- sending -------------------------------------------------------------------------------------------

    def send(self, *events: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        """Pass on a part of the request. That the peer is gone is for `drain` to tell, and for who receives."""
        data: list[bytes] = []
        for event in events:
            data += self._http.send_with_data_passthrough(event) or ()
        if not self._transport.is_closing():
            # Not by `writelines`: what it keeps pauses nobody in CPython 3.12.0 to 3.12.8, 3.13.0 and 3.13.1.
            self._transport.write(b"".join(data))

    async def drain(self) -> None:
        """Wait until more may be sent.

        Raises:
            OutboundFailure: nothing may, ever again.
        """
        if self._writing_paused and self._lost is None:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._lost is not None:
            raise self._lost

    # --- receiving -----------------------------------------------------------------------------------------

    async def head(self) -> h11.Response:
        """The head of the response; informational ones are passed over.

        Raises:
            OutboundFailure: there is none.
        """
        while True:
            event = await self._receive()
            # RFC 9110 section 2.5: another major version may have another syntax.
            if isinstance(event, h11.Response | h11.InformationalResponse):
                if not event.http_version.startswith(b"1."):
                    version = event.http_version.decode()
                    raise OutboundFailure(Variant("HTTP-protocol-error"), f"HTTP/{version}")
                if isinstance(event, h11.Response):
                    self._check_framing(event)
                    return event

    async def content(self) -> bytes | Sequence[tuple[bytes, bytes]]:
        """The next bytes of the response's content; or its trailers, at the end.

        Raises:
            OutboundFailure: the response will never be whole.
        """
        event = await self._receive()
        if isinstance(event, h11.EndOfMessage):
            return list(event.headers)
        data = cast(h11.Data, event).data
        batch = None
        for _ in range(MAX_EVENTS):
            try:
                following = self._parse()
            except OutboundFailure as failure:
                self._next = failure
                break
            if not isinstance(following, h11.Data):
                self._next = following
                break
            if batch is None:
                batch = bytearray(data)
            batch += following.data
            if len(batch) >= MAX_BATCH:
                break
        else:
            await asyncio.sleep(0)
        return data if batch is None else bytes(batch)

    async def _receive(self) -> _Received:
        while True:
            event, self._next = self._next, None
            if event is None:
                event = self._parse()
            if isinstance(event, OutboundFailure):
                raise event
            if event is not None:
                return event
            if self._lost is not None:
                raise self._lost
            self._resume_reading()
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    def _resume_reading(self) -> None:
        # A transport that is closing has `connection_lost` still to call, and uvloop's refuses anything else.
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _parse(self) -> _Received | None:
        """The next event, if it is there in full."""
        in_body = self._http.their_state is h11.SEND_BODY
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise protocol_failure(error, in_body=in_body) from error
        if event is h11.NEED_DATA and self._ended:
            self._http.receive_data(b"")
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if not self.received:
                    raise lost_failure(None) from error
                raise OutboundFailure(Variant("HTTP-response-incomplete"), str(error)) from error
        return cast(_Received, event) if isinstance(event, h11.Event) else None

    def _check_framing(self, response: h11.Response) -> None:
        # RFC 9112 section 6.3: a message with both is an attempt at smuggling another, and the connection is not
        # to be used again.
        names = {name for name, _ in response.headers}
        if {b"transfer-encoding", b"content-length"} <= names:
            self._reusable = False

    def _is_cut_off(self) -> bool:
        """Whether the end of the stream is not that of TLS (RFC 9112 section 9.8): anyone may have made it."""
        tls = self._transport.get_extra_info("ssl_object")
        if tls is None:
            return False
        try:
            return bool(tls.read(1))
        except ssl.SSLError:  # that there is nothing yet; uvloop tells the two apart by itself
            return True

    # --- its life ------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the peer, or either side's network, has closed it."""
        return self._ended or self._lost is not None

    @property
    def stays_open(self) -> bool:
        """Whether the peer, whose response has ended, will read on."""
        return self._http.their_state is h11.DONE and not self.closed

    @property
    def reusable(self) -> bool:
        """Whether the exchange is complete, and another may follow."""
        return (
            self._reusable
            and self.stays_open
            and self._http.our_state is h11.DONE
            and not self._http.trailing_data[0]
            and not self._transport.is_closing()
        )

    def rest(self, on_disturbed: Callable[[], None]) -> None:
        """Make it, which is reusable, wait for another exchange.

        Args:
            on_disturbed: called when the peer closes, or says anything without having been asked.
        """
        self._http.start_next_cycle()
        self._on_disturbed = on_disturbed
        self._resume_reading()

    def wake(self) -> None:
        """Begin another exchange."""
        self._on_disturbed = None
        self.received = False

    def abort(self, failure: OutboundFailure | None = None) -> None:
        """Close it at once, dropping what was not sent yet; who still waits on it is told the failure."""
        if self._lost is None:
            self._lost = failure
        self._transport.abort()
