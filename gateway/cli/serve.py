"""`gateway serve`: the gateway itself."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from gateway import app, server
from gateway.cli import options
from gateway.cli.options import COMPONENT, SERVER, option

__all__ = ["serve"]


def serve(
    target: options.Target,
    *,
    host: Annotated[
        str | None, option("--host", None, "Address to listen on. Default 127.0.0.1.", SERVER)
    ] = None,
    port: Annotated[
        int | None, option("--port", None, "TCP port, 0 for any free one. Default 8080.", SERVER)
    ] = None,
    workers: Annotated[
        int | None, option("--workers", None, "Processes. Default 1.", SERVER)
    ] = None,
    trusted_proxies: Annotated[
        list[str] | None,
        option(
            "--trusted-proxy",
            "NETWORK",
            "Believe Forwarded and X-Forwarded-* of these addresses. Repeatable.",
            SERVER,
        ),
    ] = None,
    forwarded_header: Annotated[
        str | None,
        option(
            "--forwarded-header",
            "forwarded|x-forwarded",
            "Which of the two these proxies maintain. Default: either.",
            SERVER,
        ),
    ] = None,
    ca_files: options.CaFiles = None,
    log_format: options.LogFormat = None,
    log_level: options.LogLevel = None,
    access_log: Annotated[
        bool | None,
        option("--access-log/--no-access-log", None, "Log each request. Default on.", SERVER),
    ] = None,
    cache_dir: options.CacheDir = None,
    no_cache: options.NoCache = False,
    compile_timeout: Annotated[
        str | None,
        option("--compile-timeout", "DURATION", "Of one component. Default 5m.", SERVER),
    ] = None,
    compile_max_memory: Annotated[
        str | None,
        option("--compile-max-memory", "SIZE", "To compile one component. Default 2GiB.", SERVER),
    ] = None,
    http: Annotated[
        str | None, option("--http", "auto|httptools|h11", "HTTP parser. Default auto.", SERVER)
    ] = None,
    loop: Annotated[
        str | None, option("--loop", "auto|uvloop|asyncio", "Event loop. Default auto.", SERVER)
    ] = None,
    rpc: Annotated[
        bool | None,
        option("--rpc/--no-rpc", None, "Serve exported functions by JSON-RPC. Default on.", SERVER),
    ] = None,
    rpc_prefix: Annotated[
        str | None, option("--rpc-prefix", "PATH", "Where. Default /rpc.", SERVER)
    ] = None,
    rpc_max_body: Annotated[
        str | None,
        option("--rpc-max-body", "SIZE", "Of one of its requests. Default 512KiB.", SERVER),
    ] = None,
    rpc_max_result: Annotated[
        str | None,
        option("--rpc-max-result", "SIZE", "Of one of its responses. Default 4MiB.", SERVER),
    ] = None,
    rpc_max_batch: Annotated[
        int | None, option("--rpc-max-batch", None, "Calls in one request. Default 100.", SERVER)
    ] = None,
    admin_addr: Annotated[
        str | None,
        option(
            "--admin-addr",
            "HOST:PORT",
            "Serve health, metrics and the admin API there, apart from the components.",
            SERVER,
        ),
    ] = None,
    operational_routes: Annotated[
        str | None,
        option(
            "--operational-routes",
            "fallback|first|off",
            "Without --admin-addr: /healthz, /readyz and /metrics at paths that no component answers, "
            "before all components, or not at all. Default fallback.",
            SERVER,
        ),
    ] = None,
    drain_grace: Annotated[
        str | None,
        option(
            "--drain-grace",
            "DURATION",
            "Go on serving, not ready any more, after a signal to stop. Default 0s.",
            SERVER,
        ),
    ] = None,
    max_in_flight: Annotated[
        int | None,
        option("--max-in-flight", None, "Requests at once in a worker, of all components.", SERVER),
    ] = None,
    max_connections: Annotated[
        int | None,
        option(
            "--max-connections",
            None,
            "Of clients, at once in a worker. Default half of the file descriptors, at most 10000.",
            SERVER,
        ),
    ] = None,
    log_events: Annotated[
        bool | None,
        option(
            "--log-events/--no-log-events",
            None,
            "Log where the time of each invocation went. Default off.",
            SERVER,
        ),
    ] = None,
    server_timing: Annotated[
        bool | None,
        option(
            "--server-timing/--no-server-timing",
            None,
            "Tell clients where the time went. Default off.",
            SERVER,
        ),
    ] = None,
    tracing: Annotated[
        bool | None,
        option(
            "--tracing/--no-tracing",
            None,
            "Send spans as the OTEL_* variables say. Default off.",
            SERVER,
        ),
    ] = None,
    watch: Annotated[
        bool, option("--watch", None, "Reload what has changed in the files.", SERVER)
    ] = False,
    max_execution_time: options.MaxExecutionTime = None,
    max_memory: options.MaxMemory = None,
    max_body: Annotated[
        str | None,
        option("--max-body", "SIZE", "Of one request. Default unlimited.", COMPONENT),
    ] = None,
    max_concurrency: Annotated[
        int | None,
        option("--max-concurrency", None, "Requests at once in a worker. Default 1024.", COMPONENT),
    ] = None,
    max_queue: Annotated[
        int | None,
        option("--max-queue", None, "Requests that may wait for their turn. Default 0.", COMPONENT),
    ] = None,
    max_queue_time: Annotated[
        str | None,
        option("--max-queue-time", "DURATION", "How long each may wait. Default 1s.", COMPONENT),
    ] = None,
    log_max_lines: Annotated[
        int | None,
        option(
            "--log-max-lines",
            None,
            "Lines that one invocation may write to the log. Default 10000.",
            COMPONENT,
        ),
    ] = None,
    log_max_bytes: Annotated[
        str | None,
        option("--log-max-bytes", "SIZE", "What they may have in all. Default 1MiB.", COMPONENT),
    ] = None,
    log_max_rate: Annotated[
        int | None,
        option(
            "--log-max-rate",
            None,
            "Lines a second that all of them may write. Default 5000.",
            COMPONENT,
        ),
    ] = None,
    require_signature: Annotated[
        bool | None,
        option(
            "--require-signature/--no-require-signature",
            None,
            "Refuse it if it is not signed.",
            COMPONENT,
        ),
    ] = None,
    trusted_issuers: Annotated[
        list[str] | None,
        option("--trusted-issuer", "KEY", "Who may have signed it. Repeatable.", COMPONENT),
    ] = None,
    claims: Annotated[
        str | None,
        option(
            "--claims", "enforce|report", "Refuse claims that do not hold, or only log.", COMPONENT
        ),
    ] = None,
    sha256: Annotated[
        str | None, option("--sha256", "DIGEST", "The digest that it must have.", COMPONENT)
    ] = None,
    environment: options.Environment = None,
    arguments: options.Arguments = None,
    mounts: options.Mounts = None,
    allowed_outbound_hosts: options.AllowedOutboundHosts = None,
) -> None:
    """Serve a component, or the components of a configuration, until a signal ends it.

    Flags of the server go before the keys of a gateway.toml. Those of a component are refused beside
    one: there, each component has its own.
    """
    read = functools.partial(
        options.read,
        target,
        host=host,
        port=port,
        workers=workers,
        trusted_proxies=trusted_proxies or None,
        forwarded_header=forwarded_header,
        ca_files=ca_files or None,
        log_format=log_format,
        log_level=log_level,
        access_log=access_log,
        cache=False if no_cache else None,
        cache_dir=cache_dir,
        compile_timeout=compile_timeout,
        compile_max_memory=compile_max_memory,
        http=http,
        loop=loop,
        rpc=rpc,
        rpc_prefix=rpc_prefix,
        rpc_max_body=rpc_max_body,
        rpc_max_result=rpc_max_result,
        rpc_max_batch=rpc_max_batch,
        max_execution_time=max_execution_time,
        max_memory=max_memory,
        max_body=max_body,
        admin_addr=admin_addr,
        operational_routes=operational_routes,
        drain_grace=drain_grace,
        max_in_flight=max_in_flight,
        max_connections=max_connections,
        log_events=log_events,
        server_timing=server_timing,
        tracing=tracing,
        max_concurrency=max_concurrency,
        max_queue=max_queue,
        max_queue_time=max_queue_time,
        log_max_lines=log_max_lines,
        log_max_bytes=log_max_bytes,
        log_max_rate=log_max_rate,
        require_signature=require_signature,
        trusted_issuers=trusted_issuers or None,
        claims=claims,
        sha256=sha256,
        **options.component_keys(
            environment=environment,
            arguments=arguments,
            mounts=mounts,
            allowed_outbound_hosts=allowed_outbound_hosts,
        ),
    )
    status = server.serve(
        read(),
        create_app=app.create_app,
        verify=app.verify,
        read=read,
        watch=target if watch else None,
    )
    raise typer.Exit(status)
