"""What becomes of a line of the log: how it looks, how long it may be, and whose `logging` it goes to."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog

from gateway.config import ServerConfig
from gateway.observe import log
from gateway.observe.log_rendering import MAX_ITEMS, MAX_LONG_TEXT, MAX_TEXT
from gateway.observe.visible_text import visible


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leaves the standard library's logging as it was found."""
    root, *libraries = map(logging.getLogger, ("", "uvicorn.error", "httpx"))
    before, level, theirs = root.handlers[:], root.level, [each.level for each in libraries]
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)
    for library, its_level in zip(libraries, theirs, strict=True):
        library.setLevel(its_level)


def rendered(format: Any, event: str, **fields: Any) -> str:  # noqa: A002
    """What is written for a line, first by the gateway, then by a library."""
    stream = io.StringIO()
    log.configure(format, "info", stream)
    structlog.get_logger("gateway.test").error(event, **fields)
    return stream.getvalue()


@pytest.mark.parametrize(("level", "told"), [("info", False), ("debug", True)])
def test_a_request_to_a_linked_server_is_a_line_for_who_looks_for_bugs(
    level: Any, told: bool
) -> None:
    stream = io.StringIO()
    log.configure("json", level, stream)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.post("http://stock.internal/rpc/stock")
    assert ("stock.internal" in stream.getvalue()) is told


# --- how it looks --------------------------------------------------------------------------------

HOSTILE = "\x1b[2J\x1b]0;title\x07\r\nlevel=info forged\x9b31m\u2028\u202e\x7f"


def test_nothing_that_a_client_chooses_controls_a_terminal_or_begins_a_line() -> None:
    text = rendered("console", HOSTILE, path=HOSTILE, routes=[HOSTILE], of={HOSTILE: HOSTILE})
    assert text.endswith("\n")
    assert "\n" not in text[:-1]
    assert not set(text) & set(HOSTILE[:1] + "\x07\r\x9b\u2028\u202e\x7f")
    assert r"\x1b[2J" in text
    assert r"\u202e" in text


def test_nor_does_what_a_library_tells() -> None:
    stream = io.StringIO()
    log.configure("console", "info", stream)
    logging.getLogger("library").warning("of %s", HOSTILE)
    assert "\n" not in stream.getvalue()[:-1]
    assert "\x1b" not in stream.getvalue()


def test_nor_does_a_traceback() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        text = rendered("console", "failed", exc_info=True)
    assert "\x1b" not in text
    assert text.splitlines()[1] == "Traceback (most recent call last):"


def test_nor_do_the_names_of_functions_that_trapped() -> None:
    text = rendered("console", "component trapped", backtrace=[f"a!{HOSTILE}", "a!g"])
    assert text.splitlines()[1:] == [f"    at a!{visible(HOSTILE)}", "    at a!g"]
    assert "\x1b" not in text


def test_what_has_no_id_of_a_request_is_logged_for_people_too() -> None:
    assert rendered("console", "a", request_id=None).split()[1:] == ["error", "a"]


ID = "a7cde1ae89de333a9e1653042f19b27f"


@pytest.mark.parametrize(
    ("event", "fields", "line"),
    [
        (
            "request",
            {"method": "GET", "authority": "a.example", "path": "/a", "status": 200, "sent": 5}
            | {"duration_ms": 1.25, "outcome": "ok", "client": None, "trace_id": ID},
            "GET a.example/a 200, 1.2 ms, 5 bytes",
        ),
        (
            "request",
            {"method": "GET", "authority": None, "path": "/a", "status": 0, "sent": 0}
            | {"duration_ms": 30000.0, "outcome": "deadline", "trace_id": "b" * 32},
            "GET /a no response, deadline, 30000.0 ms, 0 bytes trace_id=bbbbbbbb",
        ),
        ("guest output", {"stream": "stdout", "line": "hello"}, "| hello"),
        ("guest output", {"stream": "stderr", "line": "oh no"}, "! oh no"),
        ("guest log", {"context": "db", "message": "slow", "level": 1}, "| db: slow"),
        (
            "component trapped",
            {"reason": "unreachable", "backtrace": ["a!f (0x1)", "a!g (0x2)"]},
            "component trapped: unreachable\n    at a!f (0x1)\n    at a!g (0x2)",
        ),
        (
            "component loaded",
            {"routes": ["*/", "*/a"], "source": "a b.wasm", "none": None, "digest": "c" * 64},
            "component loaded routes='*/, */a' source='a b.wasm' digest=cccccccc",
        ),
    ],
)
def test_for_people_a_line_is_what_they_would_say(
    event: str, fields: dict[str, Any], line: str
) -> None:
    text = rendered("console", event, request_id=ID, **fields)
    clock, level, rest = text.split(maxsplit=2)
    assert (len(clock), level) == (len("11:22:33.444"), "error")
    assert rest == f"a7cde1ae {line}\n"


