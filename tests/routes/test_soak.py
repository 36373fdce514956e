"""Many requests of every outcome, to guests of WASI 0.2 and 0.3, leave nothing behind."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import GuestPath
from tests.routes.site import ObservedSite

REQUESTS = 10_000
"""How many are sent when all is warm."""

ROUND = 20
"""How many `play_round` sends, and `play_round_of_0_3`, by turns."""

AT_ONCE = 16

OUTCOMES = {
    "hello": {"ok": 7},
    "echo": {"ok": 2},
    "fail": {"ok": 2, "trap": 2, "err": 4, "cancelled": 2},
    "hasty": {"deadline": 1},
    "three": {"ok": 11, "trap": 3, "err": 3, "cancelled": 2},
    "hasty-three": {"deadline": 1},
}
"""How the requests of one round of each end."""

CONFIG = """
[[components]]
name = "three"
source = "{three}"
routes = [{{ host = "three.test" }}]
max_execution_time = "10m"

[[components]]
name = "hasty-three"
source = "{three}"
routes = [{{ host = "hasty-three.test" }}]
max_execution_time = "100ms"
"""

GROWTH = 8 << 20
"""Bytes that memory may grow by, for allocators are no accountants: less than a kilobyte for each request."""


@pytest.fixture
def fresh(config: Path, tmp_path: Path, guest: GuestPath) -> Iterator[ObservedSite]:
    """A gateway that nobody else has used, and that does not log each request."""
    quiet = tmp_path / "gateway.toml"
    text = config.read_text().replace("[server]\n", "[server]\naccess_log = false\n")
    quiet.write_text(text + CONFIG.format(three=guest("wat/wasi-0-3")))
    with ObservedSite(quiet) as site:
        yield site


def play_round(site: ObservedSite) -> None:
    with site.connect() as client:
        for _ in range(7):
            assert client.get("/hello").body == b"Hello, World!\n"
        assert client.post("/echo", b"x" * 1000).body == b"x" * 1000
        assert client.post("/echo", b"").body == b""
        assert client.get("/status?code=404").status == 404
        assert client.get("/stdout").status == 200
        assert client.get("/trap").status == 500
        assert client.get("/out-of-bounds").status == 500
        assert client.get("/noset").status == 500
        assert client.get("/exit?code=1").status == 500
        assert client.get("/seterr/connection-refused").status == 502
        assert client.get("/sleep?ms=60000", host="hasty.test").status == 504
    with site.connect() as client:
        client.request("/drop-after", "Connection: close")
        assert not client.read_to_end().endswith(b"0\r\n\r\n")
    for target in ("/slow?n=2&ms=60000", "/spin-after"):
        with site.connect() as client:
            client.request(target)
            assert client.read_head().status == 200
            client.reset()


def play_round_of_0_3(site: ObservedSite) -> None:
    host = "three.test"
    with site.connect() as client:
        for target in ("/h", "/yields", "/cancels", "/drops", "/x", "/Own", "/polls"):
            assert client.get(target, host=host).body == b"hello"
        assert client.post("/body", b"x" * 1000, host=host).body == b"x" * 1000
        assert client.post("/reads", b"body", host=host).body == b"hello"
        assert client.get("/later", host=host).body == b"hello"
        assert client.get("/a", host=host).status == 200
        for target in ("/traps", "/traps", "/n", "/error", "/error"):
            assert client.get(target, host=host).status == 500
        assert client.get("/Sleeps", host="hasty-three.test").status == 504
    with site.connect() as client:
        client.request("/w", "Connection: close", host=host)
        client.read_to_end()
    for _ in range(2):
        with site.connect() as client:
            client.request("/body", "Content-Length: 12", method="POST", host=host)
            assert client.read_head().status == 200
            client.reset()


def play(site: ObservedSite, requests: int) -> None:
    rounds = (play_round, play_round_of_0_3) * (requests // ROUND // 2)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda play: play(site), rounds))


@pytest.mark.long
def test_nothing_grows(fresh: ObservedSite) -> None:
    play(fresh, REQUESTS // 5)
    before, memory_before = fresh.idle(), fresh.memory()
    play(fresh, REQUESTS)
    after, memory_after = fresh.idle(), fresh.memory()

    rounds = REQUESTS // ROUND // 2
    ended = Counter[tuple[str, str]]()
    for component, outcomes in after["invocations"].items():
        for outcome, number in outcomes.items():
            was = before["invocations"].get(component, {}).get(outcome, 0)
            ended[component, outcome] += int(number - was)
    assert ended == {
        (component, outcome): number * rounds
        for component, outcomes in OUTCOMES.items()
        for outcome, number in outcomes.items()
    }

    assert after["stores"] == 0
    assert after["tasks"] == before["tasks"]
    assert memory_after["futures"] <= memory_before["futures"] + AT_ONCE
    assert memory_after["objects"] - memory_before["objects"] < REQUESTS // 20
    assert memory_after["rss"] - memory_before["rss"] < GROWTH
