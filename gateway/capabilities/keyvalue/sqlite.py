"""Key-value stores in SQLite: in a file, which several processes may share, or in memory.

In a file, the journal is a write-ahead log: readers and the one writer do not wait for each other, and what was
written is there after the process was killed. (With `synchronous = NORMAL`, the last writes before a loss of power
may be lost, and nothing else is.) One thread reads and another writes, so no disk holds up the event loop, and a
process that has locked the file for long holds up nobody's reads.

A bucket is a space of keys of its own. What it has in all is kept beside it by triggers, in the same transaction
as each change, so that a quota costs no count.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from gateway.capabilities.backend import BackendError, BackendUnusable, Unavailable
from gateway.capabilities.keyvalue.store import (
    PAGE,
    Batch,
    Bucket,
    Current,
    Page,
    Quota,
    check_quota,
    check_size,
    decimal,
    in_range,
    too_large,
)
from gateway.config.backend_url import BackendURL

__all__ = ["MAX_MEMORY", "SQLiteBucket", "SQLiteStore"]

T = TypeVar("T")

MAX_MEMORY: Final = 64 << 20
"""Bytes of a store in memory, keys and indexes included. Arbitrary: what needs more has a file."""

_BUSY: Final = 5.0
"""Seconds that a write waits for another process which has locked the file. SQLite's own shell and most drivers
wait as long."""

_BUSY_PAUSE: Final = 0.01
"""Seconds between two tries where SQLite itself does not wait."""

_VERSION: Final = 1
"""That of the tables, as `user_version` of the file."""

_TABLES: Final = """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        space TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        version INTEGER NOT NULL,
        size INTEGER NOT NULL GENERATED ALWAYS AS (length(CAST(key AS BLOB)) + length(value)) VIRTUAL,
        UNIQUE (space, key)
    );
    CREATE INDEX pages ON entries (space, id);
    CREATE TABLE spaces (space TEXT PRIMARY KEY, keys INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TRIGGER inserted AFTER INSERT ON entries BEGIN
        INSERT INTO spaces VALUES (new.space, 1, new.size)
        ON CONFLICT (space) DO UPDATE SET keys = keys + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER updated AFTER UPDATE ON entries BEGIN
        UPDATE spaces SET bytes = bytes + new.size - old.size WHERE space = new.space;
    END;
    CREATE TRIGGER deleted AFTER DELETE ON entries BEGIN
        UPDATE spaces SET keys = keys - 1, bytes = bytes - old.size WHERE space = old.space;
    END;
"""

_UPSERT: Final = """
    INSERT INTO entries (space, key, value, version) VALUES (?, ?, ?, random())
    ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, version = excluded.version
"""
"""A version is random: no two writes of one key have the same, though one may have removed it between them."""


class SQLiteStore:
    """A store in SQLite.

    Args:
        path: the file, which is made where it is missing; None for a store in memory, which ends with this object.

    Attributes:
        kind: `sqlite` or `memory`.
        waits: whether it may wait, for a disk.
        availability: None, for a file is not asked whether it is there.
    """

    availability: Final = None

    def __init__(self, path: Path | None) -> None:
        self.waits: Final = path is not None
        self.kind: Final = "memory" if path is None else "sqlite"
        self._path = path
        self._own = threading.local()
        self._memory: sqlite3.Connection | None = None
        self._reader = self._writer = None
        if path is not None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="sqlite-reader")
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")

    @classmethod
    def file(cls, url: BackendURL) -> Self:
        """The store in the file of `sqlite:FILE`.

        Raises:
            BackendUnusable: it has no name, or its folder is not there.
        """
        path = Path(url.rest.removeprefix("//"))
        if not path.name:
            raise BackendUnusable('must name a file, such as "sqlite:app.db"')
        if not path.parent.is_dir():
            raise BackendUnusable(f"names a file in a folder that is not there: make {path.parent}")
        if path.is_dir():
            raise BackendUnusable("names a folder, and must name a file, such as app.db in there")
        return cls(path)

    def bucket(self, prefix: str, quota: Quota) -> SQLiteBucket:
        """The keys of a prefix: `KeyValueStore.bucket`."""
        return SQLiteBucket(self, prefix, quota)

    async def aclose(self) -> None:
        """Close the file, or forget what was in memory: `Backend.aclose`."""
        if self._memory is not None:
            self._memory.close()
        for thread in (self._reader, self._writer):
            if thread is not None:
                thread.submit(self._close)
                thread.shutdown(wait=False)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Read, from one state of the store.

        Raises:
            BackendError: that failed.
        """
        return await self._call(self._reader, function, "BEGIN")

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Change it, all or nothing: what the function raises takes its changes back.

        Raises:
            BackendError: that failed.
        """
        return await self._call(self._writer, function, "BEGIN IMMEDIATE")

    async def _call(
        self,
        thread: ThreadPoolExecutor | None,
        function: Callable[[sqlite3.Connection], T],
        begin: str,
    ) -> T:
        if thread is None:
            return self._transaction(function, begin)
        # Of a guest that is stopped, what has begun goes on to its end, and the rest is taken out of the queue.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, self._transaction, function, begin)

    def _transaction(self, function: Callable[[sqlite3.Connection], T], begin: str) -> T:
        try:
            connection = self._connection()
            connection.execute(begin)
            try:
                value = function(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _failure(error) from error
        return value

    def _connection(self) -> sqlite3.Connection:
        if self._path is None:
            if self._memory is None:
                self._memory = _connect(":memory:")
                # Many builds have zeros written over what is deleted, which takes long, and is for files.
                self._memory.execute("PRAGMA secure_delete = OFF")
                pages = MAX_MEMORY // self._memory.execute("PRAGMA page_size").fetchone()[0]
                self._memory.execute(f"PRAGMA max_page_count = {pages}")
            return self._memory
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = _connect(str(self._path))
        return connection

    def _close(self) -> None:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()


def _connect(path: str) -> sqlite3.Connection:
    """Connect to a file, which others may make at the same time.

    SQLite waits for no lock that two may need of each other, as those do who turn a new file's journal into a
    write-ahead log: who comes second is refused at once, and tries again.
    """
    end = time.monotonic() + _BUSY
    while True:
        try:
            return _connected(path)
        except sqlite3.OperationalError as error:
            if not _is(error, sqlite3.SQLITE_BUSY) or time.monotonic() > end:
                raise
        time.sleep(_BUSY_PAUSE)


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY, isolation_level=None, check_same_thread=False, cached_statements=32
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) == 0:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) == 0:  # still, with nobody else at it
                for statement in _statements(_TABLES):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        if (version := _version(connection)) != _VERSION:
            raise sqlite3.DatabaseError(
                f"the file has version {version} of the tables, not {_VERSION}"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    """That of the tables; 0 where there are none."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _statements(script: str) -> list[str]:
    """The statements of a script, which `executescript` would take out of the transaction."""
    statements = [""]
    for line in script.splitlines(keepends=True):
        statements[-1] += line
        if sqlite3.complete_statement(statements[-1]):
            statements.append("")
    return statements[:-1]


def _failure(error: sqlite3.Error) -> BackendError:
    if _is(error, sqlite3.SQLITE_FULL):
        return BackendError("the store is full", str(error))
    if _is(error, sqlite3.SQLITE_BUSY):
        return BackendError("the store is busy", f"{error}, for {_BUSY:g} s")
    return Unavailable(str(error))


def _is(error: sqlite3.Error, code: int) -> bool:
    """Whether a primary code is that of an error, which may have an extended one: what is busy has four."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == code


class SQLiteBucket(Bucket):
    """A space of keys in a store: a `Bucket`."""

    def __init__(self, store: SQLiteStore, space: str, quota: Quota) -> None:
        self._store = store
        self._space = space
        self._quota = quota

    async def get(self, key: str) -> bytes | None:
        """`Bucket.get`."""
        return await self._store.read(lambda connection: self._value(connection, key))

    async def exists(self, key: str) -> bool:
        """`Bucket.exists`."""
        return await self._store.read(lambda connection: self._version(connection, key) is not None)

    async def keys(self, cursor: int) -> Page:
        """`Bucket.keys`."""

        def page(connection: sqlite3.Connection) -> Page:
            rows = connection.execute(
                "SELECT id, key FROM entries WHERE space = ? AND id > ? ORDER BY id LIMIT ?",
                (self._space, min(cursor, _LAST), PAGE + 1),
            ).fetchall()
            more = len(rows) > PAGE
            return Page([key for _, key in rows[:PAGE]], rows[PAGE - 1][0] if more else None)

        return await self._store.read(page)

    async def increment(self, key: str, delta: int, low: int, high: int) -> int:
        """`Bucket.increment`."""

        def add(connection: sqlite3.Connection) -> int:
            total = in_range(decimal(self._value(connection, key)) + delta, low, high)
            self._write(connection, {key: str(total).encode()})
            return total

        return await self._change(add)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """`Bucket.get_many`."""

        def values(connection: sqlite3.Connection) -> list[bytes | None]:
            batch = Batch()
            for key in keys:
                batch.add(self._value(connection, key))
            return batch.values

        return await self._store.read(values)

    async def set_many(self, values: Mapping[str, bytes]) -> None:
        """`Bucket.set_many`."""
        await self._change(lambda connection: self._write(connection, values))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """`Bucket.delete_many`."""
        await self._change(lambda connection: self._remove(connection, keys))

    async def current(self, key: str) -> Current:
        """`Bucket.current`."""
        return await self._store.read(
            lambda connection: Current(self._value(connection, key), self._version(connection, key))
        )

    async def swap(self, key: str, version: Any, value: bytes) -> bool:
        """`Bucket.swap`."""

        def swap(connection: sqlite3.Connection) -> bool:
            if self._version(connection, key) != version:
                return False
            self._write(connection, {key: value})
            return True

        return await self._change(swap)

    async def _change(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._store.write(function)

    def _value(self, connection: sqlite3.Connection, key: str) -> bytes | None:
        # What is too large is never read: CASE looks at the length, which the row has in its header.
        row = connection.execute(
            "SELECT length(value), CASE WHEN length(value) <= ? THEN value END FROM entries "
            "WHERE space = ? AND key = ?",
            (self._quota.max_value, self._space, key),
        ).fetchone()
        if row is None:
            return None
        size, value = row
        if value is None:
            raise too_large(size, self._quota)
        found: bytes = value
        return found

    def _version(self, connection: sqlite3.Connection, key: str) -> int | None:
        row = connection.execute(
            "SELECT version FROM entries WHERE space = ? AND key = ?", (self._space, key)
        ).fetchone()
        return None if row is None else row[0]

    def _remove(self, connection: sqlite3.Connection, keys: Sequence[str]) -> list[str]:
        """Remove keys; returns those that were there."""
        delete = "DELETE FROM entries WHERE space = ? AND key = ?"
        return [key for key in keys if connection.execute(delete, (self._space, key)).rowcount]

    def _write(self, connection: sqlite3.Connection, values: Mapping[str, bytes]) -> None:
        for value in values.values():
            check_size(value, self._quota)
        connection.executemany(
            _UPSERT, [(self._space, key, value) for key, value in values.items()]
        )
        if (self._quota.max_keys, self._quota.max_bytes) == (None, None):
            return
        keys, size = connection.execute(
            "SELECT keys, bytes FROM spaces WHERE space = ?", (self._space,)
        ).fetchone()
        check_quota(keys, size, self._quota)


_LAST: Final = (1 << 63) - 1
"""The largest number of a row."""
