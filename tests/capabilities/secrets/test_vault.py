"""Secrets in Vault: how one is let in, and what is seen of a server that is down, held, or lets nobody in."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.bindings.context import Caller
from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.operations import Operation, Operations
from gateway.capabilities.secrets import OPENERS, split_name, vault_renewal
from gateway.capabilities.secrets.vault import MAX_ANSWER, Vault
from gateway.config.backend_url import BackendURL
from tests.capabilities.kept import many
from tests.capabilities.servers import OpenBao, OpenBaoByTLS, until_there
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio

CALLER = Caller("shop", "1")
REVEAL = Operation("wasmcloud:secrets/reveal", "reveal")
HIDDEN = "hunter2"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBao]:
    """One that was not started, and that the test may do anything to."""
    monkeypatch.setenv("VAULT_TOKEN", OpenBao.root)
    server = OpenBao(tmp_path)
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Vault]:
    vault = Vault(BackendURL.parse(url))
    try:
        yield vault
    finally:
        await vault.aclose()


def path_of(url: str) -> str:
    """What a secret is called in its mount."""
    return url.rpartition("/")[2]


async def refused(vault: Vault, name: str = "key") -> str:
    """Why a secret cannot be had: of an operation the log says it, and the guest is told nothing."""
    with pytest.raises(BackendUnusable) as unusable:
        vault.check(name)
    with pytest.raises(BackendError) as failed:
        await vault.read(name)
    assert failed.value.reason == str(unusable.value)
    assert failed.value.message == "the secret cannot be read any more"
    return str(unusable.value)


# --- what is found -----------------------------------------------------------------------------------------


async def test_values_that_are_no_text_are_json(openbao: OpenBao, vault_url: str) -> None:
    openbao.put(path_of(vault_url), port=5432, hosts=["a", "ä"], none=None)
    async with opened(vault_url) as vault:
        assert await vault.read("port") == b"5432"
        assert await vault.read("hosts") == b'["a", "\\u00e4"]'
        with pytest.raises(BackendUnusable, match='has no field "none"'):
            vault.check("none")


async def test_mounts_and_paths_may_have_slashes(openbao: OpenBao, vault_url: str) -> None:
    mount = f"kv/{path_of(vault_url)}"
    openbao.ask("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
    openbao.ask("POST", f"{mount}/data/a/b c", {"data": {"key": "1"}})
    url = f"vault+http://{openbao.address}/{mount.replace('/', '%2F')}/a/b%20c"
    async with opened(url) as vault:
        assert await vault.read("key") == b"1"


@pytest.mark.parametrize(
    ("url", "place", "name"),
    [
        ("vault+http://h/m/p?role=a#one%20field", "vault+http://h/m/p?role=a", "one field"),
        ("vault+http://h/m/p?role=a", "vault+http://h/m/p?role=a", "key"),
        ("file:/folder/#1", "file:/folder/#1", "key"),
    ],
)
def test_a_url_may_say_what_a_secret_is_called_there(url: str, place: str, name: str) -> None:
    assert split_name(BackendURL.parse(url), "key") == (BackendURL.parse(place), name)


async def test_namespaces(openbao: OpenBao, vault_url: str) -> None:
    name = path_of(vault_url)
    openbao.ask("POST", f"sys/namespaces/{name}")
    openbao.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, name)
    openbao.put(name, namespace=name, key="inner")
    async with opened(f"{vault_url}?namespace={name}") as vault:
        assert await vault.read("key") == b"inner"
    async with opened(vault_url) as vault:
        assert "nothing is at" in await refused(vault)


async def test_what_cannot_be_had_is_told_apart_in_the_log(
    openbao: OpenBao, vault_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(vault_url)
    openbao.put(path, other=HIDDEN)
    openbao.put(f"{path}/gone", key=HIDDEN)
    openbao.ask("DELETE", f"secret/data/{path}/gone")
    nothing = "nothing is at secret/data/{}, or no KV 2 engine is mounted there"
    for url, reason in {
        vault_url: f'secret/data/{path} has no field "key"',
        f"{vault_url}/missing": nothing.format(f"{path}/missing"),
        f"{vault_url}/gone": nothing.format(f"{path}/gone"),
        f"{vault_url}?role=x&jwt=env:VAULT_TOKEN": "auth/kubernetes/login does not let us in (403)",
    }.items():
        async with opened(url) as vault:
            assert await refused(vault) == reason
    monkeypatch.setenv("VAULT_TOKEN", "no-token")
    denied = f"secret/data/{path} may not be read with this token, or that is not valid (403)"
    async with opened(vault_url) as vault:
        assert await refused(vault) == denied
        await until_there(vault.availability, False)
        assert vault.availability.trouble == denied
        monkeypatch.setenv("VAULT_TOKEN", openbao.root)
        await until_there(vault.availability, True)
        assert await vault.read("other") == HIDDEN.encode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{]", "something else than JSON"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "something else than JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "is no secret of a KV 2 engine"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (MAX_ANSWER + 1),
            f"has more than {MAX_ANSWER} bytes",
        ),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "answers 503, sealed or not ready"),
        (b"HTTP/1.1 307 No\r\ncontent-length: 0\r\nlocation: /\r\n\r\n", "answers 307"),
        (b"SSH-2.0\r\n\r\n", "illegal status line"),
        (b"", "disconnected without sending a response"),
    ],
)
async def test_whatever_a_server_answers_is_an_error(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "token")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    talker = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = talker.sockets[0].getsockname()[1]
    async with talker, opened(f"vault+http://127.0.0.1:{port}/secret/shop") as vault:
        with pytest.raises(BackendError) as failed:
            await vault.read("key")
    assert reason in (failed.value.reason or "")


# --- how one is let in -------------------------------------------------------------------------------------


def allow(server: OpenBao, path: str) -> None:
    """Have a policy "shop" that lets one secret be read."""
    policy = f'path "secret/data/{path}" {{ capabilities = ["read"] }}'
    server.ask("POST", "sys/policies/acl/shop", {"policy": policy})


def enable(server: OpenBao, method: str) -> str:
    """Mount an auth method, at a place of its own."""
    mount = f"{method}-{time.monotonic_ns()}"
    server.ask("POST", f"sys/auth/{mount}", {"type": method})
    return mount


async def test_a_token_in_a_file_may_be_replaced(
    openbao: OpenBao, vault_url: str, tmp_path: Path
) -> None:
    openbao.put(path_of(vault_url), key="1")
    allow(openbao, path_of(vault_url))
    file = tmp_path / "token"

    def renew() -> None:
        made = openbao.ask("POST", "auth/token/create", {"policies": ["shop"], "ttl": "1h"})
        file.write_text(made["auth"]["client_token"] + "\n")

    renew()
    async with opened(f"{vault_url}?token=file:{file}") as vault:
        assert await vault.read("key") == b"1"
        openbao.ask("POST", "auth/token/revoke", {"token": file.read_text().strip()})
        with pytest.raises(BackendError, match="cannot be read any more"):
            await vault.read("key")
        renew()
        await until_there(vault.availability, True)
        assert await vault.read("key") == b"1"
        for text in ("", "two\nlines", "schlüssel"):
            file.write_text(text)
            with pytest.raises(BackendError) as failed:
                await vault.read("key")
            reason = "what is read for token is not one line of printable characters"
            assert failed.value.reason == reason
            file.write_text(openbao.root)
            await until_there(vault.availability, True)


async def logging_in(openbao: OpenBao, method: str, folder: Path) -> tuple[str, str]:
    """Where a method is mounted, and the options of a URL that logs in by it with the policy "shop"."""
    mount = enable(openbao, method)
    role = {"token_policies": ["shop"], "token_ttl": "1h"}
    proof = folder / "proof"
    if method == "approle":
        openbao.ask("POST", f"auth/{mount}/role/shop", role)
        role_id = openbao.ask("GET", f"auth/{mount}/role/shop/role-id")["data"]["role_id"]
        made = openbao.ask("POST", f"auth/{mount}/role/shop/secret-id")["data"]
        proof.write_text(made["secret_id"])
        return mount, f"role_id={role_id}&secret_id=file:{proof}&auth={mount}"
    key = generate_private_key(SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    config = {"jwt_validation_pubkeys": [public.decode()]}
    openbao.ask("POST", f"auth/{mount}/config", config)
    claims = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]}
    openbao.ask("POST", f"auth/{mount}/role/shop", {**role, **claims})
    now = int(time.time())
    token = {"sub": "shop", "aud": "vault", "iat": now, "nbf": now, "exp": now + 3600}
    proof.write_text(jwt.encode(token, key, "ES256"))
    return mount, f"role=shop&jwt=file:{proof}&auth={mount}"


def leases(openbao: OpenBao) -> int:
    """How many tokens there are."""
    return len(openbao.ask("LIST", "auth/token/accessors")["data"]["keys"])


@pytest.mark.parametrize("method", ["approle", "jwt"])
async def test_who_logs_in_does_so_once_until_the_token_is_not_valid(
    openbao: OpenBao, vault_url: str, tmp_path: Path, method: str
) -> None:
    path = path_of(vault_url)
    openbao.put(path, key="1")
    allow(openbao, path)
    mount, options = await logging_in(openbao, method, tmp_path)
    async with opened(f"{vault_url}?{options}") as vault:
        before = leases(openbao)
        vault.check("key")
        reads = [vault.read("key") for _ in range(20)]
        assert await asyncio.gather(*reads) == [b"1"] * 20
        assert leases(openbao) == before + 1
        # Each token of it is revoked, and asked for anew by one of those who are refused.
        openbao.ask("POST", f"sys/leases/revoke-prefix/auth/{mount}/login")
        reads = [vault.read("key") for _ in range(20)]
        assert await asyncio.gather(*reads) == [b"1"] * 20
        assert leases(openbao) == before + 1
        # One that is good, but not for this, is not replaced by others of its kind.
        allow(openbao, "other")
        for _ in range(20):
            with pytest.raises(BackendError):
                await vault.read("key")
        await until_there(vault.availability, False)
        assert "403" in (vault.availability.trouble or "")
        assert leases(openbao) <= before + 2
        allow(openbao, path)
        await until_there(vault.availability, True)
        assert await vault.read("key") == b"1"


# --- how one stays in --------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are renewed after a second of their hour, and looked at as often."""
    monkeypatch.setattr(vault_renewal, "RENEWED", 1 / 3600)
    monkeypatch.setattr(vault_renewal, "LOOK", 0.1)


