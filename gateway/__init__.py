"""component-gateway: WebAssembly components as web services, from Python."""

__version__ = "0.1.0"
