"""wasi:http/outgoing-handler over TLS: who is trusted, and the `error-code` for who is not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from gateway.bindings.http.outbound import tls_context
from gateway.host.values import Ok, Variant
from tests.bindings.outbound.component import component
from tests.bindings.outbound.guest import http_guest, request
from tests.bindings.outbound.peer import Wire, answers, peer
from tests.harness import PATIENCE

pytestmark = pytest.mark.anyio

HTTPS = Variant("HTTPS")
CA = trustme.CA()


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """What a peer with a certificate needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What a component that trusts `CA` needs."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return tls_context([path])


async def test_a_certificate_of_an_extra_authority_is_trusted(trusting: ssl.SSLContext) -> None:
    certificate = serving(CA.issue_cert("127.0.0.1"))
    async with (
        component(tls=trusting) as client,
        peer(answers(), certificate) as server,
        http_guest(client) as guest,
    ):
        for _ in range(2):
            handle = await guest.fetch(request(server.authority, scheme=HTTPS))
            assert await guest.text(handle) == b"ok"
    assert server.connections == 1


async def test_http_1_is_agreed_on(trusting: ssl.SSLContext) -> None:
    certificate = serving(CA.issue_cert("127.0.0.1"))
    certificate.set_alpn_protocols(["h2", "http/1.1"])

    async def script(wire: Wire) -> None:
        await wire.head()
        protocol = wire.tls.selected_alpn_protocol()
        await wire.send(f"HTTP/1.1 200 OK\r\nx-protocol: {protocol}\r\n\r\n".encode())

    async with (
        component(tls=trusting) as client,
        peer(script, certificate) as server,
        http_guest(client) as guest,
    ):
        handle = await guest.fetch(request(server.authority, scheme=HTTPS))
        assert await guest.headers(handle) == [("x-protocol", b"http/1.1")]


async def test_content_until_the_end_is_whole_only_if_tls_says_so(trusting: ssl.SSLContext) -> None:
    """RFC 9112 section 9.8: whoever can cut the connection must not be able to shorten a response."""
    read = asyncio.Event()

    async def script(wire: Wire) -> None:
        target = (await wire.head()).split()[1]
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\ncontent")
        await read.wait()
        wire.abort() if target == b"/cut" else wire.close()

    certificate = serving(CA.issue_cert("127.0.0.1"))
    async with (
        component(tls=trusting) as client,
        peer(script, certificate) as server,
        http_guest(client) as guest,
    ):
        ends = []
        for path in ("/closed", "/cut"):
            read.clear()
            made = request(server.authority, path, scheme=HTTPS)
            _, stream = await guest.consume(await guest.fetch(made))
            assert await guest.read(stream) == Ok(b"content")
            read.set()
            ends.append((await guest.read(stream)).value)
        assert ends[0] == Variant("closed")
        assert await guest.code(ends[1]) == Variant("connection-terminated")


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (trustme.CA().issue_cert("127.0.0.1"), "unknown authority"),
        (CA.issue_cert("127.0.0.2"), "another address"),
        (CA.issue_cert("name.test"), "a name instead of the address"),
        (
            CA.issue_cert(
                "127.0.0.1",
                not_before=datetime(2000, 1, 1, tzinfo=UTC),
                not_after=datetime(2001, 1, 1, tzinfo=UTC),
            ),
            "expired",
        ),
    ],
)
async def test_a_certificate_that_is_not_trusted(
    trusting: ssl.SSLContext, certificate: trustme.LeafCert, reason: str
) -> None:
    async with (
        component(tls=trusting) as client,
        peer(answers(), serving(certificate)) as server,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request(server.authority, scheme=HTTPS))
        assert code == Variant("TLS-certificate-error"), reason


async def test_the_system_does_not_trust_everyone() -> None:
    certificate = serving(CA.issue_cert("127.0.0.1"))
    async with (
        component() as client,
        peer(answers(), certificate) as server,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request(server.authority, scheme=HTTPS))
        assert code == Variant("TLS-certificate-error")


async def test_a_server_that_speaks_no_tls(trusting: ssl.SSLContext) -> None:
    async def script(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await wire.hung_up()

    async with (
        component(tls=trusting) as client,
        peer(script) as server,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request(server.authority, scheme=HTTPS))
        assert code == Variant("TLS-protocol-error")


async def test_a_server_that_hangs_up_in_the_handshake(trusting: ssl.SSLContext) -> None:
    async def script(wire: Wire) -> None:
        await wire.read(1)

    async with (
        component(tls=trusting) as client,
        peer(script) as server,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request(server.authority, scheme=HTTPS))
        assert code == Variant("connection-terminated")


async def alert_of(trusting: ssl.SSLContext, serving: ssl.SSLContext) -> Variant:
    """The `error-code` that a component sees of a server that refuses the handshake.

    The server is a thread with a blocking socket: asyncio's closes the connection before its alert is sent.
    """

    def serve() -> None:
        accepted, _ = listening.accept()
        accepted.settimeout(PATIENCE)
        with serving.wrap_socket(
            accepted, server_side=True, do_handshake_on_connect=False
        ) as connection:
            with pytest.raises(ssl.SSLError):
                connection.do_handshake()
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # closed unread, it would be reset
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        async with component(tls=trusting) as client, http_guest(client) as guest:
            server = asyncio.create_task(asyncio.to_thread(serve))
            port = listening.getsockname()[1]
            code = await guest.failure(request(f"127.0.0.1:{port}", scheme=HTTPS))
            await server
    return code


async def test_a_server_that_shares_no_version() -> None:
    """The alert comes in the handshake."""
    trusting = ssl.create_default_context()
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    certificate = serving(CA.issue_cert("127.0.0.1"))
    certificate.minimum_version = ssl.TLSVersion.TLSv1_3
    alert = {"alert-id": 70, "alert-message": "protocol_version"}
    assert await alert_of(trusting, certificate) == Variant("TLS-alert-received", alert)


async def test_a_server_that_wants_to_know_its_client(trusting: ssl.SSLContext) -> None:
    """With TLS 1.3, the client is done with the handshake when the alert comes."""
    certificate = serving(CA.issue_cert("127.0.0.1"))
    certificate.verify_mode = ssl.CERT_REQUIRED
    alert = {"alert-id": 116, "alert-message": "certificate_required"}
    assert await alert_of(trusting, certificate) == Variant("TLS-alert-received", alert)


async def test_a_host_that_no_certificate_can_have(trusting: ssl.SSLContext) -> None:
    name = f"{'a' * 64}.test"
    async with (
        component(["https://*"], tls=trusting) as client,
        http_guest(client) as guest,
    ):
        code = await guest.failure(request(name, scheme=HTTPS))
        assert code == Variant("DNS-error", {"rcode": "invalid dns name", "info-code": None})


def test_what_the_system_trusts_is_read_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "system.pem")
    CA.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", path)
    before = tls_context()
    assert tls_context() is before
    trustme.CA().cert_pem.write_to_path(path, append=True)
    after = tls_context()
    assert after is not before
    assert len(after.get_ca_certs()) == len(before.get_ca_certs()) + 1


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nonsense")
    with pytest.raises(OSError, match=r"ca\.pem: no certificates in PEM form"):
        tls_context([path])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tls_context([tmp_path / "ca.pem"])
