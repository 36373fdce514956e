"""How a gateway and its components are, for those who run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from gateway.config.route import Route
from gateway.host.errors import ComponentError
from gateway.observe.events import Outcome
from gateway.serving.links import LinkStatus

__all__ = ["ComponentStatus", "ServerStatus", "Superseded"]

_Count = Annotated[int, Field(ge=0)]


class Superseded(ComponentError):
    """A change did not come to its end, because a later one of the same component was asked for.

    Args:
        name: the component's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f'Component "{name}" was put again, or deleted, meanwhile.')


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """A component as it is now. Nothing of its environment is told.

    Attributes:
        name: its name.
        digest: the SHA-256 of its file, in hexadecimal.
        size: bytes of its file.
        source: the path of its file on the server.
        routes: the HTTP requests that it answers.
        methods: the names of what can be called of it by JSON-RPC.
        exports: all that it exports, by full name.
        in_flight: invocations of it that are running.
        queued: invocations of it that wait to.
        invocations: how many of them have ended, by outcome; outcomes that never came may be left out.
        loaded_at: when it was put in service.
        generation: which configuration of the gateway it came with.
        links: what provides its imports, and answers its HTTP requests to names.
        issuer: the public key that signed it, where that is proven.
        subject: the public key that the issuer says it is, likewise.
    """

    name: str
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: _Count
    source: str
    routes: tuple[Route, ...]
    methods: tuple[str, ...]
    exports: tuple[str, ...]
    in_flight: _Count
    queued: _Count
    invocations: Mapping[Outcome, _Count]
    loaded_at: datetime
    generation: _Count
    links: tuple[LinkStatus, ...] = ()
    issuer: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The gateway as it is now.

    Attributes:
        version: the version of the gateway.
        started_at: when it started to serve.
        generation: how often its components or configuration have been changed.
        draining: whether it is being taken out of service.
        ready: whether it should be sent requests.
        reasons: why it should not; empty if it should.
        workers: the processes that serve.
    """

    version: str
    started_at: datetime
    generation: _Count
    draining: bool
    ready: bool
    reasons: tuple[str, ...]
    workers: Annotated[int, Field(ge=1)]
