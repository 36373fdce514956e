"""Makes sense of the engine's errors.

What the engine says of a trap holds names that the guest chose: 20 frames, each with the names of a module and a
function, of up to 100,000 bytes each. So only the beginning is searched for frames, and what is taken is cut.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

from wasmtime import WasmtimeError

from gateway.host.errors import Exhausted, Trap, TrapKind

__all__ = ["MAX_FRAME", "MAX_FRAMES", "MAX_MESSAGE", "from_engine"]

MAX_FRAMES: Final = 20
"""Frames of a backtrace. Threat: names that read like frames of their own. The engine itself tells no more."""

MAX_FRAME: Final = 256
"""Characters of a frame's names. Threat: a guest that writes megabytes into the log with each trap. Arbitrary:
mangled names of C++ and Rust are rarely longer."""

MAX_MESSAGE: Final = 1024
"""Characters of what happened. Longer are only messages with the name of an import."""

_HEAD: Final = 64 << 10
"""Characters of the engine's text that are searched for frames. Arbitrary: all of them, with usual names."""

_FRAME: Final = re.compile(r"^ *[0-9]+: +(0x[0-9a-f]{1,16}) - (.*)$", re.MULTILINE)
_CAUSE: Final = "\nCaused by:\n"
_PREFIX: Final = re.compile(r"(?:[0-9]{1,9}: +)?(?:wasm trap: )?")

# The engine tells the class of a trap only in words; each is a substring of one message of Wasmtime.
_KINDS: Final = (
    ("`unreachable` instruction", TrapKind.UNREACHABLE),
    ("call stack exhausted", TrapKind.STACK_OVERFLOW),
    ("out of bounds memory access", TrapKind.MEMORY_OUT_OF_BOUNDS),
    ("out of bounds table access", TrapKind.TABLE_OUT_OF_BOUNDS),
    ("uninitialized element", TrapKind.INDIRECT_CALL),
    ("indirect call type mismatch", TrapKind.INDIRECT_CALL),
    ("integer divide by zero", TrapKind.ARITHMETIC),
    ("integer overflow", TrapKind.ARITHMETIC),
    ("invalid conversion to integer", TrapKind.ARITHMETIC),
    ("unknown import", TrapKind.UNKNOWN_IMPORT),
    ("unknown handle index", TrapKind.CANONICAL_ABI),
    ("cannot enter component instance", TrapKind.CANONICAL_ABI),
    ("cannot leave component instance", TrapKind.CANONICAL_ABI),
    ("out-of-bounds", TrapKind.CANONICAL_ABI),
    ("out of bounds", TrapKind.CANONICAL_ABI),
    ("not aligned", TrapKind.CANONICAL_ABI),
    ("unaligned", TrapKind.CANONICAL_ABI),
    ("handle limit", TrapKind.CANONICAL_ABI),
    ("discriminant", TrapKind.CANONICAL_ABI),
    ("`char`", TrapKind.CANONICAL_ABI),
    ("invalid utf-", TrapKind.CANONICAL_ABI),
    ("borrow handles still remain", TrapKind.CANONICAL_ABI),
)
_EXHAUSTED: Final = re.compile(r"maximum concurrent limit of [0-9]+ for .{1,100} reached")


def from_engine(error: WasmtimeError, failure: BaseException | None) -> BaseException:
    """The exception to raise for an error that ended a guest.

    Args:
        error: what the engine returned.
        failure: the exception of the host function that made the engine return it, if one did.

    Returns:
        `failure` itself (a `Trap` with the guest's backtrace added), `Exhausted`, or a `Trap`.
    """
    text = str(error)
    backtrace = _backtrace(text[:_HEAD])
    if failure is not None:
        if isinstance(failure, Trap):
            failure.backtrace = backtrace
        return failure
    message = _message(text)
    # Only the message tells what happened: the frames above it hold names that the guest chose.
    if _EXHAUSTED.search(message):
        return Exhausted(message)
    kind = next((kind for words, kind in _KINDS if words in message), TrapKind.OTHER)
    return Trap(message, kind=kind, backtrace=backtrace)


def _backtrace(head: str) -> tuple[str, ...]:
    frames = itertools.islice(_FRAME.finditer(head), MAX_FRAMES)
    return tuple(f"{_cut(frame[2], MAX_FRAME)} ({frame[1]})" for frame in frames)


def _message(text: str) -> str:
    """The last line of the cause, without the words that stand before each."""
    # The names of the guest may hold these words too, but all of them come before.
    cause = text.rpartition(_CAUSE)[2].strip()
    line = cause.rpartition("\n")[2][: 2 * MAX_MESSAGE].strip()
    prefix = _PREFIX.match(line)
    return _cut(line if prefix is None else line[prefix.end() :], MAX_MESSAGE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
