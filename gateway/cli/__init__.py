"""The command line, `gateway`: a module for each command.

Exit statuses: 0, all is well; 1, what was asked for could not be done; 2, what was asked for is wrong (usage,
configuration, component); 128 and the number of a signal that ended it, but for a server that was already serving.
`gateway call` has some more.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from gateway.lifecycle import starting

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line."""
    starting.begin(keep_hangup=sys.argv[1:2] == ["serve"])
    # After the signals, for all that it imports takes a second or more.
    from gateway.cli.app import main as run  # noqa: PLC0415

    run()
