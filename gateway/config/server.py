"""The server: where and how the gateway listens, logs and caches."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import ssl
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from gateway.config.key import RESTART, Flag
from gateway.config.page_file import PageFile
from gateway.config.redirect import Redirect
from gateway.config.route import SEGMENTS, Route
from gateway.config.values import KIB, MIB, SOME_TEXT, AnyPath, Between, LogFormat, LogLevel, Table
from gateway.config.wrpc_address import MAX_SOCKET_PATH
from gateway.http.syntax import TOKEN
from gateway.units import ByteSize, Delay, Duration, Quantity, format_size

__all__ = ["ServerConfig"]

MIN_HEADER_BYTES: Final = 1 * KIB
MAX_HEADER_BYTES: Final = 16 * MIB
"""Bytes of request line and headers. The default of 64 KiB is that of h11 and double nginx's 4 x 8 KiB; a
connection may hold this much before anyone has asked who it is."""


HEADER_TIMEOUT: Final = 30.0
"""Threat: connections held open by a byte now and then ("slowloris"). Precedent: `header_read_timeout` of
hyper."""

BODY_TIMEOUT: Final = 30.0
"""Threat: a body that stops half-way keeps a connection, and an invocation whose time may be long. Any byte begins
it anew; nginx's `client_body_timeout` is twice that."""

WRITE_TIMEOUT: Final = 30.0
"""Threat: a client that never reads keeps what was written for it, a connection, and a stop of the gateway. Any
byte that it takes begins it anew; nginx's `send_timeout` is twice that."""

MAX_RPC_BODY: Final = 64 * MIB
"""Bytes of a JSON-RPC body. As Python objects it takes up to some 50 times that."""

MIN_COMPILE_MEMORY: Final = 128 * MIB
MAX_COMPILE_MEMORY: Final = 1 << 40
"""Bytes that compiling one component may take. Below the first, Python and the compiler hardly start."""

MIN_RPC_RESULT: Final = 1 * KIB
MAX_RPC_RESULT: Final = 256 * MIB
"""Bytes of a JSON-RPC response. Threat: results that are large and not read, each held in memory. The default of 4
MiB is that of gRPC's messages."""


def _prefix(path: str) -> str:
    path = Route(path=path).path
    if path == "/":
        raise ValueError('must be a path of its own, such as "/rpc"')
    return path


def _listen_host(host: str) -> str:
    literal = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not literal or "/" in literal or literal.count(":") == 1:
        raise ValueError('must be a host alone, such as "127.0.0.1", "::" or "localhost"')
    return literal


def _address(value: object) -> object:
    """Read "host:port", "[::1]:9090" or ":9090", which is on the loopback interface."""
    if value is None or isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004  (what pydantic collects)
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError('must be an address and a port, such as "127.0.0.1:9090"')
    return _listen_host(host or "127.0.0.1"), int(port)


def _socket_path(path: Path) -> Path:
    if path.is_dir():
        raise ValueError(f"must be the path of a socket, not of a folder: {path}")
    if (size := len(os.fsencode(path))) > MAX_SOCKET_PATH:
        raise ValueError(
            f"must have at most {MAX_SOCKET_PATH} bytes, as paths of sockets do, not {size}: {path}"
        )
    return path


def _parse_mode(value: object) -> int:
    if isinstance(value, str) and (found := _MODE.fullmatch(value)):
        return int(found[1], 8)
    raise ValueError('must be permissions in octal digits and in quotes, such as "0660"')


def _proxy(value: object) -> IPv4Network | IPv6Network | Literal["unix"]:
    if value == "unix" or isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004  (what pydantic collects)
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        if "host bits" in str(error):
            network = ipaddress.ip_interface(value).network
            raise ValueError(f'must be a network: "{network}" instead of "{value}"') from None
        raise ValueError(
            f'must be an IP address, a network such as "10.0.0.0/8", or "unix", not "{value}"'
        ) from None


def _installed(module: str) -> str:
    if module in {"httptools", "uvloop"} and importlib.util.find_spec(module) is None:
        raise ValueError(
            f'needs the package "{module}", which is not installed; "auto" does without'
        )
    return module


