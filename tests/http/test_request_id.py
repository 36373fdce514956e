"""The id of a request."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from gateway.http.field_lines import FieldLines
from gateway.http.request_id import request_id

NEW = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize(
    "incoming",
    [
        "x",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "Root=1-67891233-abcdef012345678912345678",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "c2l4dGVlbiBieXRlcw==",
        "a.b_c:d/e+f=g@h-i",
        "x" * 128,
    ],
)
def test_a_well_formed_id_is_kept(incoming: str) -> None:
    headers = [(b"host", b"a"), (b"x-request-id", incoming.encode()), (b"accept", b"*/*")]
    assert request_id(FieldLines(headers)) == incoming


@pytest.mark.parametrize(
    "incoming",
    [
        b"",
        b"x" * 129,
        b"a b",
        b"a\n",
        b"a\r\nset-cookie: b",
        b"a,b",
        b'"a"',
        b"a;b",
        b"<a>",
        b"a\0",
        b"\x1b[31m",
        b"caf\xe9",
        "é".encode(),
        b"%41",
    ],
)
def test_any_other_is_replaced(incoming: bytes) -> None:
    assert NEW.fullmatch(request_id(FieldLines([(b"x-request-id", incoming)])))


def test_several_ids_are_replaced_even_if_they_are_equal() -> None:
    assert NEW.fullmatch(request_id({b"x-request-id": [b"a", b"a"]}))


def test_a_request_without_an_id_gets_a_new_one() -> None:
    assert NEW.fullmatch(request_id({}))
    assert NEW.fullmatch(request_id({b"request-id": [b"a"], b"x-request-id-2": [b"b"]}))


def test_new_ids_differ() -> None:
    assert len({request_id({}) for _ in range(10_000)}) == 10_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_worker_does_not_repeat_the_ids_of_its_parent() -> None:
    # In a process of its own, because this one may have threads, which do not survive a fork.
    program = """
import os
from gateway.http.field_lines import FieldLines
from gateway.http.request_id import request_id
request_id({})
child = os.fork()
if child:
    os.waitpid(child, 0)
print(request_id({}), flush=True)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    ids = run.stdout.split()
    assert len(set(ids)) == len(ids) == 2
    assert all(NEW.fullmatch(new) for new in ids)
