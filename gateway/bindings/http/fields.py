"""The model behind the resource `fields` of `wasi:http/types`: headers and trailers.

Names are HTTP tokens (RFC 9110 section 5.1), compared without regard to case. The WIT says that
`entries` returns them in their original casing; here they are **stored in lower case**. HTTP/2,
HTTP/3 and ASGI carry nothing else, so the casing of an incoming field is lost before it arrives,
and Wasmtime stores lower case too, so no guest can rely on more.

Mutable fields are counted against `MAX_SIZE`. WASI 0.2 has no case of `header-error` for fields
that grow too large (WASI 0.3 adds `size-exceeded`), so the guest cannot be told: `FieldsTooLarge`
is to become a trap.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSet, Set
from typing import Final, Literal

from gateway.http.syntax import TOKEN

__all__ = [
    "FORBIDDEN_NAMES",
    "MAX_SIZE",
    "NAME_SIZE",
    "VALUE_SIZE",
    "Fields",
    "FieldsTooLarge",
    "HeaderError",
    "HeaderErrorCase",
]

MAX_SIZE: Final = 128 * 1024
"""Size of one mutable fields, in bytes, by the accounting of `NAME_SIZE` and `VALUE_SIZE`.

Threat: a guest that appends for ever fills memory of the host, outside its own memory limit.
Precedent: the default of Wasmtime after GHSA-852m-cvvp-9p4w, whose accounting this is. It is more
than servers accept in a request. Since each value costs at least `VALUE_SIZE`, it also bounds the
number of entries (3,276), below the 32 Ki at which that host's map is full.
"""

NAME_SIZE: Final = 32
"""Bytes charged for each distinct name, in addition to its length."""

VALUE_SIZE: Final = 40
"""Bytes charged for each value, in addition to its length, so that empty values are not free."""

FORBIDDEN_NAMES: Final = frozenset(
    (
        "connection",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    )
)
"""Names that belong to the connection, which is the host's: a guest neither sends nor sees them.

The connection-specific fields of RFC 9110 section 7.6.1 and RFC 9113 section 8.2.2, the
hop-by-hop credentials of RFC 9110 section 11.7, `http2-settings` (RFC 7540 section 3.2.1), and
`host`, which the WIT gives as `authority`. `te` and `trailer` are a guest's to send. The same set
as Wasmtime's `DEFAULT_FORBIDDEN_HEADERS`.
"""

_match_token: Final = TOKEN.fullmatch

_FORBIDDEN_RAW: Final = frozenset(name.encode() for name in FORBIDDEN_NAMES)

# RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB.
_VALUE_BYTES: Final = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))

_OWS: Final = b" \t"
_CONTENT_LENGTH: Final = "content-length"
_U64_MAX: Final = 2**64 - 1

HeaderErrorCase = Literal["invalid-syntax", "forbidden", "immutable"]
"""The cases of `header-error`, the same in every version of WASI 0.2 (0.2.0 to 0.2.12)."""


class HeaderError(Exception):
    """The `header-error` of `wasi:http/types`, for the guest.

    Attributes:
        case: the case of the variant. It has no payload.
    """

    def __init__(self, case: HeaderErrorCase) -> None:
        super().__init__(case)
        self.case: Final = case


class FieldsTooLarge(Exception):
    """A mutable fields would exceed `MAX_SIZE`. The guest is to be trapped.

    Attributes:
        size: the size that the fields would have, in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(
            f"a fields resource of {size} bytes is over the limit of {MAX_SIZE} bytes; "
            "use fewer or shorter headers"
        )
        self.size: Final = size


