"""A link: what provides an interface that a component imports."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from gateway.config.route import HOST_NAME
from gateway.config.values import Table
from gateway.http.canonical import canonical_host
from gateway.policy import egress

__all__ = ["LinkConfig"]

_INTERFACE: Final = re.compile(
    r"[a-z][a-z0-9-]*(:[a-z][a-z0-9-]*)+/[a-z][a-z0-9-]*(@[0-9]+\.[0-9]+\.[0-9][0-9A-Za-z.+-]*)?"
)

_DOTTED: Final = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
_OBJECT: Final = re.compile(f"{_DOTTED}:{_DOTTED}|[A-Za-z0-9_][A-Za-z0-9_.-]*")

_SUBJECTS: Final = ("import", "host")
_TARGETS: Final = ("component", "python", "url")

_MAX_TARGETS: Final = 64
"""Targets of one link. Arbitrary: each is one that calls are counted by, and has connections of its own."""

DEFAULT: Final = "default"
_NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _interface(name: str) -> str:
    if not _INTERFACE.fullmatch(name):
        raise ValueError(
            'must be the full name of an interface as the component imports it, such as "acme:pricing/api@1.0.0"'
        )
    return name


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            'must be letters, digits, hyphens, dots and underscores, at most 64, such as "cache"'
        )
    return name


def _host(name: str) -> str:
    host = egress.canonical_host(canonical_host(name))
    if isinstance(host, str):
        return host
    raise ValueError('must be a name, such as "pricing.internal", and no address')


def _object(name: str) -> str:
    if not _OBJECT.fullmatch(name):
        raise ValueError(
            'must be package.module:object, such as "shop.prices:prices", or the name of a provider that the '
            "application hands over"
        )
    return name


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        # `urlsplit` drops some of them without a word.
        if not text.isprintable() or " " in text:
            raise ValueError
        match parts.scheme:
            case "http" | "https" | "wrpc+http" | "wrpc+https":
                valid = bool(parts.hostname) and parts.port != 0
            case "wrpc+tcp":
                valid = bool(parts.hostname and parts.port) and text.endswith(f":{parts.port}")
            case "wrpc+unix":
                valid = text.startswith("wrpc+unix:/") and not parts.netloc and len(parts.path) > 1
            case _:
                valid = False
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(
            'must be the URL of a JSON-RPC server, such as "https://example.com/rpc/pricing", or of a peer that '
            'speaks wRPC: "wrpc+tcp://HOST:PORT", "wrpc+unix:/PATH", "wrpc+http://HOST/PATH" or "wrpc+https://HOST/PATH"'
        )
    if parts.username is not None or "?" in text or "#" in text:
        raise ValueError("must have no user, query or fragment in it, for it is written to the log")
    return text


def _listed(said: Any) -> Any:
    if isinstance(said, str):
        return (said,)
    if not isinstance(said, list | tuple):
        raise ValueError("must be text in quotes, or a list of such in brackets")  # noqa: TRY004 - pydantic's own
    return said


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(names) <= _MAX_TARGETS:
        raise ValueError(f"must be one, or a list of at most {_MAX_TARGETS}")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'must not have "{name}" twice')
    return names


_PORTS: Final = {"http": 80, "https": 443, "wrpc+http": 80, "wrpc+https": 443}


def _place(url: str) -> object:
    """What is the same for all ways to write a URL."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path or "/"


