"""The places of file descriptors: who has how many, what is said of it, and that all come back."""

import errno
import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from gateway.bindings import descriptors
from gateway.bindings.counted_socket import CountedSocket
from gateway.bindings.descriptors import RESERVE, Descriptors, Place, Share


def take_all(share: Share) -> list[Place]:
    """Every place that there is for a component."""
    places: list[Place] = []
    with suppress(OSError):
        while True:
            places.append(share.take())
    return places


def test_one_component_alone_has_all_places() -> None:
    share = Descriptors(10).share("a")
    places = take_all(share)
    assert len(places) == share.used == 10
    for place in places:
        place.release()
        place.release()
    assert share.used == 0


def test_each_component_has_a_part_that_nobody_can_take_from_it() -> None:
    all_ = Descriptors(100)
    greedy, modest, late = all_.share("greedy"), all_.share("modest"), all_.share("late")
    own = 100 // 6
    kept = [modest.take() for _ in range(5)]
    taken = take_all(greedy)
    assert len(taken) == 100 - 2 * own
    assert len(take_all(modest)) == own - 5
    assert len(take_all(late)) == own
    assert all_.used == len(taken) + len(kept)


def test_versions_of_a_component_have_one_share_and_a_component_that_is_gone_has_none() -> None:
    all_ = Descriptors(100)
    old = all_.share("a")
    assert all_.share("a") is old
    other = all_.share("b")
    assert len(take_all(old)) == 75
    del other
    gc.collect()
    assert len(take_all(old)) == 100


def test_no_place_is_an_error_of_the_system_for_this_component_alone() -> None:
    all_ = Descriptors(4)
    share, other = all_.share("a"), all_.share("b")
    place, *rest = take_all(share)
    assert len(rest) == 2
    assert not share.has_place
    with pytest.raises(OSError, match="Too many open files") as refused:
        share.take()
    assert refused.value.errno == errno.EMFILE
    other.take().release()
    place.release()
    assert share.has_place


def test_a_shortage_is_told_once_and_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []
    share = Descriptors(1, on_refused=refused.append).share("a")
    place = share.take()
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(OSError, match="Too many open files"):
                share.take()
        place.release()
        share.take().release()  # too soon: it would be told again and again
        monkeypatch.setattr(descriptors, "CALM", -1.0)
        share.take().release()
        share.take().release()
    assert refused == ["a"] * 3
    assert [(log["event"], log["component"]) for log in logs] == [
        ("file descriptors exhausted", "a"),
        ("file descriptors available again", "a"),
    ]
    assert (logs[0]["used"], logs[0]["limit"], logs[1]["refused"]) == (1, 1, 3)


def test_a_refusal_of_the_system_counts_as_one_too() -> None:
    refused: list[str] = []
    share = Descriptors(None, on_refused=refused.append).share("a")
    with capture_logs() as logs, pytest.raises(OSError, match="in system"), share.opening():
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
    with pytest.raises(OSError, match="denied"), share.opening():
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    assert refused == ["a"]
    assert [log["event"] for log in logs] == ["file descriptors exhausted"]
    assert share.used == 0


@pytest.fixture
def _restored_limit() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("_restored_limit")
@pytest.mark.parametrize("limit", [256, 1024, 4096])
def test_half_of_the_limit_is_for_others_and_a_reserve_for_the_process(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    assert Descriptors.of_process().places == limit // 2 - RESERVE


@pytest.mark.parametrize("end", ["close", "detach", "drop"])
def test_a_socket_gives_its_place_back_however_it_ends(end: str) -> None:
    share = Descriptors(1).share("a")
    made = CountedSocket(share, socket.AF_INET, socket.SOCK_STREAM)
    with pytest.raises(OSError, match="Too many open files"):
        CountedSocket(share, socket.AF_INET, socket.SOCK_STREAM)
    assert share.used == 1
    match end:
        case "close":
            made.close()
            made.close()
        case "detach":
            os.close(made.detach())
            made.close()
        case "drop":
            with pytest.warns(ResourceWarning):
                del made
    assert share.used == 0
