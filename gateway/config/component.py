"""A component: what it is called, where it is, and what one invocation of it may use."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from gateway.config.build import BuildConfig, OrCommand
from gateway.config.grant import BlobstoreGrant, KeyValueGrant, OrURL, SecretGrant
from gateway.config.key import Flag
from gateway.config.link import LinkConfig
from gateway.config.messaging import MessagingGrant
from gateway.config.route import Route
from gateway.config.values import (
    GIB,
    KIB,
    MIB,
    SOME_TEXT,
    AnyPath,
    Between,
    LogLevel,
    Table,
    Text,
    text,
)
from gateway.config.values_file import ValuesFile
from gateway.config.wrpc_address import WrpcAddressText
from gateway.policy.egress import EgressRule
from gateway.policy.guest_path import guest_path
from gateway.units import (
    DURATION_SCHEMA,
    MAX_DURATION,
    SIZE_SCHEMA,
    ByteSize,
    Duration,
    Quantity,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from gateway.wasm.claims.keys import PublicKey
from gateway.wasm.claims.pin import parse_sha256

__all__ = ["UNLIMITED", "ComponentConfig", "Defaults", "Limits", "MountConfig", "component_name"]

MIN_MEMORY: Final = 64 * KIB
"""Bytes: one page of WebAssembly, the least that a memory can have."""

MAX_MEMORY: Final = 4 * GIB
"""Bytes: all that the 32-bit addresses of a component's memories reach."""

MAX_CONCURRENCY: Final = 100_000
"""Invocations at once of one component. Arbitrary; each reserves address space in the engine's pools,
and a worker of one thread is out of processor time far below this."""

UNLIMITED: Final = 100 * MAX_DURATION
"""Seconds of a time limit that is none. A number that timers take: some loops have no place for infinity."""

MAX_LOG_LINES: Final = 1_000_000
MAX_LOG_BYTES: Final = 1 * GIB
"""Lines and bytes of what guests write. Arbitrary: a log of this is read by nobody."""


_NAME: Final = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
COMPONENT_NAME: Final[dict[str, Any]] = {"type": "string", "pattern": f"^{_NAME.pattern}$"}
"""The JSON Schema of a component's name."""


_Limit = TypeVar("_Limit", int, float)


def _limit(parse: Callable[[object], _Limit], value: object) -> _Limit:
    """Read a limit that may be "unlimited" too, which is told where it is no such thing."""
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f'{error}; "unlimited" sets no limit') from None


def _parse_max_body(value: object) -> int | None:
    return None if value is None or value == "unlimited" else _limit(parse_size, value)


def _write_max_body(size: int | None) -> str:
    return "unlimited" if size is None else format_size(size)


def _parse_time_limit(value: object) -> float:
    return UNLIMITED if value in ("unlimited", UNLIMITED) else _limit(parse_duration, value)


def _write_time_limit(seconds: float) -> str:
    return "unlimited" if seconds == UNLIMITED else format_duration(seconds)


