"""Behind proxies: whose word is taken for where a request comes from, and the id that joins its traces."""

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from gateway.config import ServerConfig
from gateway.http.field_lines import FieldLines
from gateway.routes.dispatcher import Dispatcher
from tests.harness import GatewayProcess, GuestPath, probe_headers
from tests.routes.asked import ask
from tests.routes.site import Site

FORWARDED = "Forwarded: for=192.0.2.1;proto=https;host=public.test"
X_FORWARDED = (
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: public.test",
)


@pytest.fixture(scope="module")
def behind_proxy(guest: GuestPath) -> Iterator[Site]:
    """A gateway that trusts the proxy which these tests pretend to be."""
    with Site(guest("python/probe"), "--trusted-proxy", "127.0.0.1") as site:
        yield site


@pytest.mark.parametrize("headers", [(FORWARDED,), X_FORWARDED], ids=["forwarded", "x-forwarded"])
def test_a_trusted_proxy_is_believed(
    behind_proxy: Site, headers: tuple[str, ...], request_id: str
) -> None:
    asked = ask(behind_proxy, "/", *headers, f"X-Request-Id: {request_id}")
    assert (asked.scheme, asked.authority) == ("Scheme_Https", "public.test")
    ended = behind_proxy.ended(request_id)
    assert (ended["client"], ended["authority"]) == ("192.0.2.1", "public.test")


def test_a_trusted_proxy_needs_say_nothing(behind_proxy: Site) -> None:
    asked = ask(behind_proxy)
    assert (asked.scheme, asked.authority) == ("Scheme_Http", "gateway.test")


def test_two_hosts_are_refused_whatever_a_proxy_says(behind_proxy: Site) -> None:
    with behind_proxy.connect() as client:
        client.request("/", "Host: a.test", FORWARDED)
        assert client.response().status == 400


@pytest.mark.parametrize("headers", [(FORWARDED,), X_FORWARDED], ids=["forwarded", "x-forwarded"])
def test_nobody_else_is_believed(
    probe_site: Site, headers: tuple[str, ...], request_id: str
) -> None:
    asked = ask(probe_site, "/", *headers, f"X-Request-Id: {request_id}")
    assert (asked.scheme, asked.authority) == ("Scheme_Http", "gateway.test")
    # The guest may look for itself.
    sent = [tuple(header.split(": ")) for header in headers]
    assert asked.headers[: len(headers)] == [(name.lower(), value) for name, value in sent]
    assert probe_site.ended(request_id)["client"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("server", "client"),
    [(None, "192.0.2.1"), (("/run/gateway.sock", None), "192.0.2.1"), (("127.0.0.1", 80), None)],
)
def test_who_has_no_address_at_a_port_is_nobody(
    server: tuple[str, int | None] | None, client: str | None
) -> None:
    """Servers tell none of a client that is gone, as of one at a Unix socket."""
    dispatcher = Dispatcher((), ServerConfig.model_validate({"trusted_proxies": ["unix"]}), {})
    headers = [(b"host", b"gateway.test"), (b"x-forwarded-for", b"192.0.2.1")]
    scope = {"headers": headers, "scheme": "http", "client": None, "server": server}
    assert dispatcher._origin(scope, FieldLines(headers)).client == client


def test_a_client_at_a_unix_socket_has_no_address(guest: GuestPath, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    options = ("--uds", str(path), "--trusted-proxy", "unix")
    with GatewayProcess(guest("c/hello"), *options) as gateway:
        assert gateway.url == f"unix:{path}"
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            for name, headers in (("direct", {}), ("proxied", {"X-Forwarded-For": "192.0.2.1"})):
                sent = {"x-request-id": name, **headers}
                assert client.get("http://gateway.test/", headers=sent).status_code == 200
        told = [
            gateway.wait_for_log(event="request", request_id=name)["client"]
            for name in ("direct", "proxied")
        ]
        assert told == ["unix", "192.0.2.1"]
        assert gateway.stop() == 0
        assert not path.exists()


# --- x-request-id --------------------------------------------------------------------------------

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize("target", ["/hello", "/trap", "/sleep?ms=1"])
def test_a_well_formed_id_is_kept(site: Site, target: str, request_id: str) -> None:
    response = site.get(target, f"X-Request-Id: {request_id}")
    assert response["x-request-id"] == request_id
    assert site.ended(request_id)["path"] == target.partition("?")[0]


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("X-Request-Id:",),
        ("X-Request-Id: two words",),
        ('X-Request-Id: "quoted"',),
        (f"X-Request-Id: {'x' * 129}",),
        ("X-Request-Id: a", "X-Request-Id: b"),
    ],
)
def test_a_request_without_a_well_formed_id_is_given_one(
    site: Site, headers: tuple[str, ...]
) -> None:
    first, second = (site.get("/hello", *headers)["x-request-id"] for _ in range(2))
    assert MADE.fullmatch(first)
    assert MADE.fullmatch(second)
    assert first != second
    assert site.ended(first)["status"] == 200


def test_the_id_is_in_a_problem_and_its_head(site: Site) -> None:
    response = site.get("/noset")
    assert MADE.fullmatch(response["x-request-id"])
    assert response.json["request_id"] == response["x-request-id"]


def test_what_the_guest_says_of_the_id_is_not_sent(probe_site: Site, request_id: str) -> None:
    source = """
        response_set = True
        headers = [("x-request-id", b"forged"), ("server", b"kept"), ("x-own", b"kept")]
        response = types.OutgoingResponse(types.Fields.from_list(headers))
        types.ResponseOutparam.set(response_out, Ok(response))
    """
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    response = probe_site.get("/", *carrier, f"X-Request-Id: {request_id}")
    assert response.all("x-request-id") == [request_id]
    assert parsedate_to_datetime(response["date"])
    assert (response["server"], response["x-own"]) == ("kept", "kept")


def test_a_response_is_as_old_as_the_guest_says(probe_site: Site) -> None:
    source = """
        response_set = True
        headers = [("date", b"Sun, 06 Nov 1994 08:49:37 GMT")]
        response = types.OutgoingResponse(types.Fields.from_list(headers))
        types.ResponseOutparam.set(response_out, Ok(response))
    """
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    assert probe_site.get("/", *carrier).all("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


def test_every_response_has_one_date(site: Site) -> None:
    for target in ("/hello", "/noset", "/trap", "/rpc"):
        assert len(site.get(target).all("date")) == 1
    with site.connect() as client:
        client.send(b"no HTTP\r\n\r\n")
        head = client.read_head()
    assert (head.status, len(head.all("date"))) == (400, 1)


def test_the_guest_sees_the_id_that_the_client_sent(probe_site: Site, request_id: str) -> None:
    asked = ask(probe_site, "/", f"X-Request-Id: {request_id}")
    assert asked.headers == [("x-request-id", request_id)]