def test_what_belongs_to_no_request_stands_beside_what_does() -> None:
    both = [rendered("console", "a", request_id=ID), rendered("console", "b")]
    assert both[0].index(" a\n") == both[1].index(" b\n")


def test_in_json_a_line_is_a_line() -> None:
    text = rendered("json", HOSTILE, path=HOSTILE)
    assert text.isascii()
    assert text.count("\n") == 1
    assert json.loads(text)["path"] == HOSTILE


def test_usual_text_is_left_alone() -> None:
    assert visible("äöü 日本 👩‍🚀 “quoted”") == "äöü 日本 👩‍🚀 “quoted”"


@pytest.mark.parametrize("format", ["json", "console"])
def test_no_value_is_longer_than_a_bound(format: str) -> None:  # noqa: A002
    long = "x" * 1_000_000
    text = rendered(
        format,
        long,
        path=long,
        reason=long,
        routes=[long] * 3,
        many=list(range(100_000)),
        table={str(number): number for number in range(100_000)},
    )
    assert MAX_LONG_TEXT < len(text) < 5 * (MAX_TEXT + 100) + MAX_LONG_TEXT + 40 * MAX_ITEMS


def test_of_what_is_cut_both_ends_are_told() -> None:
    record = json.loads(rendered("json", "cut", path="a" * MAX_TEXT + "b" * MAX_TEXT))
    assert record["path"].startswith("aaa")
    assert record["path"].endswith("bbb")
    assert f"... {MAX_TEXT} characters ..." in record["path"]


# --- in another application ----------------------------------------------------------------------


def test_lines_of_an_embedded_gateway_go_to_logging(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log.embed(ServerConfig())
    caplog.set_level("INFO")
    own = structlog.get_logger("gateway.http")
    own.info("request", path="/a\nb", status=200)
    own.debug("not wanted")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("gateway.http", "INFO")
    assert record.getMessage() == r"request path='/a\nb' status=200"
    assert record.gateway == {"event": "request", "path": "/a\nb", "status": 200}  # type: ignore[attr-defined]
    assert record.funcName == "test_lines_of_an_embedded_gateway_go_to_logging"
    assert capsys.readouterr() == ("", "")


def test_with_their_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    log.embed(ServerConfig())
    try:
        raise ValueError("why")
    except ValueError as error:
        structlog.get_logger("gateway.call").error("gateway failed", exc_info=error)
        structlog.get_logger("gateway.call").exception("again")
    assert [record.exc_info and str(record.exc_info[1]) for record in caplog.records] == ["why"] * 2


def test_a_level_that_was_asked_for_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    log.embed(ServerConfig(log_level="warning"))
    own = structlog.get_logger("gateway.http")
    own.info("not wanted")
    own.warning("wanted")
    log.embed(ServerConfig(log_level="error"))  # of another gateway of the application
    own.warning("not wanted")
    own.error("wanted")
    log.embed(ServerConfig())
    own.debug("wanted")
    assert [record.getMessage() for record in caplog.records] == ["wanted"] * 3


def test_a_component_has_a_level_of_its_own_there_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    log.embed(ServerConfig())
    quiet = log.logger("gateway.call", "error")
    quiet.warning("not wanted")
    quiet.error("wanted")
    assert [record.getMessage() for record in caplog.records] == ["wanted"]


def test_an_application_that_has_configured_structlog_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events: list[Any] = []

    def keep(_logger: object, _method: str, event: Any) -> Any:
        events.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    log.embed(ServerConfig(log_format="json"))
    structlog.get_logger("gateway.http").info("request", status=200)
    assert events == [{"event": "request", "status": 200}]

    structlog.reset_defaults()
    log.embed(ServerConfig())
    structlog.configure(processors=[keep])  # which it may do later, too
    structlog.get_logger("gateway.http").info("request", status=404)
    assert events[1:] == [{"event": "request", "status": 404}]
    assert not caplog.records
