"""Links to components of WASI 0.3: who calls them has lists for streams, and payloads for futures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.config import ComponentConfig
from gateway.host.store import STORES
from gateway.observe.events import Outcome
from tests.links.driven import Stopped, driven
from tests.links.test_refusals import API, IMPORTS, refusal, shop
from tests.wrpc.echo import ECHO, STREAMS_INTERFACE

pytestmark = pytest.mark.anyio

HANDLER: Final = f"""
  (import "{STREAMS_INTERFACE}" (instance
    (type $lists (record (field "numbers" (list u64)) (field "bytes" (list u8))))
    (export "req" (type $req (eq $lists)))
    (export "echo" (func (param "r" $req) (result (tuple (list u64) (list u8)))))))
"""

FEED: Final = """
  (import "acme:feed/api" (instance
    (export "later" (func (param "it" string) (result string)))
    (export "never" (func (result (list u8))))
    (export "plain" (func (param "it" u32) (result u32)))))
"""

FEEDING: Final = """
(component
  (type $text (future string)) (type $bytes (stream u8))
  (core module $store
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
  (core instance $store (instantiate $store))
  (core func $later (canon task.return (result $text)))
  (core func $never (canon task.return (result $bytes)))
  (core func $plain (canon task.return (result u32)))
  (core func $new (canon stream.new $bytes))
  (core module $module
    (import "" "later" (func $later (param i32)))
    (import "" "never" (func $never (param i32)))
    (import "" "plain" (func $plain (param i32)))
    (import "" "new" (func $new (result i64)))
    (func (export "later") (param i32) (result i32) (call $later (local.get 0)) (i32.const 0))
    (func (export "never") (result i32) (call $never (i32.wrap_i64 (call $new))) (i32.const 0))
    (func (export "plain") (param i32) (result i32) (call $plain (local.get 0)) (i32.const 0))
    (func (export "go-on") (param i32 i32 i32) (result i32) unreachable))
  (core instance $core (instantiate $module (with "" (instance
    (export "later" (func $later)) (export "never" (func $never)) (export "plain" (func $plain))
    (export "new" (func $new))))))
  (func $f (async) (param "it" $text) (result $text)
    (canon lift (core func $core "later") async (callback (core func $core "go-on"))))
  (func $g (async) (result $bytes)
    (canon lift (core func $core "never") async (callback (core func $core "go-on"))))
  (func $h (async) (param "it" u32) (result u32)
    (canon lift (core func $core "plain") async (callback (core func $core "go-on"))))
  (instance $api (export "later" (func $f)) (export "never" (func $g)) (export "plain" (func $h)))
  (export "acme:feed/api" (instance $api)))
""".replace("(async)", "async")


_OF_TASKS: Final = "(core func (canon waitable-set.new)) (core module"


def component(folder: Path, name: str, text: str, **keys: object) -> ComponentConfig:
    (source := folder / f"{name}.wat").write_text(text)
    return ComponentConfig.model_validate({"name": name, "source": source, **keys})


async def test_streams_cross_as_lists(tmp_path: Path) -> None:
    echo = component(tmp_path, "echo", ECHO)
    links = [{"import": STREAMS_INTERFACE, "component": "echo"}]
    async with driven(tmp_path, HANDLER, echo, links=links) as (guest, gateway):
        for numbers, data in (([], b""), ([1, 2**64 - 1], b"abc"), ([7] * 2000, bytes(5000))):
            given = {"numbers": numbers, "bytes": data}
            assert await guest.call("handler#echo", given) == (numbers, data)
        await gateway.ended(3)
        assert gateway.outcomes == [Outcome.OK] * 3
    assert not STORES


async def test_asynchronous_functions_are_called_as_any(tmp_path: Path) -> None:
    feed = component(tmp_path, "feed", FEEDING)
    links = [{"import": "acme:feed/api", "component": "feed"}]
    async with driven(tmp_path, FEED, feed, links=links) as (guest, _):
        assert await guest.call("api#later", "größer") == "größer"
        assert await guest.call("api#plain", 7) == 7
    assert not STORES


async def test_a_stream_that_never_ends_is_a_trap_of_the_callee(tmp_path: Path) -> None:
    feed = component(tmp_path, "feed", FEEDING)
    links = [{"import": "acme:feed/api", "component": "feed"}]
    with structlog.testing.capture_logs() as logs:
        async with driven(tmp_path, FEED, feed, links=links) as (guest, _):
            with pytest.raises(Stopped):
                await guest.call("api#never")
    (failed,) = (line for line in logs if line["event"] == "linked call failed")
    assert failed["outcome"] == "trapped"
    assert not STORES


def test_an_asynchronous_import_beside_resources_is_refused(tmp_path: Path) -> None:
    """The engine would stop whoever calls it."""
    imports = """(export "plain" (func async (param "it" u32) (result u32)))
      (export "thing" (type (sub resource)))"""
    text = IMPORTS.format(imports).replace("(core module", _OF_TASKS, 1)
    feed: Any = ("feed", FEEDING.replace("acme:feed/api", API), [])
    said = refusal(tmp_path, ("shop", text, [{"import": API, "component": "feed"}]), feed)
    assert "plain: is asynchronous, which links carry where no function" in said


def test_what_is_in_them_must_be_as_it_is_imported(tmp_path: Path) -> None:
    text = FEEDING.replace("acme:feed/api", API)
    said = refusal(
        tmp_path,
        shop('(export "later" (func (param "it" u32) (result string)))'),
        ("pricing", text, []),
    )
    assert said == (
        'later: is imported as func(it: u32) -> string, and component "pricing" exports '
        "async func(it: future<string>) -> future<string>"
    )
