"""Subjects: what is one, and which a component may use."""

from __future__ import annotations

import pytest

from gateway.policy.subject import (
    MAX_SUBJECT,
    SubjectFilter,
    SubjectPolicy,
    check_queue,
    check_subject,
)

BAD = ["", ".", ".a", "a.", "a..b", "a b", "a\tb", "a\r\nPUB b 0", "\0", "a\x7f", "\udc80"]


@pytest.mark.parametrize(
    "subject", ["a", "orders.new.1", "$JS.API", "größe", "a-b_c", "a" * MAX_SUBJECT]
)
def test_a_subject_is_tokens(subject: str) -> None:
    assert check_subject(subject) == check_queue(subject) == subject
    assert SubjectFilter(subject).matches(subject)


@pytest.mark.parametrize("subject", [*BAD, "a.*", ">", "a>b", "a" * MAX_SUBJECT + "a"])
def test_what_is_no_subject_is_refused(subject: str) -> None:
    for check in (check_subject, check_queue):
        with pytest.raises(ValueError, match="must"):
            check(subject)


@pytest.mark.parametrize("pattern", [*BAD, "a*", "a.>b", ">.a", "a.>.b", "**"])
def test_what_is_no_filter_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must"):
        SubjectFilter(pattern)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "a.c", "A.b"]),
        ("a.*", ["a.b", "a.c"], ["a", "a.b.c", "b.b"]),
        ("*.b", ["a.b"], ["b", "a.c"]),
        ("a.>", ["a.b", "a.b.c"], ["a", "b.a"]),
        (">", ["a", "a.b", "$SYS.a"], []),
        ("*.*.>", ["a.b.c", "a.b.c.d"], ["a.b"]),
    ],
)
def test_wildcards_stand_for_tokens(pattern: str, matching: list[str], others: list[str]) -> None:
    subjects = SubjectFilter(pattern)
    assert all(map(subjects.matches, matching))
    assert not any(map(subjects.matches, others))


def test_nothing_is_allowed_that_is_not_named() -> None:
    assert not SubjectPolicy(()).allows("a")
    policy = SubjectPolicy(("a", "b.*"))
    assert policy.allows("a")
    assert policy.allows("b.c")
    assert not policy.allows("a.b")


@pytest.mark.parametrize("subject", ["$JS.API.STREAM.DELETE.orders", "$SYS.a", "_INBOX.a"])
def test_subjects_of_the_broker_must_be_named(subject: str) -> None:
    first, _, _ = subject.partition(".")
    assert not SubjectPolicy((">", "*.>", "*.*", "*.API.STREAM.DELETE.*")).allows(subject)
    assert SubjectPolicy((f"{first}.>",)).allows(subject)
