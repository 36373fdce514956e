"""`gateway serve`: the gateway itself."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway import server
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
        option("--rpc-max-body", "SIZE", "Of one of its requests. Default 1MiB.", SERVER),
    ] = None,
    rpc_max_batch: Annotated[
        int | None, option("--rpc-max-batch", None, "Calls in one request. Default 100.", SERVER)
    ] = None,
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
    environment: options.Environment = None,
    arguments: options.Arguments = None,
    mounts: options.Mounts = None,
    allowed_outbound_hosts: options.AllowedOutboundHosts = None,
) -> None:
    """Serve a component, or the components of a configuration, until a signal ends it.

    Flags of the server go before the keys of a gateway.toml. Those of a component are refused beside
    one: there, each component has its own.
    """
    config = options.read(
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
        http=http,
        loop=loop,
        rpc=rpc,
        rpc_prefix=rpc_prefix,
        rpc_max_body=rpc_max_body,
        rpc_max_batch=rpc_max_batch,
        max_execution_time=max_execution_time,
        max_memory=max_memory,
        max_body=max_body,
        max_concurrency=max_concurrency,
        **options.component_keys(
            environment=environment,
            arguments=arguments,
            mounts=mounts,
            allowed_outbound_hosts=allowed_outbound_hosts,
        ),
    )
    raise typer.Exit(server.serve(config))
