"""The server: where it listens, and the processes that serve there."""

from gateway.server.application import AppFactory, Application
from gateway.server.listening import ListenError, Sockets, bind, listen
from gateway.server.server import Server
from gateway.server.start import serve

__all__ = [
    "AppFactory",
    "Application",
    "ListenError",
    "Server",
    "Sockets",
    "bind",
    "listen",
    "serve",
]
