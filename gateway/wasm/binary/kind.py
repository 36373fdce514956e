"""What a file is, told from its first bytes."""

import re
from enum import Enum
from typing import Final

from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, MODULE_PREAMBLE

__all__ = ["Kind", "classify"]


class Kind(Enum):
    """What a file is. The value says it in words that follow "this is" or "found"."""

    EMPTY = "an empty file"
    COMPONENT = "a WebAssembly component"
    OTHER_COMPONENT = "a WebAssembly component in another version of the binary format"
    CORE_MODULE = "a WebAssembly core module"
    OTHER_WASM = "a WebAssembly file of an unknown kind"
    TRUNCATED_WASM = "the beginning of a WebAssembly file that is cut off"
    COMPONENT_TEXT = "a WebAssembly component in text form"
    MODULE_TEXT = "a WebAssembly core module in text form"
    OTHER_TEXT = "text in parentheses that is neither a component nor a module"
    GZIP = "a gzip archive"
    ZIP = "a zip archive"
    ZSTD = "a zstd archive"
    TAR = "a tar archive"
    ELF = "an ELF file: a program for this machine, or a component compiled ahead of time"
    MACH_O = "a Mach-O file: a program for a Mac"
    PE = "a Windows program"
    HTML = "an HTML page"
    XML = "an XML document"
    JSON = "a JSON document"
    SCRIPT = "a script"
    GIT_LFS_POINTER = "a Git LFS pointer; the file itself was not fetched"
    UNKNOWN = "not a WebAssembly file"

    @property
    def description(self) -> str:
        """What it is, for a message to a person."""
        return self.value

    @property
    def loadable(self) -> bool:
        """Whether it may be served: a component or a core module, in binary or in text form."""
        return self in {
            Kind.COMPONENT,
            Kind.COMPONENT_TEXT,
            Kind.CORE_MODULE,
            Kind.MODULE_TEXT,
        }


_MAGIC: Final = b"\0asm"
# The layer field of the preamble: 1 for components, 0 for core modules.
_COMPONENT_LAYER: Final = b"\x01\0"

# Formats that are fetched or packed in place of a component by mistake.
_SIGNATURES: Final = (
    (b"\x1f\x8b", Kind.GZIP),
    (b"PK\x03\x04", Kind.ZIP),
    (b"\x28\xb5\x2f\xfd", Kind.ZSTD),
    (b"\x7fELF", Kind.ELF),
    (b"\xcf\xfa\xed\xfe", Kind.MACH_O),
    (b"\xca\xfe\xba\xbe", Kind.MACH_O),
    (b"MZ", Kind.PE),
    (b"#!", Kind.SCRIPT),
    (b"version https://git-lfs.github.com/spec/", Kind.GIT_LFS_POINTER),
)
_TAR_SIGNATURE: Final = b"ustar"
_TAR_SIGNATURE_OFFSET: Final = 257

_MARKUP: Final = (
    (re.compile(rb"<!doctype\s+html|<html", re.IGNORECASE), Kind.HTML),
    (re.compile(rb"<\?xml"), Kind.XML),
    (re.compile(rb'[{\[]\s*["{\[\]}]'), Kind.JSON),
)
_OPENING: Final = re.compile(rb"\(\s*(?P<keyword>[a-z]*)(?![a-z_.-])")
_BLANK: Final = re.compile(rb"(?:\s+|;;[^\n]*)+")
_BLOCK_COMMENT_EDGE: Final = re.compile(rb"\(;|;\)")


def classify(data: bytes) -> Kind:
    """What `data` is, as far as its first bytes tell; whether it is valid is for others to say."""
    if not data:
        return Kind.EMPTY
    if data.startswith(_MAGIC) or _MAGIC.startswith(data):
        return _classify_wasm(data)
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data.startswith(_TAR_SIGNATURE, _TAR_SIGNATURE_OFFSET):
        return Kind.TAR
    return _classify_text(data)


def _classify_wasm(data: bytes) -> Kind:
    preamble = data[: len(COMPONENT_PREAMBLE)]
    if len(preamble) < len(COMPONENT_PREAMBLE):
        return Kind.TRUNCATED_WASM
    if preamble == COMPONENT_PREAMBLE:
        return Kind.COMPONENT
    if preamble == MODULE_PREAMBLE:
        return Kind.CORE_MODULE
    return Kind.OTHER_COMPONENT if preamble.endswith(_COMPONENT_LAYER) else Kind.OTHER_WASM


def _classify_text(data: bytes) -> Kind:
    start = _skip_comments(data)
    for pattern, kind in _MARKUP:
        if pattern.match(data, start):
            return kind
    opening = _OPENING.match(data, start)
    if opening is None:
        return Kind.UNKNOWN
    match opening["keyword"]:
        case b"component":
            return Kind.COMPONENT_TEXT
        case b"module":
            return Kind.MODULE_TEXT
        case _:
            return Kind.OTHER_TEXT


def _skip_comments(data: bytes) -> int:
    """Where the text starts, after blanks, `;; line` and nested `(; block ;)` comments."""
    at = 0
    while True:
        if blank := _BLANK.match(data, at):
            at = blank.end()
        if not data.startswith(b"(;", at):
            return at
        depth = 0
        for edge in _BLOCK_COMMENT_EDGE.finditer(data, at):
            depth += 1 if edge[0] == b"(;" else -1
            if depth == 0:
                at = edge.end()
                break
        else:
            return len(data)
