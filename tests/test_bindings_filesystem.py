"""wasi:filesystem: it links, and there is nothing to come by a descriptor with."""

from __future__ import annotations

import pytest

from gateway.bindings import filesystem, io
from gateway.bindings.io import IoError
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap, TrapKind
from gateway.host.table import Resource
from tests.driven_guest import IO, driven_guest, driving

pytestmark = pytest.mark.anyio

IMPORTS = f"""{IO}
  (import "wasi:filesystem/types@0.2.12" (instance $types
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "descriptor" (type $descriptor (sub resource)))
    (export "directory-entry-stream" (type (sub resource)))
    (type $code (enum "access" "would-block" "io" "no-entry"))
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
    (alias outer 1 $descriptor (type $outer-descriptor))
    (export "error" (type $error (eq $outer-error)))
    (export "descriptor" (type $descriptor (eq $outer-descriptor)))
    (export "make-error" (func (result (own $error))))
    (export "make-descriptor" (func (result (own $descriptor))))))
"""

foreign = HostInterface("test:host/foreign", None)
foreign.function("make-error")(lambda _ctx: IoError("the peer is gone", "connection-reset"))
foreign.function("make-descriptor")(lambda _ctx: Resource())
INTERFACES = (*io.INTERFACES, *filesystem.INTERFACES, foreign)


async def test_there_are_no_preopened_directories() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        assert await guest.call("preopens#get-directories") == []


async def test_filesystem_error_code_is_none_for_a_foreign_error() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        error = await guest.call("foreign#make-error")
        assert await guest.call("types#filesystem-error-code", error) is None


async def test_a_forged_descriptor_traps() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        error = await guest.call("foreign#make-error")
        with pytest.raises(Trap, match="handle index"):
            await guest.call("types#descriptor.sync", error)


async def test_a_method_of_a_descriptor_would_trap_with_its_name() -> None:
    async with driving(driven_guest(IMPORTS), INTERFACES) as guest:
        descriptor = await guest.call("foreign#make-descriptor")
        with pytest.raises(Trap, match=r"types@0\.2\.12#\[method\]descriptor\.sync") as ended:
            await guest.call("types#descriptor.sync", descriptor)
    assert ended.value.kind is TrapKind.UNKNOWN_IMPORT