def _urls(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len({text.startswith("wrpc+") for text in map(_url, texts)}) > 1:
        raise ValueError("must be all JSON-RPC servers, or all peers that speak wRPC")
    seen: dict[object, str] = {}
    for text in texts:
        if (same := seen.setdefault(_place(text), text)) != text:
            raise ValueError(f'must not have one server twice: "{same}" and "{text}"')
    return texts


def _one_or_several(one: dict[str, Any]) -> WithJsonSchema:
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": _MAX_TARGETS}
    return WithJsonSchema({"anyOf": [one, several | {"uniqueItems": True}]})


def _one_of_each(schema: dict[str, Any]) -> None:
    """Have a schema ask for one subject, and for one kind of target that it may have."""
    properties = schema["properties"]
    for key in (*_SUBJECTS, *_TARGETS):
        *some, _null = properties[key]["anyOf"]
        properties[key] = some[0] if len(some) == 1 else {"anyOf": some}
    others = dict.fromkeys(("import", "python", "url"), False)
    schema["oneOf"] = [
        *({"required": ["import", it], "properties": {"host": False}} for it in _TARGETS),
        {
            "required": ["host", "component"],
            "properties": {**others, "errors": {"const": "trap"}},
        },
    ]


class LinkConfig(Table):
    """What provides an interface that a component imports, or answers its HTTP requests to a name.

    Attributes:
        import_: the interface, by the full name under which the component imports it.
        name: which of several links of the interface, or the host, this is: what the component chooses by
            `wasmcloud:bus/lattice`, or the label of its import.
        host: in its place, the name that requests of `wasi:http/outgoing-handler` are for, with any port and by
            HTTP or HTTPS; a component answers them.
        component: the component of this gateway that exports it, or several.
        python: the Python object that has its functions: "package.module:object", or the name by which the
            application that the gateway is part of hands it over.
        url: the JSON-RPC server that has its functions as methods, or the peer that has them by wRPC; or several.
        balance: which of several is called: each in turn, or the one with the fewest calls under way.
        errors: what a function returns whose callee gave no answer: "trap" stops the caller; "result" returns the
            err of its `result`, where that is a string or nothing.
    """

    model_config = ConfigDict(json_schema_extra=_one_of_each)

    import_: (
        Annotated[
            str,
            AfterValidator(_interface),
            WithJsonSchema({"type": "string", "pattern": f"^{_INTERFACE.pattern}$"}),
        ]
        | None
    ) = Field(default=None, alias="import")
    name: Annotated[
        str,
        AfterValidator(_name),
        WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"}),
    ] = DEFAULT
    host: (
        Annotated[
            str,
            AfterValidator(_host),
            WithJsonSchema({"type": "string", "maxLength": 253, "pattern": f"^{HOST_NAME}$"}),
        ]
        | None
    ) = None
    component: (
        Annotated[
            tuple[str, ...],
            BeforeValidator(_listed),
            AfterValidator(_distinct),
            _one_or_several({"type": "string"}),
        ]
        | None
    ) = None
    python: (
        Annotated[
            str,
            AfterValidator(_object),
            WithJsonSchema({"type": "string", "pattern": f"^({_OBJECT.pattern})$"}),
        ]
        | None
    ) = None
    url: (
        Annotated[
            tuple[str, ...],
            BeforeValidator(_listed),
            AfterValidator(_distinct),
            AfterValidator(_urls),
            _one_or_several(
                {
                    "type": "string",
                    "pattern": r"^((wrpc\+)?https?://[^@?#\s]+|wrpc\+tcp://[^@/?#\s]+:[0-9]+|wrpc\+unix:/[^?#\s]+)$",
                }
            ),
        ]
        | None
    ) = None
    balance: Literal["round-robin", "least-in-flight"] = "round-robin"
    errors: Literal["trap", "result"] = "trap"

    @property
    def subject(self) -> str:
        """The interface, or the name."""
        return str(self.import_ or self.host)

    @property
    def targets(self) -> tuple[str, ...]:
        """What it leads to: components, a Python object, or URLs."""
        return (self.python,) if self.python is not None else self.component or self.url or ()

    def __str__(self) -> str:
        """The link as people read it: what is linked, under which name, and what it leads to."""
        named = "" if self.name == DEFAULT else f' by the name "{self.name}"'
        return f"{self.subject}{named}: {', '.join(self.targets)}"

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        self._check_one("import_", "host")
        self._check_one(*_TARGETS)
        if self.host is not None and self.component is None:
            raise ValueError("must have a component: nothing else answers HTTP requests")
        if self.host is not None and self.errors != "trap":
            raise ValueError("must leave errors out: requests fail with an error-code")
        return self

    def _check_one(self, *keys: str) -> None:
        told = [getattr(self, key) for key in keys if key in self.model_fields_set]
        if len(told) != 1 or told[0] is None:
            *first, last = (key.rstrip("_") for key in keys)
            raise ValueError(f"must have one of {', '.join(first)} and {last}")

    @staticmethod
    def parse(text: str) -> dict[str, Any]:
        """Read IMPORT=COMPONENT, IMPORT=MODULE:OBJECT, IMPORT=URL or HOST=COMPONENT, as keys of such a table.

        Raises:
            ValueError: it is none.
        """
        name, equals, target = text.partition("=")
        if not equals or not target:
            raise ValueError(
                "must be IMPORT=URL, IMPORT=MODULE:OBJECT, IMPORT=COMPONENT or HOST=COMPONENT, such as "
                f'"acme:pricing/api@1.0.0=pricing", not "{text}"'
            )
        is_url = "://" in target or target.startswith("wrpc+")
        kind = "url" if is_url else "python" if ":" in target else "component"
        return {"import" if ":" in name else "host": name, kind: target}