class Renewed:
    """A token of the operator's in a file, and what the server knows of it."""

    def __init__(self, server: OpenBao, file: Path) -> None:
        self._server = server
        self._file = file

    def replace(self, **options: object) -> str:
        """Put another in the file."""
        asked = {"policies": ["shop"], "ttl": "1h", **options}
        made = self._server.ask("POST", "auth/token/create", asked)
        token: str = made["auth"]["client_token"]
        self._file.write_text(token + "\n")
        return token

    def at(self, token: str) -> int | None:
        """When one was renewed last; None for never."""
        found = self._server.ask("POST", "auth/token/lookup", {"token": token})
        last: int | None = found["data"].get("last_renewal_time")
        return last


@pytest.fixture
def renewed(openbao: OpenBao, vault_url: str, tmp_path: Path) -> Renewed:
    openbao.put(path_of(vault_url), key="1")
    allow(openbao, path_of(vault_url))
    return Renewed(openbao, tmp_path / "token")


async def until_said(vault: Vault, *parts: str) -> None:
    """Wait until the operator is told something of a token; without parts of it, until that is over."""

    def said() -> bool:
        remark = vault.availability.remark
        return bool(parts) == (remark is not None) and all(part in str(remark) for part in parts)

    await until(said)


@pytest.mark.usefixtures("hasty")
async def test_a_token_is_renewed_though_nobody_reads_anything(
    vault_url: str, tmp_path: Path, renewed: Renewed
) -> None:
    first = renewed.replace()
    async with opened(f"{vault_url}?token=file:{tmp_path}/token") as vault:
        vault.availability.begin()  # as the gateway does
        await until(lambda: renewed.at(first))
        before = renewed.at(first) or 0
        await until(lambda: (renewed.at(first) or 0) > before)
        second = renewed.replace()
        await until(lambda: renewed.at(second))
        assert vault.availability.remark is None


