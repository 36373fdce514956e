"""component-gateway: WebAssembly components as web services, from Python.

    await gateway.call("catalog", "store.get", 1)          # of the application of this process
    async with gateway.open("catalog.wasm") as component:  # without any
        await component.call("store.get", 1)

The names here are imported where they are first used: `import gateway` by itself imports nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

__version__ = "0.1.0"

_MODULES: Final = {
    "Busy": "gateway.calls.errors",
    "CallError": "gateway.calls.errors",
    "CallFailed": "gateway.calls.errors",
    "Component": "gateway.opened.component",
    "BlockingComponent": "gateway.opened.component",
    "ComponentConfig": "gateway.config",
    "ComponentError": "gateway.host.errors",
    "ConfigError": "gateway.config",
    "Exited": "gateway.calls.errors",
    "Gateway": "gateway.app",
    "GatewayConfig": "gateway.config",
    "GatewayFailed": "gateway.calls.errors",
    "InvalidArguments": "gateway.calls.errors",
    "Late": "gateway.calls.errors",
    "NotFound": "gateway.calls.errors",
    "ResultTooLarge": "gateway.calls.errors",
    "ServerConfig": "gateway.config",
    "Stopped": "gateway.calls.errors",
    "TrapKind": "gateway.host.errors",
    "Trapped": "gateway.calls.errors",
    "call": "gateway.app",
    "create_app": "gateway.app",
    "open": "gateway.opened.opening",
}
"""Where each name is. Type checkers read `__init__.pyi`, which says the same."""

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604 - of strings


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