def _certificates(path: Path, info: ValidationInfo) -> Path:
    """Refuse a file without certificates while a configuration is read; one built in code may come before it."""
    if info.context is None:
        return path
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ValueError(f"Has no certificates in PEM form: {path}") from None
    except OSError as error:
        raise ValueError(f"{error.strerror}: {path}") from None
    return path


def _cache_home() -> Path | None:
    """The user's directory for caches (XDG Base Directory Specification), None if there is no user."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if configured.is_absolute():  # "All paths set in these environment variables must be absolute."
        return configured
    try:
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    except RuntimeError:
        return None


def _default_cache_dir(server: dict[str, Any]) -> Path | None:
    home = _cache_home()
    return home / "component-gateway" if server.get("cache", True) and home is not None else None


_ORIGIN: Final = re.compile(r"\*|https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")


def _site_origin(origin: str) -> str:
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError(
            'must be an origin in lower case, without a path, such as "https://app.example.com", or "*"'
        )
    return origin


def _field_name(name: str) -> str:
    if TOKEN.fullmatch(name) is None:
        raise ValueError('must be the name of a field, such as "Authorization"')
    return name


_SiteOrigin = Annotated[
    str,
    AfterValidator(_site_origin),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({_ORIGIN.pattern})$",
            "examples": ["https://app.example.com", "*"],
        }
    ),
]
_FieldName = Annotated[
    str,
    AfterValidator(_field_name),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{TOKEN.pattern}$", "examples": ["Authorization"]}
    ),
]

_MODE: Final = re.compile("0?([0-7]{3})")
_Mode = Annotated[
    int,
    Quantity(
        "MODE",
        _parse_mode,
        lambda mode: f"{mode:04o}",
        {"type": "string", "pattern": f"^{_MODE.pattern}$", "examples": ["0660"]},
    ),
]

_Proxy = Annotated[
    IPv4Network | IPv6Network | Literal["unix"],
    PlainValidator(_proxy),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(unix|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9.]+)?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+(/[0-9]+)?)$",
            "examples": ["10.0.0.0/8", "fd00::/8", "unix"],
        }
    ),
]

# What `_listen_host` takes: a name or an address, and one of IPv6 in brackets or with two colons at least.
_HOST_FORMS: Final = r"\[[^/]+\]|[^:/]+|[^:/]*:[^:/]*:[^/]*"
_PORT: Final = (
    r"0*([0-9]{1,4}|[1-5][0-9]{4}|6([0-4][0-9]{3}|5([0-4][0-9]{2}|5([0-2][0-9]|3[0-5]))))"
)
_HOST: Final = WithJsonSchema({"type": "string", "pattern": f"^({_HOST_FORMS})$"})
_ADDRESS: Final = WithJsonSchema(
    {
        "type": "string",
        "pattern": f"^({_HOST_FORMS})?:{_PORT}$",
        "examples": ["127.0.0.1:9090", ":9090"],
    }
)
_PREFIX: Final = WithJsonSchema({"type": "string", "pattern": f"^{SEGMENTS}$"})


class ServerConfig(Table):
    """Where and how the gateway listens, logs and caches.

    Attributes:
        host: the address or name to listen on.
        port: the TCP port, 0 for any that is free.
        bind: addresses to listen on, in the place of `host` and `port`: "127.0.0.1:8080", "[::1]:8080".
        uds: the path of a Unix domain socket to listen on, in the place of `host` and `port`, beside `bind`.
        uds_mode: the permissions of its file, in octal digits. Who may write to it may connect.
        workers: processes; each runs an event loop of its own.
        trusted_proxies: whose `Forwarded` and `X-Forwarded-*` headers are believed; "unix" is every peer of a
            Unix domain socket.
        forwarded_header: which of the two these proxies maintain; the other is ignored. None: either, and where
            a request has both they must agree.
        max_header_bytes: bytes of request line and headers; more is answered with 431.
        http: the HTTP parser; "auto" is httptools where it is installed.
        loop: the event loop; "auto" is uvloop where it is installed.
        header_timeout: seconds for a request's line and headers to arrive; longer is answered with 408.
        body_timeout: seconds in which nothing of a request's body arrives; more is answered with 408.
        write_timeout: seconds in which a client takes nothing of a response until its connection is broken.
        keep_alive_timeout: seconds until an idle connection is closed. nginx's default; a proxy in front
            should give up its idle connections before the gateway does.
        shutdown_timeout: seconds that running requests have left when the gateway is told to stop. Below
            the 30 s after which Kubernetes kills.
        max_connections: connections at once in one worker; more wait to be accepted. None for half of the
            descriptors that the process may open, at most 10,000.
        backlog: connections that wait for the gateway to accept them.
        ca_files: certificates in PEM that components trust besides those of the system.
        log_format: "json", "console", or "auto": console on a terminal, JSON otherwise.
        log_level: the least severe level that is logged.
        access_log: whether each request is logged.
        cache: whether compiled components are kept on disk.
        cache_dir: where; None exactly when they are not.
        compile_timeout: seconds that one component may take to compile, in a process of its own. Fifty times what
            the largest common ones (JavaScript and Python with their interpreters) take on two cores.
        compile_max_memory: bytes that it may take, on Linux. They take 0.4 GiB.
        rpc: whether functions that components export are served by JSON-RPC.
        rpc_prefix: the path below which they are, for every host.
        rpc_page: whether browsers are shown a page there, with a form for each method.
        wrpc_prefix: the path below which components are served by wRPC that are to be, for every host.
        rpc_cors_origins: the sites whose pages may call functions there, "*" for all; none by default.
        rpc_cors_headers: fields that those may send, besides `Content-Type`.
        rpc_cors_credentials: whether they may send cookies, and what else the browser keeps for the gateway.
        rpc_max_body: bytes of a request's body at either. It is read whole; as Python objects it takes up
            to some 50 times that.
        rpc_max_result: bytes of a response, of all calls of a batch together. It is made whole, in memory.
        rpc_max_batch: requests in one batch.
        admin_addr: where health, metrics and the admin API are served, apart from the components; None for nowhere
            else.
        operational_routes: whether health and metrics are served beside the components, where there is no
            `admin_addr`: "fallback" at paths that no component answers, "first" before all of them.
        redirects: the requests that are answered with another place to ask.
        not_found_page: a file that is shown to browsers in the place of a 404 of the gateway's own.
        unavailable_page: the same of a 503.
        drain_grace: seconds that the gateway goes on serving after it was told to stop, not ready any more, for
            load balancers to notice.
        max_in_flight: invocations at once in one worker, of all components, for which its pools are made; None for
            the sum of theirs, and pools for 1,024.
        max_call_depth: calls by links on top of each other, beginning with the first that a request leads to.
        metrics: whether invocations are counted for Prometheus.
        log_events: whether each return event is logged.
        server_timing: whether responses tell, in `Server-Timing`, where the time went.
        tracing: whether spans go to an OpenTelemetry collector.
    """

    # What `_check_cache_dir` refuses.
    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["cache", "cache_dir"],
                "properties": {"cache": {"const": False}},
            }
        }
    )

    host: Annotated[
        str, AfterValidator(_listen_host), _HOST, Flag("Address to listen on."), RESTART
    ] = "127.0.0.1"
    port: Annotated[
        StrictInt, Between(0, 65_535, str), Flag("TCP port, 0 for any free one."), RESTART
    ] = 8080
    bind: Annotated[
        tuple[Annotated[tuple[str, int], BeforeValidator(_address), _ADDRESS], ...],
        Flag(
            "Address and port to listen on, in the place of --host and --port. Repeatable.",
            metavar="HOST:PORT",
        ),
        RESTART,
    ] = ()
    uds: Annotated[
        Annotated[AnyPath, AfterValidator(_socket_path), SOME_TEXT] | None,
        Flag(
            "Unix socket to listen on, in the place of --host and --port, beside --bind.",
            metavar="PATH",
        ),
        RESTART,
    ] = None
    uds_mode: Annotated[_Mode, Flag("Its permissions."), RESTART] = 0o660
    workers: Annotated[StrictInt, Between(1, 1024, str), Flag("Processes."), RESTART] = 1
    trusted_proxies: Annotated[
        tuple[_Proxy, ...],
        Flag(
            "Believe Forwarded and X-Forwarded-* of these addresses. Repeatable.",
            name="--trusted-proxy",
            metavar="NETWORK",
        ),
    ] = ()
    forwarded_header: Annotated[
        Literal["forwarded", "x-forwarded"] | None,
        Flag("Which of the two these proxies maintain. Default: either."),
    ] = None
    max_header_bytes: Annotated[
        ByteSize, Between(MIN_HEADER_BYTES, MAX_HEADER_BYTES, format_size), RESTART
    ] = 64 * KIB
    http: Annotated[
        Literal["auto", "httptools", "h11"],
        AfterValidator(_installed),
        Flag("HTTP parser."),
        RESTART,
    ] = "auto"
    loop: Annotated[
        Literal["auto", "uvloop", "asyncio"],
        AfterValidator(_installed),
        Flag("Event loop."),
        RESTART,
    ] = "auto"
    header_timeout: Annotated[Duration, RESTART] = HEADER_TIMEOUT
    body_timeout: Annotated[Duration, RESTART] = BODY_TIMEOUT
    write_timeout: Annotated[Duration, RESTART] = WRITE_TIMEOUT
    keep_alive_timeout: Annotated[Duration, RESTART] = 75.0
    shutdown_timeout: Duration = 25.0
    max_connections: Annotated[
        Annotated[StrictInt, Between(1, 1_000_000, str)] | None,
        Flag(
            "Of clients, at once in a worker. Default half of the file descriptors, at most 10000."
        ),
        RESTART,
    ] = None
    backlog: Annotated[StrictInt, Between(1, 65_535, str), RESTART] = 2048
    ca_files: Annotated[
        tuple[Annotated[AnyPath, AfterValidator(_certificates)], ...],
        Flag(
            "Certificates in PEM that components trust besides those of the system. Repeatable.",
            name="--ca-file",
            metavar="FILE",
        ),
    ] = ()
    log_format: Annotated[LogFormat, Flag(), RESTART] = "auto"
    log_level: Annotated[LogLevel, Flag(), RESTART] = "info"
    access_log: Annotated[StrictBool, Flag("Log each request.")] = True
    cache: Annotated[
        StrictBool, Flag("Compile at each start; keep nothing.", name="--no-cache")
    ] = True
    cache_dir: Annotated[
        AnyPath | None, Flag("Where compiled components are kept.", metavar="DIR")
    ] = Field(default_factory=_default_cache_dir)

    compile_timeout: Annotated[Duration, Flag("Of one component.")] = 300.0
    compile_max_memory: Annotated[
        ByteSize,
        Between(MIN_COMPILE_MEMORY, MAX_COMPILE_MEMORY, format_size),
        Flag("To compile one component."),
    ] = 2048 * MIB

    rpc: Annotated[StrictBool, Flag("Serve exported functions by JSON-RPC.")] = True
    rpc_prefix: Annotated[str, AfterValidator(_prefix), _PREFIX, Flag("Where.", metavar="PATH")] = (
        "/rpc"
    )
    rpc_page: Annotated[
        StrictBool, Flag("Show browsers JSON there, as everyone else.", name="--no-rpc-page")
    ] = True
    wrpc_prefix: Annotated[
        str,
        AfterValidator(_prefix),
        _PREFIX,
        Flag("Where components are served by wRPC over HTTP.", metavar="PATH"),
    ] = "/wrpc"
    rpc_cors_origins: Annotated[
        tuple[_SiteOrigin, ...],
        Flag(
            "A site whose pages may call functions there, or * for all. Repeatable.",
            name="--rpc-cors-origin",
            metavar="ORIGIN",
        ),
    ] = ()
    rpc_cors_headers: Annotated[
        tuple[_FieldName, ...],
        Flag(
            "A field that those may send, besides Content-Type. Repeatable.",
            name="--rpc-cors-header",
            metavar="NAME",
        ),
    ] = ()
    rpc_cors_credentials: Annotated[
        StrictBool, Flag("Let them send cookies, and what else the browser keeps.")
    ] = False
    rpc_max_body: Annotated[
        ByteSize, Between(1, MAX_RPC_BODY, format_size), Flag("Of one of its requests.")
    ] = 512 * KIB
    rpc_max_result: Annotated[
        ByteSize,
        Between(MIN_RPC_RESULT, MAX_RPC_RESULT, format_size),
        Flag("Of one of its responses."),
    ] = 4 * MIB
    rpc_max_batch: Annotated[StrictInt, Between(1, 10_000, str), Flag("Calls in one request.")] = (
        100
    )

    admin_addr: Annotated[
        tuple[str, int] | None,
        BeforeValidator(_address),
        _ADDRESS,
        Flag(
            "Serve health, metrics and the admin API there, apart from the components.",
            metavar="HOST:PORT",
        ),
        RESTART,
    ] = None
    operational_routes: Annotated[
        Literal["fallback", "first", "off"],
        Flag(
            "Without --admin-addr: /healthz, /readyz and /metrics at paths that no component answers, "
            "before all components, or not at all."
        ),
    ] = "fallback"
    redirects: Annotated[
        tuple[Redirect, ...],
        Flag(
            "Answer the requests below a path with another place to ask, such as /old=/new. Repeatable.",
            name="--redirect",
            metavar="[HOST]/PATH=URL",
            read=Redirect.parse,
        ),
    ] = ()
    not_found_page: Annotated[
        Annotated[PageFile, SOME_TEXT] | None,
        Flag("Show it to browsers in the place of a 404 of the gateway's own.", metavar="FILE"),
    ] = None
    unavailable_page: Annotated[
        Annotated[PageFile, SOME_TEXT] | None,
        Flag("The same of a 503.", metavar="FILE"),
    ] = None
    drain_grace: Annotated[
        Delay, Flag("Go on serving, not ready any more, after a signal to stop.")
    ] = 0.0
    max_in_flight: Annotated[
        Annotated[StrictInt, Between(1, 1_000_000, str)] | None,
        Flag("Requests at once in a worker, of all components."),
        RESTART,
    ] = None
    max_call_depth: Annotated[
        StrictInt, Between(1, 32, str), Flag("Calls by links on top of each other.")
    ] = 8
    metrics: Annotated[StrictBool, RESTART] = True
    log_events: Annotated[
        StrictBool, Flag("Log where the time of each invocation went."), RESTART
    ] = False
    server_timing: Annotated[StrictBool, Flag("Tell clients where the time went.")] = False
    tracing: Annotated[StrictBool, Flag("Send spans as the OTEL_* variables say."), RESTART] = False

    @property
    def pages(self) -> dict[int, PageFile]:
        """The operator's own pages, by the status that they are for."""
        pages = {404: self.not_found_page, 503: self.unavailable_page}
        return {status: page for status, page in pages.items() if page is not None}

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The hosts and ports to listen on; none where there is a Unix socket alone."""
        return self.bind or (((self.host, self.port),) if self.uds is None else ())

    @field_validator("bind")
    @classmethod
    def _check_bind(cls, bind: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        for host, port in bind:
            if port and bind.count((host, port)) > 1:
                raise ValueError(f"must not have port {port} of {host} twice")
        return bind

    @field_validator("redirects")
    @classmethod
    def _check_redirects(
        cls, redirects: tuple[Redirect, ...], info: ValidationInfo
    ) -> tuple[Redirect, ...]:
        taken = {
            Route(path=path).key: key
            for key in ("rpc_prefix", "wrpc_prefix")
            if (path := info.data.get(key)) is not None
        }
        for redirect in redirects:
            if redirect.key in taken:
                raise ValueError(
                    f"must not have the route {redirect}, which is of {taken[redirect.key]}"
                )
            taken[redirect.key] = "another one"
        return redirects

    @field_validator("rpc_cors_credentials")
    @classmethod
    def _check_credentials(cls, credentials: bool, info: ValidationInfo) -> bool:
        if credentials and "*" in info.data.get("rpc_cors_origins", ()):
            raise ValueError(
                'must be false where rpc_cors_origins has "*": name the sites that may send them'
            )
        return credentials

    @field_validator("cache_dir")
    @classmethod
    def _check_cache_dir(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("cache") is False:
            raise ValueError("contradicts cache = false: leave one of them out")
        return path