@pytest.mark.usefixtures("hasty")
async def test_a_token_that_cannot_be_renewed_is_told_until_it_is_replaced(
    openbao: OpenBao, vault_url: str, tmp_path: Path, renewed: Renewed
) -> None:
    refused = renewed.replace()
    async with opened(f"{vault_url}?token=file:{tmp_path}/token") as vault:
        assert await vault.read("key") == b"1"
        await until(lambda: renewed.at(refused))
        openbao.ask("POST", "auth/token/revoke", {"token": refused})
        await until_said(vault, "the token is not renewed: ", "(403)")
        renewed.replace(renewable=False)
        await until_said(vault, "it is not renewable")
        assert await vault.read("key") == b"1"
        renewed.replace(explicit_max_ttl="1h")
        await until_said(vault, "it has lived for as long as it may")
        renewed.replace(no_default_policy=True)
        await until_said(vault, "auth/token/lookup-self is refused (403)")
        assert await vault.read("key") == b"1"
        last = renewed.replace()
        await until(lambda: renewed.at(last))
        await until_said(vault)


@pytest.mark.usefixtures("hasty")
async def test_a_token_that_was_logged_in_for_is_renewed_too(
    openbao: OpenBao, vault_url: str, tmp_path: Path, renewed: Renewed
) -> None:
    mount, options = await logging_in(openbao, "approle", tmp_path)
    async with opened(f"{vault_url}?{options}") as vault:
        vault.availability.begin()
        assert await vault.read("key") == b"1"
        first = vault._place.login.latest
        await until(lambda: renewed.at(first))
        # Of one that is not valid any more nothing is told: the next who reads logs in.
        openbao.ask("POST", f"sys/leases/revoke-prefix/auth/{mount}/login")
        assert await vault.read("key") == b"1"
        second = vault._place.login.latest
        assert second != first
        await until(lambda: renewed.at(second))
        assert vault.availability.remark is None


