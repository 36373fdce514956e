"""The server: where it listens, and the processes that serve there."""

from gateway.server.application import AppFactory, Application
from gateway.server.listener import ListenError
from gateway.server.listening import Sockets
from gateway.server.server import Server
from gateway.server.start import serve

__all__ = [
    "AppFactory",
    "Application",
    "ListenError",
    "Server",
    "Sockets",
    "serve",
]