class Fields:
    """A multimap of field names to values, in the order in which they go on the wire.

    Entries are pairs of a lower-case name and the bytes of a value. The order of all entries is
    kept, not only of those with the same name.
    """

    # Reads go through `_entries`, which is short: servers and `MAX_SIZE` see to that. `_names` and
    # `_size` follow from it and only changes need them, so incoming fields, which never change, and
    # clones do not pay for them: there `_names` is None until they are counted.
    __slots__ = ("_entries", "_mutable", "_names", "_size")

    def __init__(self) -> None:
        """Make an empty, mutable fields: `[constructor]fields`."""
        self._entries: list[tuple[str, bytes]] = []
        self._mutable = True
        self._names: MutableSet[str] | None = set()
        self._size = 0

    @classmethod
    def from_list(cls, entries: Iterable[tuple[str, bytes]]) -> Fields:
        """Make a mutable fields of `entries`: `[static]fields.from-list`.

        Raises:
            HeaderError: invalid-syntax or forbidden, for the first entry that is either.
            FieldsTooLarge: the entries together exceed `MAX_SIZE`.
        """
        fields = cls()
        for name, value in entries:
            fields.append(name, value)
        return fields

    @classmethod
    def incoming(
        cls,
        raw: Iterable[tuple[bytes, bytes]],
        options: Set[bytes] = frozenset(),
        told: Iterable[tuple[str, bytes]] = (),
    ) -> Fields:
        """Make the immutable headers or trailers of a received message.

        Forbidden names are left out, and the whitespace around values, which not every server takes off (RFC
        9110 section 5.5). Nothing is validated or limited: the server has done both.

        Args:
            raw: pairs of lower-case name and value, as in the `headers` of an ASGI scope.
            options: the `connection_options` of the message, which are left out too, and whatever else is to be.
            told: what the gateway adds to them.
        """
        fields = cls()
        hidden = _FORBIDDEN_RAW | options if options else _FORBIDDEN_RAW
        fields._entries = [
            (name.decode("latin-1"), value.strip(_OWS)) for name, value in raw if name not in hidden
        ]
        fields._entries += told
        fields._mutable = False
        fields._names = None
        return fields

    @property
    def mutable(self) -> bool:
        """Whether `set`, `delete` and `append` may change these fields."""
        return self._mutable

    def freeze(self) -> None:
        """Make these fields immutable, as a message does with the fields that it consumes."""
        self._mutable = False

    def get(self, name: str) -> list[bytes]:
        """Give all values of `name` in order; none if it is absent or not a token."""
        name = _folded(name)
        return [value for key, value in self._entries if key == name]

    def has(self, name: str) -> bool:
        """Tell whether `name` is present; not if it is not a token."""
        name = _folded(name)
        return any(key == name for key, _ in self._entries)

    def set(self, name: str, values: list[bytes]) -> None:
        """Replace all values of `name` by `values`; no values remove it.

        The new values stand where the first of the old ones stood.

        Raises:
            HeaderError: in this order: invalid-syntax or forbidden for the name, immutable,
                invalid-syntax for a value.
            FieldsTooLarge: they would grow beyond `MAX_SIZE`. Nothing has changed.
        """
        name = _writable_name(name)
        if not self._mutable:
            raise HeaderError("immutable")
        new = [(name, _checked_value(name, value)) for value in values]
        entries = self._entries
        old = [entry for entry in entries if entry[0] == name]
        names = self._count() if self._names is None else self._names
        grown = _size_of(new) - _size_of(old)
        if grown > 0 and self._size + grown > MAX_SIZE:
            raise FieldsTooLarge(self._size + grown)
        self._size += grown
        if old:
            first = entries.index(old[0])
            entries[first:] = new + [entry for entry in entries[first:] if entry[0] != name]
        else:
            entries += new
        if new:
            names.add(name)
        else:
            names.discard(name)

    def delete(self, name: str) -> None:
        """Remove all values of `name`, if there are any.

        Raises:
            HeaderError: in this order: invalid-syntax, forbidden, immutable.
        """
        self.set(name, [])

    def append(self, name: str, value: bytes) -> None:
        """Add one value of `name` after all other entries.

        Raises:
            HeaderError: in this order: invalid-syntax or forbidden for the name, invalid-syntax for
                the value, immutable.
            FieldsTooLarge: they would grow beyond `MAX_SIZE`. Nothing has changed.
        """
        name = _writable_name(name)
        value = _checked_value(name, value)
        if not self._mutable:
            raise HeaderError("immutable")
        names = self._count() if self._names is None else self._names
        size = self._size + len(value) + VALUE_SIZE
        if name not in names:
            size += len(name) + NAME_SIZE
        if size > MAX_SIZE:
            raise FieldsTooLarge(size)
        self._entries.append((name, value))
        self._size = size
        names.add(name)

    def entries(self) -> list[tuple[str, bytes]]:
        """Give all entries in order."""
        return self._entries.copy()

    def clone(self) -> Fields:
        """Make a mutable copy.

        A copy of incoming fields may be above `MAX_SIZE` already; then it can only shrink.
        """
        fields = Fields()
        fields._entries = self._entries.copy()
        fields._names = None
        return fields

    def content_length(self) -> int | None:
        """Give the length that `content-length` announces, in bytes; none if it is absent.

        Raises:
            HeaderError: invalid-syntax; a value is not a number, or two values differ (RFC 9110
                section 8.6).
        """
        length: bytes | None = None
        for name, value in self._entries:
            if name == _CONTENT_LENGTH:
                known, length = length, _decimal(value)
                if known is not None and known != length:
                    raise HeaderError("invalid-syntax")
        return None if length is None else int(length)

    def asgi(self) -> list[tuple[bytes, bytes]]:
        """Give the entries as the `headers` of an ASGI message.

        Values lose the whitespace around them, which is not part of a field value (RFC 9110 section
        5.5) and which h11 refuses to send. Of equal values of `content-length` one is sent, because
        recipients may refuse a message with two (section 8.6).

        Raises:
            HeaderError: invalid-syntax; values of `content-length` differ.
        """
        headers: list[tuple[bytes, bytes]] = []
        lengths = 0
        for name, value in self._entries:
            lengths += name == _CONTENT_LENGTH
            headers.append((name.encode(), value.strip(_OWS)))
        if lengths > 1:
            raw_name = _CONTENT_LENGTH.encode()
            headers = [header for header in headers if header[0] != raw_name]
            headers.append((raw_name, str(self.content_length()).encode()))
        return headers

    def _count(self) -> MutableSet[str]:
        """Bring `_names` and `_size` up to date with `_entries`."""
        self._names = {name for name, _ in self._entries}
        self._size = sum(len(name) + NAME_SIZE for name in self._names) + sum(
            len(value) + VALUE_SIZE for _, value in self._entries
        )
        return self._names


