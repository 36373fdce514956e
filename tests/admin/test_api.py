"""The admin API over a socket."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.admin.api import MAX_CONTENT
from gateway.config import Route
from tests import ask
from tests.admin.issuer import token
from tests.admin.site import MemoryGateway, Stage, admin_api
from tests.full_disk import full_disk
from tests.harness import RawConnection, exchange
from tests.production.gateways import until

EVERYTHING = [
    ("GET", "/components"),
    ("GET", "/components/hello"),
    ("PUT", "/components/hello"),
    ("DELETE", "/components/hello"),
    ("POST", "/reload"),
    ("POST", "/drain"),
    ("GET", "/status"),
]


def put(client: httpx.Client, name: str = "hello", **keys: Any) -> httpx.Response:
    return client.put(f"/components/{name}", json={"source": "app.wasm", **keys})


def put_head(length: int) -> bytes:
    """The head of a request that loads a component."""
    lines = [
        "PUT /admin/v1/components/hello HTTP/1.1",
        "Host: x",
        f"Content-Length: {length}",
        "Content-Type: application/json",
        f"Authorization: Bearer {token()}",
    ]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def errors(response: httpx.Response) -> dict[str, str]:
    return {error.get("pointer"): error["detail"] for error in response.json()["errors"]}


class TestComponents:
    def test_load_show_replace_unload(self, client: httpx.Client, folder: Path) -> None:
        assert client.get("/components").json() == {"components": []}

        response = put(client, routes=[{"path": "/api/"}])
        assert response.status_code == 201
        content = (folder / "app.wasm").read_bytes()
        assert response.json() == {
            "name": "hello",
            "digest": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "source": str(folder / "app.wasm"),
            "routes": [{"host": None, "match": "prefix", "path": "/api", "strip_prefix": False}],
            "methods": ["greet"],
            "exports": ["wasi:http/incoming-handler@0.2.0", "greet"],
            "in_flight": 1,
            "queued": 0,
            "invocations": {"ok": 3, "trap": 1},
            "loaded_at": "2026-01-02T03:04:05Z",
            "generation": 2,
            "links": [],
            "issuer": None,
            "subject": None,
        }
        assert client.get("/components/hello").json() == response.json()
        assert client.get("/components").json() == {"components": [response.json()]}

        again = put(client, routes=[{"path": "/api/"}])
        assert again.status_code == 200
        assert again.json() == {**response.json(), "generation": 3}

        assert client.delete("/components/hello").status_code == 204
        assert client.delete("/components/hello").status_code == 404
        assert client.get("/components/hello").status_code == 404

    def test_every_key_arrives(
        self, client: httpx.Client, site: MemoryGateway, folder: Path
    ) -> None:
        response = put(
            client,
            routes=[{"host": "Example.COM", "path": "/%7euser", "match": "exact"}],
            rpc=False,
            environment={"TOKEN": "hunter2"},
            arguments=["--verbose"],
            mounts=[{"host": "data", "guest": "/data", "writable": True}],
            allowed_outbound_hosts=["https://api.example.com"],
            max_execution_time="1m30s",
            max_memory="128MiB",
            max_body="unlimited",
            max_concurrency=7,
            log_level="error",
        )
        assert response.status_code == 201
        config = site.configs["hello"]
        assert config.routes == (Route(host="example.com", path="/~user", match="exact"),)
        assert config.environment == {"TOKEN": "hunter2"}
        assert config.mounts[0].host == folder / "data"
        assert (config.max_execution_time, config.max_memory, config.max_body) == (
            90.0,
            2**27,
            None,
        )
        assert (config.rpc, config.max_concurrency, config.log_level) == (False, 7, "error")

    def test_secrets_are_not_told(self, client: httpx.Client) -> None:
        with capture_logs() as logs:
            response = put(client, environment={"TOKEN": "hunter2"})
            shown = [response, client.get("/components"), client.get("/components/hello")]
            refused = put(client, environment={"TOKEN": "hunter2\0", "A=hunter2": "x", "B": 7})
        assert refused.status_code == 422
        assert set(errors(refused)) == {"/environment/TOKEN", "/environment", "/environment/B"}
        for told in [*(response.text for response in shown), refused.text, str(logs)]:
            assert "hunter2" not in told

    def test_every_problem_is_told(self, client: httpx.Client, site: MemoryGateway) -> None:
        response = put(
            client,
            name="Hello",
            source="missing.wasm",
            routes=[{}, {"path": "api", "hots": "x"}],
            environment={"A~B/C": 1},
            mounts="data",
            max_memory="1B",
            max_memry=1,
        )
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        document = response.json()
        assert document["type"] == "urn:component-gateway:problem:invalid-component"
        assert [error for error in document["errors"] if "parameter" in error] == [
            {
                "parameter": "name",
                "detail": "must be lower-case letters, digits and inner hyphens, at most 63, such as "
                '"image-resizer"',
            }
        ]
        found = errors(response)
        del found[None]  # type: ignore[arg-type]
        assert found.pop("/source").startswith("No such file or directory: ")
        assert found == {
            "/routes/1/path": 'must start with "/"',
            "/routes/1/hots": 'is unknown; did you mean "host"?',
            "/environment/A~0B~1C": "must be a string",
            "/mounts": "must be an array",
            "/max_memory": "must be between 64KiB and 4GiB, not 1B",
            "/max_memry": 'is unknown; did you mean "max_memory"?',
        }
        assert site.configs == {}

    def test_integers_may_be_written_with_a_fraction_of_zero(
        self, client: httpx.Client, site: MemoryGateway
    ) -> None:
        assert put(client, max_concurrency=7.0, max_memory=1e6).status_code == 201
        config = site.configs["hello"]
        assert (config.max_concurrency, config.max_memory) == (7, 1_000_000)
        assert errors(put(client, max_concurrency=7.5)).keys() == {"/max_concurrency"}

    def test_name_is_in_the_url(self, client: httpx.Client) -> None:
        response = client.put("/components/hello", json={"source": "app.wasm", "name": "hello"})
        assert errors(response) == {"/name": "belongs in the URL, not in the content"}

    @pytest.mark.parametrize("content", [b"null", b"[]", b'"app.wasm"', b"1"])
    def test_what_is_no_object(self, client: httpx.Client, content: bytes) -> None:
        response = client.put(
            "/components/hello", content=content, headers={"content-type": "application/json"}
        )
        assert response.status_code == 422
        assert errors(response) == {"": "must be an object"}

    def test_same_route_twice(self, client: httpx.Client) -> None:
        response = put(client, routes=[{}, {"path": "/"}])
        assert response.status_code == 422
        assert set(errors(response)) == {"/routes/1"}

    def test_route_of_another(self, client: httpx.Client, site: MemoryGateway) -> None:
        put(client, "first", routes=[{"path": "/a"}])
        response = put(client, "second", routes=[{"path": "/b"}, {"path": "/a/"}])
        assert response.status_code == 409
        assert response.json()["type"] == "urn:component-gateway:problem:route-conflict"
        assert errors(response) == {"/routes/1": 'component "first" answers */a'}
        assert list(site.configs) == ["first"]
        # Its own are no conflict, nor are those that have become free.
        assert put(client, "first", routes=[{"path": "/a"}]).status_code == 200
        client.delete("/components/first")
        assert put(client, "second", routes=[{"path": "/a"}]).status_code == 201

    def test_route_that_turns_out_to_be_of_another(self, client: httpx.Client) -> None:
        put(client, "first")
        response = put(client, "second")
        assert response.status_code == 409
        assert errors(response) == {"/routes": 'component "first" answers one of its routes'}

    def test_component_that_cannot_be_loaded(self, client: httpx.Client, folder: Path) -> None:
        put(client)
        before = client.get("/components").json()
        response = put(client, source="text.txt")
        assert response.status_code == 422
        document = response.json()
        assert document["type"] == "urn:component-gateway:problem:component-refused"
        assert document["detail"] == (
            f"{folder / 'text.txt'}: is not WebAssembly. Build a component. Nothing was changed."
        )
        assert client.get("/components").json() == before

    @pytest.mark.parametrize("name", ["Hello", "-a", "a.b", "a%2Fb", "%00", "a" * 64, "%C3%A4"])
    def test_names_that_no_component_has(self, client: httpx.Client, name: str) -> None:
        assert client.get(f"/components/{name}").status_code == 404
        assert client.delete(f"/components/{name}").status_code == 404
        assert put(client, name).status_code == 422

    def test_one_spelling_of_a_name(self, client: httpx.Client) -> None:
        put(client, "hello")
        assert client.get("/components/%68ello").json()["name"] == "hello"


class TestServer:
    def test_status(self, client: httpx.Client) -> None:
        document = client.get("/status").json()
        assert document["started_at"] == "2026-01-02T03:04:05Z"
        assert (document["draining"], document["ready"], document["reasons"]) == (False, True, [])

    def test_drain(self, client: httpx.Client) -> None:
        for _ in range(2):
            response = client.post("/drain")
            assert response.status_code == 202
            assert response.json() == client.get("/status").json()
        assert client.get("/status").json()["reasons"] == ["draining"]

    def test_reload(self, client: httpx.Client) -> None:
        before = client.get("/status").json()["generation"]
        response = client.post("/reload")
        assert response.status_code == 200
        assert response.json()["generation"] == before + 1

    def test_reload_that_fails(self, client: httpx.Client, site: MemoryGateway) -> None:
        site.broken = "must be between 0 and 65535, not 70000"
        response = client.post("/reload")
        assert response.status_code == 409
        document = response.json()
        assert document["type"] == "urn:component-gateway:problem:reload-refused"
        assert document["errors"] == [{"detail": f"gateway.toml: server.port: {site.broken}"}]

    def test_a_failure_of_the_gateway(self, client: httpx.Client, site: MemoryGateway) -> None:
        site.crash = True
        with capture_logs() as logs:
            response = client.get("/components", headers={"x-request-id": "abc"})
        assert response.status_code == 500
        assert response.json()["request_id"] == "abc"
        assert "out of order" not in response.text
        (failed,) = [record for record in logs if record["log_level"] == "error"]
        assert (failed["event"], failed["request_id"]) == ("admin request failed", "abc")


@contextmanager
def own_logs() -> Iterator[list[Any]]:
    """What the admin API logs, beside the line that each request has."""
    lines: list[Any] = []
    with capture_logs() as logs:
        yield lines
        lines += [line for line in logs if line["event"] != "request"]


class TestAccess:
    @pytest.mark.parametrize(("method", "path"), [*EVERYTHING, ("GET", "/x"), ("TRACE", "/status")])
    def test_without_a_token_everything_looks_the_same(
        self, url: str, method: str, path: str
    ) -> None:
        response = ask.request(method, url + path, headers={"x-request-id": "abc"})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="component-gateway"'
        assert response.json() == {
            "type": "urn:component-gateway:problem:unauthorized",
            "title": "A token is needed",
            "status": 401,
            "detail": "Send a valid token in the header field Authorization: Bearer. The gateway's log says what "
            "is wrong.",
            "request_id": "abc",
        }

    @pytest.mark.parametrize(
        ("credentials", "reason"),
        [
            (f"Bearer {token(exp=1)}", "expired"),
            (f"Bearer {token(aud='elsewhere')}", "udience"),
            (f"Bearer {token('RS256')}", "RS256"),
            ("Bearer AAAA", "segments"),
            ("Bearer not-a-token", "base64url"),
            ("Basic YTpi", "no bearer token"),
            (f"Bearer {'a' * 9000}", "bytes"),
        ],
    )
    def test_a_bad_token_is_told_nothing(self, url: str, credentials: str, reason: str) -> None:
        with own_logs() as logs:
            response = ask.get(f"{url}/status", headers={"authorization": credentials})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == (
            'Bearer realm="component-gateway", error="invalid_token"'
        )
        assert response.json()["title"] == "A token is needed"
        assert reason not in response.text
        (told,) = logs
        assert told["event"] == "admin token refused"
        assert reason in told["reason"]
        assert told["request_id"] == response.json()["request_id"]
        assert credentials[7:] not in str(logs)

    def test_two_tokens_are_none(self, url: str) -> None:
        headers = [("authorization", f"Bearer {token()}")] * 2
        assert ask.get(f"{url}/status", headers=headers).status_code == 401

    @pytest.mark.parametrize(("method", "path"), EVERYTHING)
    @pytest.mark.parametrize("scope", ["components:read", "components:write", "server:drain", ""])
    def test_scopes(
        self, url: str, site: MemoryGateway, method: str, path: str, scope: str
    ) -> None:
        needed = (
            "server:drain"
            if path == "/drain"
            else "components:read"
            if method == "GET"
            else "components:write"
        )
        response = ask.request(
            method,
            url + path,
            headers={"authorization": f"Bearer {token(scope=scope)}"},
            json={"source": "app.wasm"} if method == "PUT" else None,
        )
        if scope == needed:
            assert response.status_code in {200, 201, 202, 404}
            return
        assert response.status_code == 403
        assert response.headers["www-authenticate"] == (
            f'Bearer realm="component-gateway", error="insufficient_scope", scope="{needed}"'
        )
        assert site.configs == {}
        assert not site.status().draining

    def test_who_did_what_is_logged(self, client: httpx.Client) -> None:
        with own_logs() as logs:
            put(client)
            client.delete("/components/none")
        assert [(log["method"], log["path"], log["status"]) for log in logs] == [
            ("PUT", "/admin/v1/components/hello", 201),
            ("DELETE", "/admin/v1/components/none", 404),
        ]
        assert {(log["subject"], log["token_id"]) for log in logs} == {
            ("operator@example.com", "token-1")
        }

    def test_the_document_is_for_everyone(self, url: str) -> None:
        response = ask.get(f"{url}/openapi.json")
        assert response.status_code == 200
        assert response.json()["openapi"] == "3.1.0"
        assert ask.delete(f"{url}/openapi.json").status_code == 405


class TestHttp:
    @pytest.mark.parametrize(
        ("path", "allow"),
        [
            ("/components", "GET, HEAD"),
            ("/components/hello", "DELETE, GET, HEAD, PUT"),
            ("/reload", "POST"),
            ("/drain", "POST"),
            ("/status", "GET, HEAD"),
        ],
    )
    def test_methods(self, client: httpx.Client, path: str, allow: str) -> None:
        for method in ("OPTIONS", "PATCH", "TRACE"):
            response = client.request(method, path)
            assert response.status_code == 405
            assert response.headers["allow"] == allow

    @pytest.mark.parametrize(
        "path",
        ["/", "/componentsx", "/components/", "/components/a/b", "/openapi.json/", "//status"],
    )
    def test_other_paths(self, client: httpx.Client, path: str) -> None:
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["type"] == "urn:component-gateway:problem:no-resource"

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/components", 200), ("/components/none", 404), ("/openapi.json", 200)],
    )
    def test_head(self, url: str, path: str, status: int) -> None:
        port = httpx.URL(url).port or 0
        sent = {"authorization": f"Bearer {token()}", "connection": "close", "host": "x"}
        fields = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        answer = exchange(port, f"HEAD /admin/v1{path} HTTP/1.1\r\n{fields}\r\n".encode())
        head, _, content = answer.partition(b"\r\n\r\n")
        got = ask.get(url + path, headers={"authorization": sent["authorization"]})
        assert f"HTTP/1.1 {status}".encode() in head
        assert f"content-length: {len(got.content)}".encode() in head
        assert content == b""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"content-type": "text/plain"},
            {"content-type": "application/x-www-form-urlencoded"},
            {"content-type": "application/json; charset=latin-1"},
            {"content-type": "application/jsonx"},
            {"content-type": "application/json", "content-encoding": "gzip"},
        ],
    )
    def test_content_of_another_type(
        self, client: httpx.Client, site: MemoryGateway, headers: dict[str, str]
    ) -> None:
        content = json.dumps({"source": "app.wasm"}).encode()
        response = client.put("/components/hello", content=content, headers=headers)
        assert response.status_code == 415
        assert site.configs == {}

    @pytest.mark.parametrize("parameter", ["", ";charset=utf-8", '; Charset="UTF-8"'])
    def test_content_type(self, client: httpx.Client, parameter: str) -> None:
        response = client.put(
            "/components/hello",
            content=b'{"source": "app.wasm"}',
            headers={"content-type": f"application/json{parameter}"},
        )
        assert response.status_code == 201

    @pytest.mark.parametrize(
        "content", [b"", b"{", b'{"source": "a", "source": "b"}', b"\xff", b"[" * 60000, b"NaN"]
    )
    def test_what_is_no_json(self, client: httpx.Client, content: bytes) -> None:
        response = client.put(
            "/components/hello", content=content, headers={"content-type": "application/json"}
        )
        assert response.status_code == 400
        assert response.json()["type"] == "urn:component-gateway:problem:invalid-json"

    def test_content_is_bounded(self, client: httpx.Client) -> None:
        headers = {"content-type": "application/json"}
        for size, status in ((MAX_CONTENT, 201), (MAX_CONTENT + 1, 413)):
            content = b'{"source": "app.wasm"}'.ljust(size)
            response = client.put("/components/hello", content=content, headers=headers)
            assert response.status_code == status

    def test_content_of_unknown_length_is_bounded(self, url: str, site: MemoryGateway) -> None:
        with RawConnection(httpx.URL(url).port or 0, step=4096) as connection:
            connection.send(
                b"PUT /admin/v1/components/hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Type: application/json\r\nAuthorization: Bearer " + token().encode()
                + b"\r\n\r\n10001\r\n" + b" " * 0x10001
            )  # fmt: skip
            # Not finished, and answered all the same.
            assert connection.read_until(b"\r\n").startswith(b"HTTP/1.1 413 ")
        assert site.configs == {}

    @pytest.mark.parametrize("begun", [b"", b'{"source": '])
    def test_content_that_does_not_come(
        self, url: str, site: MemoryGateway, monkeypatch: pytest.MonkeyPatch, begun: bytes
    ) -> None:
        monkeypatch.setattr("gateway.routes.request.CONTENT_TIMEOUT", 0)
        with RawConnection(httpx.URL(url).port or 0, step=4096) as connection:
            connection.send(put_head(100) + begun)
            assert connection.read_until(b"\r\n").startswith(b"HTTP/1.1 408 ")
        assert site.configs == {}

    def test_client_that_leaves(self, url: str, site: MemoryGateway) -> None:
        with own_logs() as logs:
            with RawConnection(httpx.URL(url).port or 0, step=4096) as connection:
                connection.send(put_head(100) + b"{")
                connection.finish()
                assert connection.read_to_end() == b""
            # Answered after the one before: there is one loop.
            assert ask.get(f"{url}/openapi.json").status_code == 200
        assert logs == []
        assert site.configs == {}

    def test_nothing_is_stored(self, client: httpx.Client) -> None:
        for path in ("/components", "/status", "/components/none"):
            assert client.get(path).headers["cache-control"] == "no-store"

    def test_request_id(self, client: httpx.Client) -> None:
        response = client.get("/status", headers={"x-request-id": "abc"})
        assert response.headers["x-request-id"] == "abc"
        assert client.delete("/components/none").headers["x-request-id"]


class TestSent:
    """Components that are sent, in place of descriptions."""

    WASM = b"\0asm\x0d\0\1\0"

    def send(self, client: httpx.Client, name: str, content: Any, **headers: str) -> httpx.Response:
        fields = {"content-type": "application/wasm", **headers}
        return client.put(f"/components/{name}", content=content, headers=fields)

    def test_they_are_kept_while_they_are_served(self, client: httpx.Client, folder: Path) -> None:
        response = self.send(client, "hello", self.WASM)
        assert response.status_code == 201
        digest = hashlib.sha256(self.WASM).hexdigest()
        assert Path(response.json()["source"]) == folder / "sent" / f"hello-{digest}.wasm"
        assert self.send(client, "hello", self.WASM).status_code == 200
        assert put(client).status_code == 200  # is served from elsewhere
        assert list((folder / "sent").iterdir()) == []
        assert (folder / "app.wasm").exists()

    def test_large_ones_are_taken_in_pieces(self, client: httpx.Client, folder: Path) -> None:
        content = self.WASM + bytes(5 << 20)
        pieces = iter([content[at : at + 70_000] for at in range(0, len(content), 70_000)])
        response = self.send(client, "hello", pieces)
        assert (response.status_code, response.json()["size"]) == (201, len(content))
        (file,) = (folder / "sent").iterdir()
        assert file.read_bytes() == content

    def test_one_that_is_refused_is_not_kept(self, client: httpx.Client, folder: Path) -> None:
        response = self.send(client, "hello", b"hello")
        assert response.status_code == 422
        assert response.json()["type"].endswith(":component-refused")
        assert list((folder / "sent").iterdir()) == []

    def test_they_are_bounded(
        self, client: httpx.Client, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.admin.api.MAX_SIZE", 8)
        assert self.send(client, "hello", self.WASM).status_code == 201
        for content in (self.WASM + b"\0", iter([self.WASM, b"\0"])):
            response = self.send(client, "more", content)
            assert response.status_code == 413
            assert response.json()["type"].endswith(":content-too-large")
        assert len(list((folder / "sent").iterdir())) == 1

    def test_a_wrong_name_is_told_first(self, client: httpx.Client, folder: Path) -> None:
        response = self.send(client, "Hello", self.WASM)
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["parameter"] == "name"
        assert put(client, name="Hello").json()["errors"] == [error]
        assert list((folder / "sent").iterdir()) == []

    def test_one_that_breaks_off_is_not_kept(
        self, client: httpx.Client, url: str, site: MemoryGateway, folder: Path
    ) -> None:
        head = put_head(100).replace(b"application/json", b"application/wasm")
        with RawConnection(httpx.URL(url).port or 0, step=4096) as connection:
            connection.send(head + self.WASM)
            until(lambda: list((folder / "sent").iterdir()))
        until(lambda: not list((folder / "sent").iterdir()))
        assert site.configs == {}
        assert client.get("/components").json() == {"components": []}

    def test_one_that_does_not_go_on_is_not_waited_for(
        self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.routes.request.CONTENT_TIMEOUT", 0)
        head = put_head(100).replace(b"application/json", b"application/wasm")
        with RawConnection(httpx.URL(url).port or 0, step=4096) as connection:
            connection.send(head + self.WASM)
            assert connection.read_until(b"\r\n").startswith(b"HTTP/1.1 408 ")
        assert list((folder / "sent").iterdir()) == []

    def test_one_that_another_is_served_from_stays(
        self, client: httpx.Client, folder: Path
    ) -> None:
        source = self.send(client, "hello", self.WASM).json()["source"]
        other = {"source": source, "routes": [{"path": "/other"}]}
        assert client.put("/components/other", json=other).status_code == 201
        assert client.delete("/components/hello").status_code == 204
        assert client.put("/components/other", json=other).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [{"content-encoding": "gzip"}, {"content-type": "application/wasm;v=1"}],
        ids=["encoded", "with a parameter"],
    )
    def test_other_types_are_none(self, client: httpx.Client, headers: dict[str, str]) -> None:
        assert self.send(client, "hello", self.WASM, **headers).status_code == 415

    def test_a_folder_that_is_gone_is_the_gateways_failure(
        self, client: httpx.Client, folder: Path
    ) -> None:
        (folder / "sent").rmdir()
        with capture_logs() as logs:
            response = self.send(client, "hello", self.WASM)
        assert response.status_code == 500
        assert str(folder) not in response.text
        assert [line["event"] for line in logs if line["log_level"] == "error"] == [
            "admin request failed"
        ]

    def test_without_a_folder_none_is_taken(
        self, site: MemoryGateway, stage: tuple[Stage, str], folder: Path
    ) -> None:
        server, url = stage
        server.app = admin_api(site, folder, keeps=False)
        headers = {"authorization": f"Bearer {token()}"}
        with ask.Client(base_url=url, headers=headers) as client:
            response = self.send(client, "hello", self.WASM)
        assert response.status_code == 415
        assert "components_dir" in response.json()["detail"]

    def test_a_full_disk(self, client: httpx.Client, folder: Path) -> None:
        with full_disk():
            response = self.send(client, "hello", b"\0asm" + bytes(200_000))
        assert response.status_code == 507
        assert response.json()["type"].endswith(":insufficient-storage")
        assert "Make room there" in response.json()["detail"]
        assert list((folder / "sent").iterdir()) == []
