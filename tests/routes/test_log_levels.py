"""The level of one component's lines, and what clients are told of the time that theirs took."""

import re
from pathlib import Path

from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.routes.wire import get

CONFIG = """
[server]
port = 0
log_level = "info"

[[components]]
name = "quiet"
source = "{fail}"
routes = [{{ path = "/trap" }}]
log_level = "error"

[[components]]
name = "usual"
source = "{fail}"
"""

PHASES = re.compile(
    r"queue;dur=\d+\.\d{3}, instantiate;dur=(\d+\.\d{3}), guest;dur=\d+\.\d{3}, host;dur=\d+\.\d{3}"
)


def test_a_component_has_a_level_of_its_own(guest: GuestPath, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG.format(fail=guest("c/fail")))
    with GatewayProcess(config) as gateway:
        assert get(gateway, "/trap").status == 500
        assert get(gateway, "/stdout", "X-Request-Id: last").status == 200
        gateway.wait_for_log(event="request", request_id="last")
        of_quiet = [
            record["event"] for record in gateway.logs if record.get("component") == "quiet"
        ]
    # What was loaded is told by the gateway, not by the component.
    assert of_quiet == ["component loaded", "component trapped"]
    events = [record["event"] for record in gateway.logs if record.get("request_id") == "last"]
    assert events[-1] == "request"
    assert "guest output" in events


def test_clients_are_told_the_times_if_the_operator_wants(
    gateway: StartGateway, guest: GuestPath
) -> None:
    told = get(gateway(guest("c/hello"), "--server-timing"), "/")["server-timing"]
    phases = PHASES.fullmatch(told)
    assert phases is not None
    assert float(phases[1]) > 0
    assert "server-timing" not in get(gateway(guest("c/hello")), "/")
