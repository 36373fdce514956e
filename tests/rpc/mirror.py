"""A component that gives back what it is given, and a client that calls it in the same process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from gateway.app import Gateway
from tests.routes.test_asgi import Server

MIRROR: Final = """
(component
  (core module $module
    (memory (export "memory") 1)
    (global $end (mut i32) (i32.const 16))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local $needed i32)
      (local.set $at (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
      (global.set $end (i32.add (local.get $at) (local.get $size)))
      (local.set $needed (i32.sub
        (i32.shr_u (i32.add (global.get $end) (i32.const 65535)) (i32.const 16)) (memory.size)))
      (if (i32.gt_s (local.get $needed) (i32.const 0))
        (then (drop (memory.grow (local.get $needed)))))
      (local.get $at))
    (func (export "give-back") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.const 0)))
  (core instance $instance (instantiate $module))
  (alias core export $instance "memory" (core memory $memory))
  (alias core export $instance "realloc" (core func $realloc))
  (alias core export $instance "give-back" (core func $give-back))
  (type $point' (record (field "x" s32) (field "y" s32)))
  (export $point "point" (type $point'))
  {functions})
"""
"""It gives back what it was given."""

TAKES: Final = {
    "integers": "(list u64)",
    "points": "(list $point)",
    "strings": "(list string)",
    "lists": "(list (list u64))",
    "bytes": "(list u8)",
    "text": "string",
}


def write(path: Path) -> Path:
    """Writes the component, with a function for each of `TAKES`; returns the path."""
    functions = "\n".join(
        f"""(func (export "{name}") (param "value" {ty}) (result {ty})
              (canon lift (core func $give-back) (memory $memory) (realloc $realloc)))"""
        for name, ty in TAKES.items()
    )
    path.write_text(MIRROR.replace("{functions}", functions))
    return path


class Caller(Server):
    """A client that sends one body of JSON, and counts the turns that the loop has meanwhile."""

    def __init__(self, body: bytes) -> None:
        headers = [(b"host", b"gateway.test"), (b"content-type", b"application/json")]
        super().__init__("/rpc/guest", method="POST", headers=headers)
        self._request = [{"type": "http.request", "body": body, "more_body": False}]
        self.turns = 0

    async def run(self, app: Gateway) -> None:
        counting = asyncio.create_task(self._count())
        try:
            await super().run(app)
        finally:
            counting.cancel()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.turns += 1

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}


def body(*args: Any) -> bytes:
    return json.dumps(request(*args)).encode()