def component_name(name: str) -> str:
    """Read the name of a component.

    Raises:
        ValueError: it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            'must be lower-case letters, digits and inner hyphens, at most 63, such as "image-resizer"'
        )
    return name


def _variable(name: str) -> str:
    if not name or "=" in name:
        raise ValueError('must have names that are not empty and have no "="')
    return text(name)


def _present(
    is_kind: Callable[[int], bool], other: str, access: int, denied: str
) -> AfterValidator:
    """Refuse what is missing while a configuration is read; a model built in code may come before it.

    So may the file of a component that is built, where the context has `unbuilt`.

    Args:
        is_kind: tells from a file's mode whether it is of the right kind.
        other: what to say of one that is not.
        access: how this user must have access to it, as `os.access` has it.
        denied: what to say where that is denied.
    """

    def check(path: Path, info: ValidationInfo) -> Path:
        if info.context is None:
            return path
        try:
            status = path.stat()
        except FileNotFoundError as error:
            if info.context.get("unbuilt"):
                return path
            raise ValueError(f"{error.strerror}: {path}") from None
        except OSError as error:
            raise ValueError(f"{error.strerror}: {path}") from None
        if not is_kind(status.st_mode):
            raise ValueError(f"{other}: {path}")
        if not os.access(path, access):
            raise ValueError(f"{denied}: {path}")
        return path

    return AfterValidator(check)


def _outbound_host(entry: str) -> str:
    EgressRule.parse(entry)
    return entry


def _prefix(prefix: str) -> str:
    if not prefix:
        raise ValueError("must not be empty: all of the environment would be given")
    return prefix


def _key(key: str) -> str:
    if not key:
        raise ValueError("must have keys that are not empty")
    return key


_SOURCE_FILE: Final = _present(
    stat.S_ISREG, "Not a regular file", os.R_OK, "May not be read by this user"
)
_FOLDER: Final = _present(stat.S_ISDIR, "Not a folder", os.X_OK, "May not be searched by this user")
_Key = Annotated[str, AfterValidator(_key), WithJsonSchema({"type": "string", "minLength": 1})]
_Variable = Annotated[str, AfterValidator(_variable)]
_ENVIRONMENT: Final = WithJsonSchema(
    {
        "type": "object",
        "propertyNames": {"pattern": r"^[^=\x00]+$"},
        "additionalProperties": {"type": "string", "pattern": r"^[^\x00]*$"},
    }
)
_GuestPath = Annotated[
    Text,
    AfterValidator(guest_path),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^/+$|^(/(?!\.{1,2}(/|$))[^/\x00]+)+/*$",
            "examples": ["/data"],
        }
    ),
]
_OutboundHost = Annotated[
    str,
    AfterValidator(_outbound_host),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(\*|[A-Za-z][A-Za-z0-9+.-]*)://(\[[^\[\]@]*\]|[^:/\[\]@]*(/[0-9]+)?)(:[^:/@]*)?/?$",
            "examples": ["https://api.example.com"],
        }
    ),
]
_Digest = Annotated[
    str,
    BeforeValidator(parse_sha256),
    WithJsonSchema({"type": "string", "pattern": "^([Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}$"}),
]
_MaxBody = Annotated[
    int | None,
    Quantity(
        "SIZE",
        _parse_max_body,
        _write_max_body,
        {
            "anyOf": [*SIZE_SCHEMA["anyOf"], {"const": "unlimited"}, {"type": "null"}],
            "examples": ["1MiB", "unlimited"],
        },
    ),
]


_TimeLimit = Annotated[
    float,
    Quantity(
        "DURATION",
        _parse_time_limit,
        _write_time_limit,
        {
            "anyOf": [*DURATION_SCHEMA["anyOf"], {"const": "unlimited"}],
            "examples": [*DURATION_SCHEMA["examples"], "unlimited"],
        },
    ),
]


# As Docker has it, though what is not said to be writable is not. The guest's path is absolute, so colons in the
# host's do no harm; one at its end is Wasmtime's HOST::GUEST, which must not be taken for a folder's name.
_MOUNT: Final = re.compile(r"(?P<host>.*[^:]):(?P<guest>/[^:]*)(?::(?P<mode>ro|rw))?", re.DOTALL)


class MountConfig(Table):
    """A folder of the host that a component may use.

    Attributes:
        host: the folder.
        guest: the absolute path under which the component finds it.
        writable: whether it may change anything in there.
    """

    host: Annotated[AnyPath, _FOLDER]
    guest: _GuestPath
    writable: StrictBool = False

    @staticmethod
    def parse(text: str) -> dict[str, Any]:
        """Read HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw, as keys of such a table.

        Raises:
            ValueError: it is none of them.
        """
        match = _MOUNT.fullmatch(text)
        if match is None:
            raise ValueError(
                f'must be HOST:GUEST or HOST:GUEST:rw, such as "data:/data", not "{text}"'
            )
        return {"host": match["host"], "guest": match["guest"], "writable": match["mode"] == "rw"}


class Limits(Table):
    """What one invocation may use.

    Attributes:
        max_execution_time: seconds from the start of the call to its end, waits included.
        max_cpu_time: seconds that its guest computes, without waits. Both bound it.
        max_memory: bytes of each linear memory of one instance.
        max_body: bytes of a request's body, None for no bound: bodies are streamed, not stored.
        max_concurrency: invocations at once in one worker; more wait, or are refused with 503.
        max_queue: how many may wait.
        max_queue_time: seconds that each of them may wait.
        log_max_lines: lines of what one invocation writes to its standard streams that are logged.
        log_max_bytes: bytes of it that are logged.
        log_max_rate: lines of all invocations in one worker that are logged in a second; a line counts once for
            each KiB that it begins.
    """

    max_execution_time: Annotated[
        _TimeLimit, Flag('Of one request, waits included; or "unlimited".')
    ] = 30.0
    max_cpu_time: Annotated[_TimeLimit, Flag("That its guest computes, without waits.")] = UNLIMITED
    max_memory: Annotated[
        ByteSize, Between(MIN_MEMORY, MAX_MEMORY, format_size), Flag("Of an instance.")
    ] = 256 * MIB
    max_body: Annotated[_MaxBody, Flag("Of one request.")] = None
    max_concurrency: Annotated[
        StrictInt, Between(1, MAX_CONCURRENCY, str), Flag("Requests at once in a worker.")
    ] = 1024
    max_queue: Annotated[
        StrictInt, Between(0, MAX_CONCURRENCY, str), Flag("Requests that may wait for their turn.")
    ] = 0
    max_queue_time: Annotated[Duration, Flag("How long each may wait.")] = 1.0
    log_max_lines: Annotated[
        StrictInt,
        Between(0, MAX_LOG_LINES, str),
        Flag("Lines that one invocation may write to the log."),
    ] = 10_000
    log_max_bytes: Annotated[
        ByteSize, Between(1, MAX_LOG_BYTES, format_size), Flag("What they may have in all.")
    ] = 1 * MIB
    log_max_rate: Annotated[
        StrictInt,
        Between(1, MAX_LOG_LINES, str),
        Flag("Lines a second that all of them may write."),
    ] = 5_000


Issuer = Annotated[
    PublicKey,
    BeforeValidator(PublicKey.parse),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[ACMNOUV][A-Z2-7]{55}$"}),
]


class Defaults(Limits):
    """What all components have that do not say otherwise.

    Attributes:
        require_signature: whether they must be signed; None where `trusted_issuers` says so.
        trusted_issuers: the public keys of who may have signed them; anyone if there are none.
        claims: "enforce" refuses components whose claims do not hold, "report" only logs and counts.
    """

    require_signature: Annotated[StrictBool | None, Flag("Refuse it if it is not signed.")] = None
    trusted_issuers: Annotated[
        tuple[Issuer, ...],
        Flag("Who may have signed it. Repeatable.", name="--trusted-issuer", metavar="KEY"),
    ] = ()
    claims: Annotated[
        Literal["enforce", "report"], Flag("Refuse claims that do not hold, or only log.")
    ] = "enforce"


class ComponentConfig(Defaults):
    """One component: what it is called, where it is, when it runs and what it is given.

    Attributes:
        name: unique in the gateway; it labels logs and metrics.
        source: the component's file, binary or text.
        build: how it is made of its sources, by `gateway build`, `gateway dev` and `gateway serve --watch`; None
            where others do that.
        sha256: the SHA-256 that the file must have, in hexadecimal; None for any.
        routes: the HTTP requests that it answers, if it exports a handler of them.
        rpc: whether its other exports are served by JSON-RPC.
        environment: what `wasi:cli/environment` shows, in this order. Never printed.
        arguments: what `wasi:cli/environment` gives as arguments.
        mounts: the folders that it may use, in this order.
        config_file: a TOML file of more values for `config`; read with the configuration.
        config_env_prefix: what the names of environment variables begin with that are such values too.
        config: what `wasi:config` gives it, by key: of the file, then the environment, then what is said here,
            each in the place of the one before. Never printed.
        keyvalue: the stores that it may open by `wasi:keyvalue`, by the identifiers that it knows them by.
        blobstore: the containers that it may use by `wasi:blobstore`, by their names, "*" for all others, and the
            stores that they are in.
        secrets: the secrets that it may have by `wasmcloud:secrets`, by the names that it knows them by.
        messaging: the messages that it may send and takes, by `wasmcloud:messaging`; None for none.
        links: what provides interfaces that it imports, or answers its HTTP requests: other components, Python
            objects, JSON-RPC servers, and peers that speak wRPC.
        wrpc: whether its functions are served by wRPC over HTTP.
        wrpc_listen: where they are served by it otherwise, as `gateway.config.wrpc_address` has it.
        allowed_outbound_hosts: the servers that it may reach, as `gateway.policy.egress` has them.
        log_level: the least severe level of its own lines that is logged; None for the server's.
    """

    name: Annotated[str, AfterValidator(component_name), WithJsonSchema(COMPONENT_NAME)]
    source: Annotated[AnyPath, _SOURCE_FILE, SOME_TEXT]
    build: Annotated[BuildConfig, OrCommand()] | None = None
    sha256: Annotated[_Digest | None, Flag("The digest that it must have.", metavar="DIGEST")] = (
        None
    )
    routes: tuple[Route, ...] = (Route(),)
    rpc: StrictBool = True
    environment: Annotated[
        dict[_Variable, Text],
        _ENVIRONMENT,
        Flag(
            "What the component finds in its environment; NAME alone has the value it has here. "
            "Repeatable.",
            name="--env",
            metavar="NAME=VALUE",
        ),
    ] = Field(default_factory=dict, repr=False)
    arguments: Annotated[
        tuple[Text, ...],
        Flag("An argument of the component. Repeatable.", name="--arg", metavar="TEXT"),
    ] = ()
    mounts: Annotated[
        tuple[MountConfig, ...],
        Flag(
            "A folder of the host, and the absolute path where the component finds it; read-only without "
            ":rw. Repeatable.",
            name="--mount",
            metavar="HOST:GUEST[:rw]",
            read=MountConfig.parse,
        ),
    ] = ()
    config_file: Annotated[
        Annotated[ValuesFile, SOME_TEXT] | None,
        Flag("A TOML file of values that the component finds by wasi:config.", metavar="FILE"),
    ] = None
    config_env_prefix: Annotated[
        Annotated[str, AfterValidator(_prefix), WithJsonSchema({"type": "string", "minLength": 1})]
        | None,
        Flag(
            "Environment variables whose names begin so are such values too, by the rest of the name.",
            metavar="PREFIX",
        ),
    ] = None
    config: Annotated[
        dict[_Key, str],
        Flag("Such a value; KEY alone has the value it has here. Repeatable.", metavar="KEY=VALUE"),
    ] = Field(default_factory=dict, repr=False, validate_default=True)
    keyvalue: Annotated[
        dict[_Key, Annotated[KeyValueGrant, OrURL()]],
        Flag(
            "A key-value store that the component may open, by the identifier that it knows it by, such as "
            "default=sqlite:app.db. Repeatable.",
            metavar="IDENTIFIER=URL",
        ),
    ] = Field(default_factory=dict)
    blobstore: Annotated[
        dict[_Key, Annotated[BlobstoreGrant, OrURL()]],
        Flag(
            "A container of objects that the component may use, * for all others, and the store that it is in, "
            "such as uploads=file:blobs. Repeatable.",
            metavar="CONTAINER=URL",
        ),
    ] = Field(default_factory=dict)
    secrets: Annotated[
        dict[_Key, Annotated[SecretGrant, OrURL()]],
        Flag(
            "A secret that the component may have, by the name that it knows it by, and where it is: "
            "env:VARIABLE, file:PATH or vault+https://HOST/MOUNT/PATH#FIELD. Repeatable.",
            name="--secret",
            metavar="NAME=URL",
        ),
    ] = Field(default_factory=dict)
    messaging: Annotated[MessagingGrant, OrURL()] | None = None
    links: Annotated[
        tuple[LinkConfig, ...],
        Flag(
            "What provides an interface that the component imports: another component, a Python object, a "
            "JSON-RPC server, or a peer that speaks wRPC (wrpc+tcp://HOST:PORT, wrpc+unix:/PATH); or the "
            "component that answers its HTTP requests to a host. Repeatable.",
            name="--link",
            metavar="IMPORT=COMPONENT|MODULE:OBJECT|URL, HOST=COMPONENT",
            read=LinkConfig.parse,
        ),
    ] = ()
    wrpc: Annotated[StrictBool, Flag("Serve the component's functions by wRPC over HTTP, too.")] = (
        False
    )
    wrpc_listen: Annotated[
        tuple[WrpcAddressText, ...],
        Flag(
            "Serve the component's functions by wRPC there, to whoever can connect. Repeatable.",
            metavar="HOST:PORT|unix:PATH",
        ),
    ] = ()
    allowed_outbound_hosts: Annotated[
        tuple[_OutboundHost, ...],
        Flag(
            "A server that the component may reach, such as https://api.example.com or "
            "https://*.example.com:8443. Repeatable.",
            name="--allow-outbound-host",
            metavar="SCHEME://HOST:PORT",
        ),
    ] = ()
    log_level: LogLevel | None = None

    @field_validator("config")
    @classmethod
    def _collect(cls, said: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        """Gather the values here, where a change of them is a change of the configuration."""
        values: dict[str, str] = {}
        if (file := info.data.get("config_file")) is not None:
            values |= file.values
        if (prefix := info.data.get("config_env_prefix")) is not None:
            values |= {
                name.removeprefix(prefix): value
                for name, value in os.environ.items()
                if name.startswith(prefix) and name != prefix
            }
        return values | said

    @field_validator("links")
    @classmethod
    def _check_links(cls, links: tuple[LinkConfig, ...]) -> tuple[LinkConfig, ...]:
        told = [(link.subject, link.name) for link in links]
        for subject, name in told:
            if told.count((subject, name)) > 1:
                raise ValueError(f'must not link "{subject}" twice by the name "{name}"')
        return links

    @field_validator("mounts")
    @classmethod
    def _check_mounts(cls, mounts: tuple[MountConfig, ...]) -> tuple[MountConfig, ...]:
        paths = [mount.guest for mount in mounts]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f'must not have two folders at the guest path "{path}"')
        return mounts