async def test_a_server_that_is_away_when_a_token_is_renewed_is_looked_after(
    server: OpenBao,
) -> None:
    server.start()
    server.put(key="1")
    async with opened(server.url) as vault:
        server.kill()
        vault.availability.begin()
        await until_there(vault.availability, False)
        assert "the token is not renewed" in (vault.availability.remark or "")
        server.start()
        server.put(key="1")
        await until_there(vault.availability, True)
        await until_said(vault)


# --- trouble -----------------------------------------------------------------------------------------------


async def test_a_server_may_come_later(server: OpenBao) -> None:
    async with opened(server.url) as vault:
        with structlog.testing.capture_logs() as logged:
            vault.check("key")
            vault.check("other")  # which does not wait for a server that is known to be away
        assert [line["event"] for line in logged] == ["secret not checked"]
        assert vault.availability.trouble
        with pytest.raises(BackendError, match="the store is not available"):
            await vault.read("key")
        server.start()
        server.put(key="1")
        vault.availability.doubt()  # as the gateway does when it begins to serve
        await until_there(vault.availability, True)
        assert await vault.read("key") == b"1"


async def test_a_server_that_was_killed_is_found_again(server: OpenBao) -> None:
    server.start()
    server.put(key="1")
    ended = asyncio.Event()
    done = 0
    failures = set[str]()

    async def work() -> None:
        nonlocal done
        while not ended.is_set():
            try:
                assert await vault.read("key") == b"1"
                done += 1
            except BackendError as error:
                failures.add(error.message)
                await asyncio.sleep(0)

    async with opened(server.url) as vault:
        working = [asyncio.create_task(work()) for _ in range(40)]
        await until(lambda: done > 100)
        server.kill()
        await until_there(vault.availability, False)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.put, key="1")
        await until_there(vault.availability, True)
        before = done
        await until(lambda: done > before + 100)
        ended.set()
        await asyncio.gather(*working)
        # While it had started and had no secret yet, that was missing.
        assert failures <= {"the store is not available", "the secret cannot be read any more"}


async def test_a_server_that_is_held_holds_nobody(server: OpenBao) -> None:
    server.start()
    server.put(key="1")
    async with opened(server.url) as vault:
        operations = Operations("shop", vault.kind, timeout=0.5)
        assert await vault.read("key") == b"1"
        server.hold()
        held = [
            asyncio.create_task(operations.perform(REVEAL, CALLER, vault.read, "key"))
            for _ in range(40)
        ]
        for outcome in await asyncio.gather(*held, return_exceptions=True):
            assert isinstance(outcome, BackendError)
            assert outcome.message == "the store did not answer in time"
        await until_there(vault.availability, False)
        with pytest.raises(BackendError, match="the store is not available"):
            await vault.read("key")
        server.let_go()
        await until_there(vault.availability, True)
        assert await vault.read("key") == b"1"


async def test_by_tls_the_server_is_who_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", OpenBao.root)
    with OpenBaoByTLS(tmp_path) as server:
        async with opened(f"{server.url}?ca_file={server.authorities}") as vault:
            assert "nothing is at secret/data/shop" in await refused(vault)
        async with opened(server.url) as vault:
            vault.check("key")
            assert "certificate verify failed" in (vault.availability.trouble or "")


