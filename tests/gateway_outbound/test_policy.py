"""`allowed_outbound_hosts`: what is not named is refused, to the guest and in the log."""

import pytest

from tests.gateway_outbound.peers import StartPeer, answering
from tests.routes.site import Site


@pytest.mark.parametrize(
    ("component", "host", "rule"),
    [
        pytest.param(
            "denied",
            "127.0.0.1",
            "no entry of allowed_outbound_hosts matches http://127.0.0.1:{port}",
            id="nothing is allowed by default",
        ),
        pytest.param(
            "fetcher",
            "localhost",
            "no entry of allowed_outbound_hosts matches http://localhost:{port}",
            id="another host is allowed",
        ),
        pytest.param(
            "public",
            "127.0.0.1",
            "127.0.0.1 is a loopback address, which no entry of allowed_outbound_hosts names"
            " for http and port {port}",
            id="all hosts are allowed but this is a special address",
        ),
    ],
)
def test_a_host_that_is_not_allowed_is_refused(
    site: Site, start_peer: StartPeer, request_id: str, *, component: str, host: str, rule: str
) -> None:
    peer = start_peer(answering(lambda _: b"a secret of the network"))
    url = f"http://{host}:{peer.port}/"
    response = site.get(f"/get?url={url}", f"X-Request-Id: {request_id}", host=f"{component}.test")
    assert response.status == 502
    assert "error" in response.json
    refused = site.wait_for_log(
        event="outbound request refused", component=component, request_id=request_id
    )
    assert refused["rule"] == rule.format(port=peer.port)
    assert refused["origin"] == f"http://{host}:{peer.port}"
    assert peer.connections == 0


def test_a_refusal_leaves_other_requests_alone(site: Site, start_peer: StartPeer) -> None:
    peer = start_peer(answering(lambda _: b"fine"))
    assert site.get(f"/get?url=http://localhost:{peer.port}/").status == 502
    assert site.get(f"/get?url=http://{peer.authority}/").json == {"status": 200, "text": "fine"}
