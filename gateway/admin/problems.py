"""Failures of the admin API as its clients see them.

Whoever was let in may know what is wrong: these problems have reasons, unlike those of `gateway.http.problem`
that anyone can get. Whoever was not gets the same words for every token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import Field

from gateway.http import problem
from gateway.http.problem import Problem

__all__ = [
    "COMPONENT_TOO_LARGE",
    "DESCRIPTION_TOO_LARGE",
    "INSUFFICIENT_SCOPE",
    "MISDIRECTED",
    "NOTHING_HERE",
    "NOT_KEPT_HERE",
    "NO_COMPONENT",
    "SUPERSEDED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "ErrorDetail",
    "ErrorsProblem",
    "ProblemDocument",
    "component_in_use",
    "component_refused",
    "invalid_component",
    "invalid_json",
    "not_kept",
    "reload_refused",
    "route_conflict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetail:
    """One thing that is wrong with a request.

    Attributes:
        detail: what is wrong.
        pointer: where in the content, as a JSON Pointer (RFC 6901).
        parameter: which parameter of the path it is instead.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None

    def member(self) -> dict[str, str]:
        """The object in the problem document."""
        told = {"detail": self.detail, "pointer": self.pointer, "parameter": self.parameter}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsProblem(Problem):
    """A problem with the extension member `errors`, as in RFC 9457, section 3.

    Attributes:
        errors: everything that is wrong.
    """

    errors: Sequence[ErrorDetail]

    def body(self, request_id: str) -> bytes:
        """Give the problem details object, with the extension members `request_id` and `errors`."""
        document = json.loads(Problem.body(self, request_id))
        document["errors"] = [error.member() for error in self.errors]
        return json.dumps(document).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemDocument:
    """A problem details object (RFC 9457).

    Attributes:
        type: what kind of problem it is, for programs to compare.
        title: the kind in words.
        status: the status code of the response.
        detail: what happened, and what to do.
        request_id: the id of the request, as in the gateway's log.
        errors: everything that is wrong with the request, where there is more to say than `detail` does.
    """

    type: Annotated[str, Field(pattern="^urn:component-gateway:problem:[a-z-]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    request_id: str
    errors: tuple[ErrorDetail, ...] = ()


DESCRIPTION_TOO_LARGE: Final = replace(
    problem.CONTENT_TOO_LARGE, detail="The description of a component may have 64 KiB."
)

COMPONENT_TOO_LARGE: Final = replace(
    problem.CONTENT_TOO_LARGE,
    detail="A component may have 512 MiB. Strip debug information (wasm-tools strip), or move data out of it.",
)

NOT_KEPT_HERE: Final = replace(
    problem.UNSUPPORTED_MEDIA_TYPE,
    detail="This gateway takes no components, only descriptions of them: send JSON in UTF-8 with Content-Type: "
    "application/json, or have components_dir set in the table [admin] of its configuration.",
)

UNSUPPORTED_MEDIA_TYPE: Final = replace(
    problem.UNSUPPORTED_MEDIA_TYPE,
    detail="Send a description in JSON in UTF-8 with Content-Type: application/json, or a component with "
    "Content-Type: application/wasm, uncompressed.",
)

UNAUTHORIZED: Final = Problem(
    kind="unauthorized",
    status=401,
    title="A token is needed",
    detail="Send a valid token in the header field Authorization: Bearer. The gateway's log says what is wrong.",
)

MISDIRECTED: Final = Problem(
    kind="misdirected",
    status=421,
    title="This is not the host that was asked for",
    detail="Only this machine can connect here, so ask for an IP address, localhost or a name without a dot in "
    "the Host header field.",
)

INSUFFICIENT_SCOPE: Final = Problem(
    kind="insufficient-scope",
    status=403,
    title="The token is not for this",
    detail="Use a token that has the scope in the WWW-Authenticate header field.",
)

NOTHING_HERE: Final = Problem(
    kind="no-resource",
    status=404,
    title="There is nothing here",
    detail="See the document at /admin/v1/openapi.json for what there is.",
)

NO_COMPONENT: Final = Problem(
    kind="no-component",
    status=404,
    title="There is no such component",
    detail="No component has this name. The names are in the list at /admin/v1/components.",
)


def not_kept(reason: str) -> Problem:
    """There is no room for a component that was sent."""
    return Problem(
        kind="insufficient-storage",
        status=507,
        title="The component cannot be kept",
        detail=f"There is no room in the gateway's components_dir: {reason}. Make room there, and send the "
        "component again. Nothing was changed.",
    )


def invalid_json(reason: str) -> Problem:
    """The content is not JSON."""
    return Problem(
        kind="invalid-json",
        status=400,
        title="The request body is not JSON",
        detail=f"Send an object in JSON: {reason}.",
    )


def invalid_component(errors: Sequence[ErrorDetail]) -> Problem:
    """The content does not describe a component."""
    return ErrorsProblem(
        kind="invalid-component",
        status=422,
        title="The component is not described as it must be",
        detail="Correct what is listed under errors. Nothing was changed.",
        errors=errors,
    )


def component_in_use(reason: str) -> Problem:
    """A component cannot be unloaded."""
    return Problem(
        kind="component-in-use",
        status=409,
        title="Other components have links to this one",
        detail=f"Change or unload those first. Without it: {reason} Nothing was changed.",
    )


def component_refused(reason: str) -> Problem:
    """A component cannot be loaded."""
    return Problem(
        kind="component-refused",
        status=422,
        title="The component cannot be loaded",
        detail=f"{reason} Nothing was changed.",
    )


def route_conflict(errors: Sequence[ErrorDetail]) -> Problem:
    """Another component answers a route."""
    return ErrorsProblem(
        kind="route-conflict",
        status=409,
        title="Another component answers this route",
        detail="Give it other routes, or change the other component first. Nothing was changed.",
        errors=errors,
    )


SUPERSEDED: Final = Problem(
    kind="superseded",
    status=409,
    title="A later change came first",
    detail="The component was put again, or deleted, before this change was made. The later change counts.",
)


def reload_refused(reasons: Sequence[str]) -> Problem:
    """The configuration, as it is now, cannot be served."""
    return ErrorsProblem(
        kind="reload-refused",
        status=409,
        title="The configuration cannot be served",
        detail="Correct the configuration or the components, and reload again. Nothing was changed.",
        errors=[ErrorDetail(detail=reason) for reason in reasons],
    )
