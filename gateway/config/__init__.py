"""What a gateway serves, where it listens and which limits hold: the model, its files, its flags.

`load` reads a TOML file, `single` describes one component by flags alone, and the models can be built
in code. Reading collects every problem before it gives up, so that a file is corrected once:

    [server]                        # ServerConfig
    port = 8080
    trusted_proxies = ["10.0.0.0/8"]

    [defaults]                      # Defaults of every component that does not set its own
    max_memory = "128MiB"

    [[components]]                  # ComponentConfig, one table for each
    name = "hello"
    source = "hello.wasm"           # relative to this file
    routes = [{ host = "example.com", path = "/api" }]
    max_execution_time = "2s"
"""

from gateway.config.component import ComponentConfig, Defaults, Limits, MountConfig
from gateway.config.file import load, single
from gateway.config.gateway import GatewayConfig
from gateway.config.problem import ConfigError, Problem
from gateway.config.route import Route, RouteConflict
from gateway.config.server import ServerConfig
from gateway.http.canonical import canonical_host, canonical_path

__all__ = [
    "ComponentConfig",
    "ConfigError",
    "Defaults",
    "GatewayConfig",
    "Limits",
    "MountConfig",
    "Problem",
    "Route",
    "RouteConflict",
    "ServerConfig",
    "canonical_host",
    "canonical_path",
    "load",
    "single",
]
