"""wasi:filesystem: without a mount it links, and there is nothing to come by a descriptor with.

What it does with mounts is in `tests/bindings/filesystem`.
"""

from __future__ import annotations

import re

import pytest

from gateway.bindings import filesystem, io
from gateway.bindings.io import IoError
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap
from gateway.host.values import Variant
from tests.bindings.filesystem.guest import ERROR_CODES
from tests.driven_guest import IO, driven_guest, driving
from tests.guests import wit

pytestmark = pytest.mark.anyio

IMPORTS = f"""{IO}
  (import "wasi:filesystem/types@0.2.12" (instance $types
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "descriptor" (type $descriptor (sub resource)))
    (export "directory-entry-stream" (type (sub resource)))
    (type $code (enum {ERROR_CODES}))
    (export "error-code" (type $error-code (eq $code)))
    (export "[method]descriptor.sync"
      (func (param "self" (borrow $descriptor)) (result (result (error $error-code)))))
    (export "filesystem-error-code"
      (func (param "err" (borrow $error)) (result (option $error-code))))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.12" (instance
    (alias outer 1 $descriptor (type $outer-descriptor))
    (export "descriptor" (type $descriptor (eq $outer-descriptor)))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
  (import "test:host/foreign" (instance
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "of-a-socket" (func (result (own $error))))
    (export "of-a-body" (func (result (own $error))))
    (export "of-nothing" (func (result (own $error))))))
"""

foreign = HostInterface("test:host/foreign", None)
# The code of another interface may have the name of one of this.
foreign.function("of-a-socket")(lambda _ctx: IoError("the peer is gone", "access"))
foreign.function("of-a-body")(lambda _ctx: IoError("cut off", Variant("connection-terminated")))
foreign.function("of-nothing")(lambda _ctx: IoError("no idea"))
INTERFACES = (*io.INTERFACES, *filesystem.INTERFACES, foreign)


def test_every_function_of_the_wit_is_there() -> None:
    [document] = [path.read_text() for path in wit.PACKAGES if path.name == "filesystem.wit"]
    declared = re.findall(r"^ +([a-z-]+): func\(", document, re.MULTILINE)
    functions = [name for interface in filesystem.INTERFACES for name in interface.functions]
    assert sorted(name.rpartition(".")[2] for name in functions) == sorted(declared)


@pytest.mark.parametrize("version", ["0.2.0", "0.2.6", "0.2.12"])
async def test_there_are_no_preopened_directories(version: str) -> None:
    async with driving(driven_guest(IMPORTS.replace("0.2.12", version)), INTERFACES) as guest:
        assert await guest.call("preopens#get-directories") == []


@pytest.mark.parametrize("origin", ["of-a-socket", "of-a-body", "of-nothing"])
async def test_filesystem_error_code_is_none_for_a_foreign_error(origin: str) -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        error = await guest.call(f"foreign#{origin}")
        assert await guest.call("types#filesystem-error-code", error) is None


async def test_a_forged_descriptor_traps() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        error = await guest.call("foreign#of-nothing")
        with pytest.raises(Trap, match="handle index"):
            await guest.call("types#descriptor.sync", error)