async def test_nothing_is_left_of_operations(openbao: OpenBao, vault_url: str) -> None:
    """Those that are done, of secrets that are missing, timed out, or of guests that left."""
    chance = random.Random(1)  # noqa: S311 - of a test
    openbao.put(path_of(vault_url), key="1")
    async with opened(vault_url) as vault:
        operations = Operations("shop", vault.kind, timeout=PATIENCE)
        hasty = Operations("shop", vault.kind, timeout=0.001)

        async def one() -> None:
            match chance.randrange(4):
                case 0:
                    await operations.perform(REVEAL, CALLER, vault.read, "key")
                case 1:
                    await operations.perform(REVEAL, CALLER, vault.read, "missing")
                case 2:
                    await hasty.perform(REVEAL, CALLER, vault.read, "key")
                case _:
                    leaving = asyncio.create_task(vault.read("key"))
                    for _ in range(chance.randrange(20)):
                        await asyncio.sleep(0)
                    leaving.cancel()
                    await leaving

        await many(one, 4)
        await until(lambda: vault.availability.trouble is None)
        files, tasks = open_files(), len(asyncio.all_tasks())
        await many(one, 16)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert open_files() <= max(files, 24 + tasks)
        await until_there(vault.availability, True)
        assert await vault.read("key") == b"1"
    assert open_files() < files


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- what is told ------------------------------------------------------------------------------------------


async def test_neither_secret_nor_token_is_told(
    openbao: OpenBao, vault_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    openbao.put(path_of(vault_url), key=HIDDEN)
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        async with opened(vault_url) as vault:
            vault.check("key")
            await vault.read("key")
            with pytest.raises(BackendError) as failed:
                await vault.read("missing")
            told = [repr(vault), repr(vars(vault)), repr(failed.value), repr(logged), caplog.text]
            told.append(repr(vault._place))
    assert not [text for text in told if HIDDEN in text or openbao.root in text]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        *(
            (url, "must name a server, a mount and a secret, such as")
            for url in (
                "vault+http:",
                "vault+http:secret/shop",
                "vault+http:///secret/shop",
                "vault+http://host",
                "vault+http://host/secret",
                "vault+http://host/secret/",
                "vault+http://host/secret/../shop",
                "vault+http://host/secret/%2E%2E",
                "vault+http://host/secret%2F/shop",
                "vault+http://host:0x/secret/shop",
                "vault+http://a..b/secret/shop",
            )
        ),
        ("vault+http://hunter2@host/secret/shop", "must not say who is let in"),
        ("vault+http://host/secret/shop?token=hunter2", "has no place in a URL"),
        ("vault+http://host/secret/shop?token=file:hunter2", "has no place in a URL"),
        ("vault+http://host/secret/shop?role_id=1&secret_id=hunter2", "has no place in a URL"),
        ("vault+http://host/secret/shop?role_id=1", 'such as "secret_id=env:VARIABLE"'),
        ("vault+http://host/secret/shop?hunter2=1", "has options that are not known"),
        ("vault+http://host/secret/shop?auth=ldap", "has options that are not known"),
        ("vault+http://host/secret/shop?role=1&token=env:VAULT_TOKEN", "/var/run/secrets/"),
        ("vault+http://host/secret/shop?role_id=1&secret_id=env:HOME&role=1", "not known"),
        ("vault+http://host/secret/shop?namespace=a%0Ab", "has options that are not known"),
        ("vault+https://host/secret/shop?ca_file=/none", "has no certificates in PEM form"),
        ("vault+http://host/secret/shop?token=env:NOT_SET_HERE", "NOT_SET_HERE is not set"),
        ("vault+http://host/secret/shop?role=a", "/var/run/secrets/kubernetes.io/"),
    ],
)
def test_urls_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, url: str, reason: str) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hunter2")
    with pytest.raises(BackendUnusable) as unusable:
        Vault(BackendURL.parse(url))
    assert reason in str(unusable.value)
    assert "hunter2" not in str(unusable.value)


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("vault", "vault_url"):
        monkeypatch.delitem(sys.modules, f"gateway.capabilities.secrets.{module}")
    monkeypatch.setitem(sys.modules, "httpcore", None)
    with pytest.raises(BackendUnusable, match=r"pip install 'component-gateway\[vault\]'"):
        OPENERS["vault+http"](BackendURL.parse("vault+http://host/secret/shop"))
