"""A driven guest that imports all of `wasi:filesystem`, and what its calls take and return.

There are two, of WASI 0.2 and 0.3. The latter has streams for `descriptor.read` and `write`, and for the entries
of directories; where a test calls those functions, the guest does the same by streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.bindings import clocks, filesystem, io, p3
from gateway.bindings.context import WasiCtx
from gateway.bindings.filesystem import Mount, OpenFiles
from gateway.bindings.filesystem.error_code import ErrorCode
from gateway.host.binding import HostInterface
from gateway.host.component import Component
from gateway.host.values import Err, Ok, Variant
from gateway.wasm.wasip3.assembly import read
from tests.bindings.version import Version, told
from tests.driven_guest import IO, Driven, DrivenGuest, driven_guest, driven_over_time, driving

ERROR_CODES: Final = " ".join(f'"{code}"' for code in ErrorCode)

IMPORTS: Final = f"""{IO}
  (import "wasi:clocks/monotonic-clock@0.2.12" (instance
    (export "now" (func (result u64)))))
  (import "wasi:clocks/wall-clock@0.2.12" (instance $wall-clock
    (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type (eq $datetime')))))
  (alias export $wall-clock "datetime" (type $datetime))
  (import "wasi:filesystem/types@0.2.12" (instance $types
    (alias outer 1 $error (type $error'))
    (alias outer 1 $input-stream (type $input-stream'))
    (alias outer 1 $output-stream (type $output-stream'))
    (alias outer 1 $datetime (type $datetime'))
    (export "error" (type $error (eq $error')))
    (export "input-stream" (type $input-stream (eq $input-stream')))
    (export "output-stream" (type $output-stream (eq $output-stream')))
    (export "datetime" (type $datetime (eq $datetime')))
    (export "descriptor" (type $descriptor (sub resource)))
    (export "directory-entry-stream" (type $entries (sub resource)))
    (type $error-code' (enum {ERROR_CODES}))
    (export "error-code" (type $error-code (eq $error-code')))
    (type $type' (enum "unknown" "block-device" "character-device" "directory" "fifo"
      "symbolic-link" "regular-file" "socket"))
    (export "descriptor-type" (type $type (eq $type')))
    (type $flags' (flags "read" "write" "file-integrity-sync" "data-integrity-sync"
      "requested-write-sync" "mutate-directory"))
    (export "descriptor-flags" (type $flags (eq $flags')))
    (type $path-flags' (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (type $stat' (record (field "type" $type) (field "link-count" u64) (field "size" u64)
      (field "data-access-timestamp" (option $datetime))
      (field "data-modification-timestamp" (option $datetime))
      (field "status-change-timestamp" (option $datetime))))
    (export "descriptor-stat" (type $stat (eq $stat')))
    (type $new-timestamp' (variant (case "no-change") (case "now") (case "timestamp" $datetime)))
    (export "new-timestamp" (type $new-timestamp (eq $new-timestamp')))
    (type $entry' (record (field "type" $type) (field "name" string)))
    (export "directory-entry" (type $entry (eq $entry')))
    (type $advice' (enum "normal" "sequential" "random" "will-need" "dont-need" "no-reuse"))
    (export "advice" (type $advice (eq $advice')))
    (type $hash' (record (field "lower" u64) (field "upper" u64)))
    (export "metadata-hash-value" (type $hash (eq $hash')))
    (type $done (result (error $error-code)))
    (export "[method]descriptor.read-via-stream" (func (param "self" (borrow $descriptor))
      (param "offset" u64) (result (result (own $input-stream) (error $error-code)))))
    (export "[method]descriptor.write-via-stream" (func (param "self" (borrow $descriptor))
      (param "offset" u64) (result (result (own $output-stream) (error $error-code)))))
    (export "[method]descriptor.append-via-stream" (func (param "self" (borrow $descriptor))
      (result (result (own $output-stream) (error $error-code)))))
    (export "[method]descriptor.advise" (func (param "self" (borrow $descriptor))
      (param "offset" u64) (param "length" u64) (param "advice" $advice) (result $done)))
    (export "[method]descriptor.sync-data"
      (func (param "self" (borrow $descriptor)) (result $done)))
    (export "[method]descriptor.get-flags" (func (param "self" (borrow $descriptor))
      (result (result $flags (error $error-code)))))
    (export "[method]descriptor.get-type" (func (param "self" (borrow $descriptor))
      (result (result $type (error $error-code)))))
    (export "[method]descriptor.set-size" (func (param "self" (borrow $descriptor))
      (param "size" u64) (result $done)))
    (export "[method]descriptor.set-times" (func (param "self" (borrow $descriptor))
      (param "data-access-timestamp" $new-timestamp)
      (param "data-modification-timestamp" $new-timestamp) (result $done)))
    (export "[method]descriptor.read" (func (param "self" (borrow $descriptor))
      (param "length" u64) (param "offset" u64)
      (result (result (tuple (list u8) bool) (error $error-code)))))
    (export "[method]descriptor.write" (func (param "self" (borrow $descriptor))
      (param "buffer" (list u8)) (param "offset" u64)
      (result (result u64 (error $error-code)))))
    (export "[method]descriptor.read-directory" (func (param "self" (borrow $descriptor))
      (result (result (own $entries) (error $error-code)))))
    (export "[method]descriptor.sync" (func (param "self" (borrow $descriptor)) (result $done)))
    (export "[method]descriptor.create-directory-at" (func (param "self" (borrow $descriptor))
      (param "path" string) (result $done)))
    (export "[method]descriptor.stat" (func (param "self" (borrow $descriptor))
      (result (result $stat (error $error-code)))))
    (export "[method]descriptor.stat-at" (func (param "self" (borrow $descriptor))
      (param "path-flags" $path-flags) (param "path" string)
      (result (result $stat (error $error-code)))))
    (export "[method]descriptor.set-times-at" (func (param "self" (borrow $descriptor))
      (param "path-flags" $path-flags) (param "path" string)
      (param "data-access-timestamp" $new-timestamp)
      (param "data-modification-timestamp" $new-timestamp) (result $done)))
    (export "[method]descriptor.link-at" (func (param "self" (borrow $descriptor))
      (param "old-path-flags" $path-flags) (param "old-path" string)
      (param "new-descriptor" (borrow $descriptor)) (param "new-path" string) (result $done)))
    (export "[method]descriptor.open-at" (func (param "self" (borrow $descriptor))
      (param "path-flags" $path-flags) (param "path" string) (param "open-flags" $open-flags)
      (param "flags" $flags) (result (result (own $descriptor) (error $error-code)))))
    (export "[method]descriptor.readlink-at" (func (param "self" (borrow $descriptor))
      (param "path" string) (result (result string (error $error-code)))))
    (export "[method]descriptor.remove-directory-at" (func (param "self" (borrow $descriptor))
      (param "path" string) (result $done)))
    (export "[method]descriptor.rename-at" (func (param "self" (borrow $descriptor))
      (param "old-path" string) (param "new-descriptor" (borrow $descriptor))
      (param "new-path" string) (result $done)))
    (export "[method]descriptor.symlink-at" (func (param "self" (borrow $descriptor))
      (param "old-path" string) (param "new-path" string) (result $done)))
    (export "[method]descriptor.unlink-file-at" (func (param "self" (borrow $descriptor))
      (param "path" string) (result $done)))
    (export "[method]descriptor.is-same-object" (func (param "self" (borrow $descriptor))
      (param "other" (borrow $descriptor)) (result bool)))
    (export "[method]descriptor.metadata-hash" (func (param "self" (borrow $descriptor))
      (result (result $hash (error $error-code)))))
    (export "[method]descriptor.metadata-hash-at" (func (param "self" (borrow $descriptor))
      (param "path-flags" $path-flags) (param "path" string)
      (result (result $hash (error $error-code)))))
    (export "[method]directory-entry-stream.read-directory-entry"
      (func (param "self" (borrow $entries))
        (result (result (option $entry) (error $error-code)))))
    (export "filesystem-error-code"
      (func (param "err" (borrow $error)) (result (option $error-code))))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.12" (instance
    (alias outer 1 $descriptor (type $descriptor'))
    (export "descriptor" (type $descriptor (eq $descriptor')))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
"""

_IMPORTS_0_3: Final = f"""
  (import "wasi:filesystem/types@0.3.0" (instance $types {read("filesystem")}))
  (alias export $types "descriptor" (type $descriptor))
  (alias export $types "error-code" (type $error-code))
  (alias export $types "directory-entry" (type $entry))
  (import "wasi:filesystem/preopens@0.3.0" (instance
    (alias outer 1 $descriptor (type $descriptor'))
    (export "descriptor" (type $descriptor (eq $descriptor')))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
"""
_ENDS: Final = (
    ("bytes", "(stream u8)"),
    ("entries", "(stream $entry)"),
    ("done", "(future (result (error $error-code)))"),
)

INTERFACES: Final = (*io.INTERFACES, *clocks.INTERFACES, *filesystem.INTERFACES)

FOLLOW: Final = ("symlink-follow",)
NO_CHANGE: Final = Variant("no-change")
NOW: Final = Variant("now")
CLOSED: Final = Err(Variant("closed"))


def timestamp(seconds: int, nanoseconds: int = 0) -> Variant:
    """A `new-timestamp`."""
    return Variant("timestamp", {"seconds": seconds, "nanoseconds": nanoseconds})


@dataclass(frozen=True)
class FilesystemGuest:
    """A guest under way.

    Attributes:
        guest: the guest.
        roots: its descriptors of the mounts, in their order.
        ctx: what its calls share.
    """

    guest: DrivenGuest
    roots: Sequence[int]
    ctx: WasiCtx

    @property
    def root(self) -> int:
        """The descriptor of the first mount."""
        return self.roots[0]

    async def call(self, name: str, handle: int, *args: Any) -> Any:
        """Call a method of a descriptor, or of another resource, which the name then begins with."""
        resource = "" if "." in name else "descriptor."
        interface = "streams" if "put-stream." in name else "types"
        return await self.guest.call(f"{interface}#{resource}{name}", handle, *args)

    async def succeed(self, name: str, handle: int, *args: Any) -> Any:
        """The value of a call that must succeed."""
        result = await self.call(name, handle, *args)
        assert isinstance(result, Ok), (name, args, result)
        return result.value

    async def drop(self, resource: str, handle: int) -> None:
        """Drop a handle."""
        interface = "streams" if "put-stream" in resource else "types"
        await self.guest.call(f"{interface}#drop {resource}", handle)

    async def open_at(
        self,
        path: str,
        flags: Collection[str] = (),
        open_flags: Collection[str] = (),
        *,
        follow: bool = False,
        base: int | None = None,
    ) -> Any:
        """The result of `open-at`, relative to the first mount unless a base is given."""
        path_flags = FOLLOW if follow else ()
        directory = self.root if base is None else base
        return await self.call("open-at", directory, path_flags, path, open_flags, flags)

    async def opened(
        self,
        path: str,
        flags: Collection[str] = ("read",),
        open_flags: Collection[str] = (),
        *,
        base: int | None = None,
    ) -> int:
        """The descriptor that an `open-at` which must succeed returns."""
        result = await self.open_at(path, flags, open_flags, base=base)
        assert isinstance(result, Ok), (path, result)
        descriptor: int = result.value
        return descriptor

    async def content(self, path: str, *, follow: bool = True, base: int | None = None) -> Any:
        """What the guest reads under a path, or the `error-code` that it gets instead."""
        opened = await self.open_at(path, ("read",), follow=follow, base=base)
        if isinstance(opened, Err):
            return opened.value
        data, _ = await self.succeed("read", opened.value, 1 << 16, 0)
        await self.drop("descriptor", opened.value)
        return data

    async def entries(self, directory: int) -> dict[str, str]:
        """The names in a directory, and of which type each is."""
        stream = await self.succeed("read-directory", directory)
        entries = {}
        while entry := await self.succeed("directory-entry-stream.read-directory-entry", stream):
            assert entry["name"] not in entries
            entries[entry["name"]] = entry["type"]
        await self.drop("directory-entry-stream", stream)
        return entries

    async def error_code(self, failure: Any) -> Any:
        """The `filesystem-error-code` of the error that a stream failed with."""
        assert failure.value.case == "last-operation-failed", failure
        return await self.guest.call("types#filesystem-error-code", failure.value.payload)


class FilesystemGuest03(FilesystemGuest):
    """One of WASI 0.3."""

    async def call(self, name: str, handle: int, *args: Any) -> Any:
        match name:
            case "read":
                return await self._read(handle, *args)
            case "write":
                data, offset = args
                written = await self._write("write-via-stream", handle, data, offset)
                return Ok(len(data)) if written == Ok() else written
            case "read-via-stream":
                stream, done = await self.guest.call(f"types#descriptor.{name}", handle, *args)
                _, ended = await self.guest.read("bytes", stream, 0)
                return await self._done(done) if ended else Ok(stream)
            case "write-via-stream" | "append-via-stream":
                return await self._write(name, handle, b"", *args)
            case "read-directory":
                return await self._entries(handle)
        return told(await self.guest.call(f"types#descriptor.{name}", handle, *args))

    async def entries(self, directory: int) -> dict[str, str]:
        entries = await self.succeed("read-directory", directory)
        found = {entry["name"]: entry["type"].case for entry in entries}
        assert len(found) == len(entries)
        return found

    async def drop(self, resource: str, handle: int) -> None:
        await self.guest.call(f"types#drop {resource}", handle)

    async def _read(self, handle: int, length: int, offset: int) -> Any:
        stream, done = await self.guest.call("types#descriptor.read-via-stream", handle, offset)
        data = bytearray()
        ended = False
        most = min(length, 1 << 16)
        while len(data) < most and not ended:
            some, ended = await self.guest.read("bytes", stream, most - len(data))
            data += bytes(some)
        await self.guest.call("ends#bytes.drop-readable", stream)
        result = await self._done(done)
        return result if isinstance(result, Err) else Ok((bytes(data), not data))

    async def _write(self, name: str, handle: int, data: bytes, *args: Any) -> Any:
        readable, writable = await self.guest.new("bytes")
        done = await self.guest.call(f"types#descriptor.{name}", handle, readable, *args)
        while data:
            count, ended = await self.guest.write("bytes", writable, data[: 1 << 16])
            data = b"" if ended else data[count:]
        await self.guest.call("ends#bytes.drop-writable", writable)
        return await self._done(done)

    async def _entries(self, directory: int) -> Any:
        stream, done = await self.guest.call("types#descriptor.read-directory", directory)
        entries: list[Any] = []
        ended = False
        while not ended:
            some, ended = await self.guest.read("entries", stream, 64)
            entries += some
        await self.guest.call("ends#entries.drop-readable", stream)
        result = await self._done(done)
        return result if isinstance(result, Err) else Ok(entries)

    async def _done(self, future: int) -> Any:
        result = await self.guest.read_future("done", future)
        await self.guest.call("ends#done.drop-readable", future)
        return told(result)


_GUESTS: Final = {"0.2": FilesystemGuest, "0.3": FilesystemGuest03}


def _component(version: str) -> tuple[Component | Driven, Sequence[HostInterface]]:
    if version == "0.2":
        return driven_guest(IMPORTS), INTERFACES
    return driven_over_time(_IMPORTS_0_3, _ENDS), (*INTERFACES, *p3.INTERFACES)


@asynccontextmanager
async def filesystem_guest(*mounts: Mount) -> AsyncIterator[FilesystemGuest]:
    """A guest to whom these folders are mounted, until it has returned."""
    ctx = WasiCtx(OpenFiles(mounts))
    component, interfaces = _component(Version.of_test)
    try:
        async with driving(component, interfaces, ctx) as guest:
            directories = await guest.call("preopens#get-directories")
            roots = [descriptor for descriptor, _ in directories]
            yield _GUESTS[Version.of_test](guest, roots, ctx)
    finally:
        for mount in mounts:
            mount.close()


def writable(folder: Path, path: str = "/") -> Mount:
    """A mount that a guest may write to."""
    return Mount(folder, path, writable=True)


def read_only(folder: Path, path: str = "/") -> Mount:
    """A mount that a guest may only read."""
    return Mount(folder, path)