def _folded(name: str) -> str:
    """Give the form in which `name` would be stored; an impossible one if it is not ASCII."""
    # `lower` maps one letter into ASCII from outside: KELVIN SIGN, to "k".
    return name.lower() if name.isascii() else name


def _writable_name(name: str) -> str:
    """Give `name` as it is stored, or raise the `HeaderError` that forbids it."""
    if _match_token(name) is None:
        raise HeaderError("invalid-syntax")
    name = name.lower()
    if name in FORBIDDEN_NAMES:
        raise HeaderError("forbidden")
    return name


def _checked_value(name: str, value: bytes) -> bytes:
    """Give `value` as it is stored, or raise the `HeaderError` that forbids it."""
    if name == _CONTENT_LENGTH:
        return _decimal(value)
    if value.translate(None, _VALUE_BYTES):
        raise HeaderError("invalid-syntax")
    return value


def _decimal(value: bytes) -> bytes:
    """Give a `content-length` (RFC 9110 section 8.6) that fits 64 bits, without leading zeros."""
    if not value.isdigit():
        raise HeaderError("invalid-syntax")
    value = value.lstrip(b"0") or b"0"
    if len(value) > len(str(_U64_MAX)) or int(value) > _U64_MAX:
        raise HeaderError("invalid-syntax")
    return value


def _size_of(entries: list[tuple[str, bytes]]) -> int:
    """Give the bytes that are charged for all `entries` of one name."""
    if not entries:
        return 0
    return len(entries[0][0]) + NAME_SIZE + sum(len(value) + VALUE_SIZE for _, value in entries)
