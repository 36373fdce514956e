"""The command line, `gateway`: a module for each command.

Exit statuses: 0, all is well; 1, what was asked for could not be done; 2, what was asked for is wrong (usage,
configuration, component). `gateway call` has some more.
"""

from gateway.cli.app import app, main

__all__ = ["app", "main"]
