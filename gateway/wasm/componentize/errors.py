"""What is raised where a module cannot become a component."""

from typing import Final

__all__ = ["NotComponentizable", "shown"]

# How much of a name goes into a message. Threat: a name of megabytes, in a log. Unit: characters.
# Arbitrary: the longest names of WASI have some 60.
_SHOWN: Final = 120


class NotComponentizable(ValueError):
    """A core module cannot be made a component. The message says what is missing and what to do."""


def shown(name: str, most: int = _SHOWN) -> str:
    """A name out of a module as it can stand in a message: of one line, and not too long."""
    printable = (
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name[:most]
    )
    return "".join(printable) + "\N{HORIZONTAL ELLIPSIS}" * (len(name) > most)


def described(interface: str, name: str) -> str:
    """What belongs to an interface, or to the world itself if that is empty, in a message."""
    return f"{shown(name)} of {shown(interface)}" if interface else shown(name)
