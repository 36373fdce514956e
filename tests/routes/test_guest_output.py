"""What guests write much of to their standard streams, over real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import ask
from tests.harness import GatewayProcess, GuestPath, StartGateway, probe

WRITE = """
    stream = stdout.get_stdout()
    for _ in range({times}):
        data = {data}
        while data:
            permit = stream.check_write()
            if permit == 0:
                stream.subscribe().block()
                continue
            stream.write(data[:permit])
            data = data[permit:]
    result = None
"""


def lines(gateway: GatewayProcess) -> list[str]:
    return [record["line"] for record in gateway.logs if record["event"] == "guest output"]


def test_what_python_prints_in_one_call_arrives_whole(
    gateway: StartGateway, guest: GuestPath
) -> None:
    """CPython writes to an unbuffered standard output once, and does not look at how much was taken."""
    running = gateway(guest("python/probe"))
    probe(running.url, "print('x' * 100_000); print('ä' * 50_000); result = None")
    running.wait_for_log(event="request")
    assert "".join(lines(running)) == "x" * 100_000 + "ä" * 50_000


def test_a_guest_that_writes_newlines_is_cut_off_and_that_is_told_once(
    gateway: StartGateway, guest: GuestPath
) -> None:
    options = ("--log-max-lines", "1000", "--operational-routes", "first")
    running = gateway(guest("python/probe"), *options)
    probe(running.url, WRITE.format(times=3, data=r"b'\n' * 65536"))
    told = running.wait_for_log(event="guest output dropped")
    assert told["lines"] == 3 * 65536 - 1000
    assert lines(running) == [""] * 1000
    metrics = ask.get(f"{running.url}/metrics").text
    counted = f'gateway_guest_log_lines_dropped_total{{component="{told["component"]}"}} {float(told["lines"])}'
    assert counted in metrics


def test_a_component_that_writes_much_in_many_requests_is_cut_off_too(
    gateway: StartGateway, guest: GuestPath
) -> None:
    running = gateway(guest("python/probe"), "--log-max-rate", "1")
    for _ in range(5):
        probe(running.url, WRITE.format(times=1, data=r"b'line\n' * 1000"))
    told: Any = running.wait_for_log(event="guest output dropped")
    assert "log_max_rate" in told["reason"]
    assert "request_id" not in told
    # One at once, and one for each second that has passed.
    assert told["lines"] > 500
    assert len(lines(running)) < 4000


def test_limits_are_keys_of_the_configuration(guest: GuestPath, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[defaults]\nlog_max_bytes = "1KiB"\n[[components]]\nname = "probe"\nsource = "{guest("python/probe")}"\n'
    )
    with GatewayProcess(config) as running:
        probe(running.url, "print('x' * 2000); result = None")
        told = running.wait_for_log(event="guest output dropped")
        assert (told["lines"], told["bytes"]) == (1, 2001 - 1024)
        assert lines(running) == ["x" * 1024]
