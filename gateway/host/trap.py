"""Makes sense of the engine's errors."""

from __future__ import annotations

import re
from typing import Final

from wasmtime import WasmtimeError

from gateway.host.errors import Exhausted, Trap, TrapKind

__all__ = ["from_engine"]

_FRAME: Final = re.compile(r"^\s*\d+:\s+(0x[0-9a-f]+) - (.*)$", re.MULTILINE)
_CAUSE: Final = re.compile(r"^Caused by:\n(.*)\Z", re.MULTILINE | re.DOTALL)

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
_EXHAUSTED: Final = re.compile(r"maximum concurrent limit of \d+ for .+ reached")


def from_engine(error: WasmtimeError, failure: BaseException | None) -> BaseException:
    """The exception to raise for an error that ended a guest.

    Args:
        error: what the engine returned.
        failure: the exception of the host function that made the engine return it, if one did.

    Returns:
        `failure` itself (a `Trap` with the guest's backtrace added), `Exhausted`, or a `Trap`.
    """
    text = str(error)
    backtrace = tuple(f"{name} ({offset})" for offset, name in _FRAME.findall(text))
    if failure is not None:
        if isinstance(failure, Trap):
            failure.backtrace = backtrace
        return failure
    cause = _CAUSE.search(text)
    lines = (cause.group(1) if cause else text).strip().splitlines()
    message = re.sub(r"^(\d+:\s+)?(wasm trap: )?", "", lines[-1].strip()) if lines else text
    # Only the message tells what happened: the frames above it hold names that the guest chose.
    if _EXHAUSTED.search(message):
        return Exhausted(message)
    kind = next((kind for words, kind in _KINDS if words in message), TrapKind.OTHER)
    return Trap(message, kind=kind, backtrace=backtrace)
