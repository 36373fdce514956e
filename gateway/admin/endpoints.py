"""What can be asked of the admin API: methods, paths, and who may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.admin.token import TokenScope

__all__ = ["ENDPOINTS", "PREFIX", "AdminEndpoint", "Returns"]

PREFIX: Final = "/admin/v1"

_COMPONENTS: Final = f"{PREFIX}/components"
_COMPONENT: Final = f"{PREFIX}/components/{{name}}"


@dataclass(frozen=True, slots=True)
class Returns:
    """A response.

    Attributes:
        description: what it means.
        schema: the name of the schema of its content; None if it has none.
        media_type: what its content is.
    """

    description: str
    schema: str | None = None
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminEndpoint:
    """A method of a resource.

    Attributes:
        id: its `operationId`.
        method: the method of HTTP. One that has GET has HEAD too.
        path: the path, with parameters in braces.
        scope: what a token must be for; None if none is needed.
        summary: what it does, in a line.
        description: what else there is to know.
        takes: the names of the schemas of the request's content, by the media types that it may have.
        returns: the responses, by status code, but for those that every endpoint has.
    """

    id: str
    method: str
    path: str
    scope: TokenScope | None
    summary: str
    description: str = ""
    takes: Mapping[str, str] = field(default_factory=dict)
    returns: Mapping[int, Returns] = field(default_factory=dict)


def _problem(description: str) -> Returns:
    return Returns(description, "Problem", "application/problem+json")


_NO_COMPONENT: Final = _problem("There is no component of this name.")

_SPREADING: Final = Returns(
    "The change is made, but not by every worker yet: they go on. The same request again waits for them.",
    "ServerStatus",
)

ENDPOINTS: Final = (
    AdminEndpoint(
        id="listComponents",
        method="GET",
        path=_COMPONENTS,
        scope=TokenScope.COMPONENTS_READ,
        summary="List the components",
        returns={200: Returns("The components, in the order of the configuration.", "Components")},
    ),
    AdminEndpoint(
        id="getComponent",
        method="GET",
        path=_COMPONENT,
        scope=TokenScope.COMPONENTS_READ,
        summary="Show a component",
        returns={200: Returns("The component.", "ComponentStatus"), 404: _NO_COMPONENT},
    ),
    AdminEndpoint(
        id="putComponent",
        method="PUT",
        path=_COMPONENT,
        scope=TokenScope.COMPONENTS_WRITE,
        summary="Load or replace a component",
        description=(
            "The component is loaded, compiled and linked beside the one of that name, which answers until "
            "then, and others may be changed meanwhile. Requests in flight finish on the old one. Doing it again "
            "loads the file again. The configuration file is not changed. Whoever may do this may give "
            "components any file, folder and host that the gateway can reach. A component itself may be sent, "
            "not described: it has the keys of the one of that name, or defaults where there is none."
        ),
        takes={"application/json": "Component", "application/wasm": "Content"},
        returns={
            200: Returns("The component took the place of another.", "ComponentStatus"),
            201: Returns("The component is new.", "ComponentStatus"),
            202: _SPREADING,
            400: _problem("The content is not JSON."),
            408: _problem("The content did not arrive in time."),
            409: _problem(
                "Another component answers one of its routes, or it was put again or deleted meanwhile."
            ),
            413: _problem("A description has more than 64 KiB, a component more than 512 MiB."),
            415: _problem(
                "The content is neither of the type application/json, nor a component, which the gateway takes "
                "where its configuration has `components_dir`."
            ),
            422: _problem("The content does not describe a component, or it cannot be loaded."),
            507: _problem("A component that was sent cannot be kept: the disk is full."),
        },
    ),
    AdminEndpoint(
        id="deleteComponent",
        method="DELETE",
        path=_COMPONENT,
        scope=TokenScope.COMPONENTS_WRITE,
        summary="Unload a component",
        description="Requests in flight finish. The configuration file is not changed.",
        returns={
            204: Returns("The component is gone."),
            202: _SPREADING,
            404: _NO_COMPONENT,
            409: _problem("Other components have links to it, or it was put again meanwhile."),
        },
    ),
    AdminEndpoint(
        id="reload",
        method="POST",
        path=f"{PREFIX}/reload",
        scope=TokenScope.COMPONENTS_WRITE,
        summary="Read the configuration file again",
        description="Components that were put or deleted by this API stay so until the gateway is started again.",
        returns={
            200: Returns("The configuration is served.", "ServerStatus"),
            202: _SPREADING,
            409: _problem("The configuration or a component is wrong; nothing was changed."),
        },
    ),
    AdminEndpoint(
        id="drain",
        method="POST",
        path=f"{PREFIX}/drain",
        scope=TokenScope.SERVER_DRAIN,
        summary="Take the gateway out of service",
        description="Readiness fails from now on. What is sent all the same is still answered.",
        returns={202: Returns("The gateway is draining.", "ServerStatus")},
    ),
    AdminEndpoint(
        id="getStatus",
        method="GET",
        path=f"{PREFIX}/status",
        scope=TokenScope.COMPONENTS_READ,
        summary="Show how the gateway is",
        returns={200: Returns("How it is.", "ServerStatus")},
    ),
    AdminEndpoint(
        id="getDocument",
        method="GET",
        path=f"{PREFIX}/openapi.json",
        scope=None,
        summary="Describe this API",
        description="It is the same for every gateway of this version, and for everyone.",
        returns={200: Returns("This document.", "OpenApi")},
    ),
)
