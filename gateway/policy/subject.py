"""Subjects of messages, as NATS has them, and which of them a component may use.

A subject is a list of tokens with dots between them. In a filter, the token `*` stands for any one token, and `>`,
which is the last, for one or more.

Source: https://docs.nats.io/nats-concepts/subjects
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = [
    "MAX_SUBJECT",
    "SubjectFilter",
    "SubjectPolicy",
    "check_name",
    "check_queue",
    "check_subject",
]

MAX_SUBJECT: Final = 1024
"""Bytes of a subject in UTF-8. NATS takes 4096 of a line, which has two of them and more."""

_MAX_NAME: Final = 255
_NAME: Final = frozenset("./\\")
"""What names have none of, besides white space and wildcards: they are tokens of subjects, and names of files."""

_RESERVED: Final = ("$", "_")
"""What the first tokens of subjects begin with that belong to the broker: its API (`$JS`, `$SYS`), and the
inboxes that answers come to (`_INBOX`)."""


def check_subject(subject: str) -> str:
    """Refuse what cannot be the subject of a message.

    Raises:
        ValueError: it is empty, too long, has an empty token, white space or a wildcard. The message follows its
            name.
    """
    _check(subject)
    if "*" in subject or ">" in subject:
        raise ValueError("must have no wildcard")
    return subject


def check_name(name: str) -> str:
    """Refuse what cannot be the name of a stream of JetStream, or of a consumer of one.

    Raises:
        ValueError: ditto.
    """
    check_queue(name)
    if len(name) > _MAX_NAME or not _NAME.isdisjoint(name):
        raise ValueError(
            f"must have {_MAX_NAME} characters at most, and no dot or slash among them"
        )
    return name


def check_queue(queue: str) -> str:
    """Refuse what cannot be the name of a queue group.

    Raises:
        ValueError: ditto.
    """
    if queue != "":
        return check_subject(queue)
    raise ValueError("must not be empty")


class SubjectFilter:
    """Subjects that are alike: one, or those that a pattern with wildcards stands for.

    Args:
        pattern: the pattern.

    Raises:
        ValueError: it is none. The message follows its name.
    """

    __slots__ = ("_rest", "_tokens", "pattern")

    def __init__(self, pattern: str) -> None:
        _check(pattern)
        tokens = pattern.split(".")
        self._rest = tokens[-1] == ">"
        if self._rest:
            tokens.pop()
        if any(each != "*" and ("*" in each or ">" in each) for each in tokens):
            raise ValueError('must have "*" as a token of its own, and ">" as the last one')
        self.pattern: Final = pattern
        self._tokens = tuple(tokens)

    @property
    def begins_with_wildcard(self) -> bool:
        """Whether its first token is one."""
        return not self._tokens or self._tokens[0] == "*"

    def matches(self, subject: str) -> bool:
        """Whether a subject is one of them."""
        tokens, found = self._tokens, subject.split(".")
        if len(found) <= len(tokens) if self._rest else len(found) != len(tokens):
            return False
        return all(each in {"*", given} for each, given in zip(tokens, found, strict=False))


class SubjectPolicy:
    """Which subjects a component may use: none but those that are named.

    Those of the broker itself, which begin with `$` or `_`, take a filter that begins with their own first
    token: ">" would let a component delete the streams of everybody.

    Args:
        patterns: the filters of what it may use.

    Raises:
        ValueError: one is no filter.
    """

    __slots__ = ("_filters",)

    def __init__(self, patterns: Iterable[str]) -> None:
        self._filters = tuple(map(SubjectFilter, patterns))

    def allows(self, subject: str) -> bool:
        """Whether it may use a subject."""
        reserved = subject.startswith(_RESERVED)
        return any(
            each.matches(subject) and not (reserved and each.begins_with_wildcard)
            for each in self._filters
        )


def _check(subject: str) -> None:
    try:
        size = len(subject.encode())
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text") from None
    if not 0 < size <= MAX_SUBJECT:
        raise ValueError(f"must have 1 to {MAX_SUBJECT} bytes")
    # What ends a word or a line of the protocol, to a broker that does not know of Unicode.
    if any(character <= " " or character == "\x7f" for character in subject):
        raise ValueError("must have no white space and no control characters")
    if "" in subject.split("."):
        raise ValueError("must have no empty token: no dot at an end, nor two in a row")
