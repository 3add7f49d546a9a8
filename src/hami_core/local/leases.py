"""The books of one machine: which leases are out. SQLite, because it survives what a kill -9 interrupts.

Every change is one IMMEDIATE transaction, so two `hami run` can never both get the last share. A lease whose owner is
gone, and whose region no living process uses, is dropped by whoever looks next; nothing has to be running for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from hami_core.errors import HamiError
from hami_core.local.lease import Lease
from hami_core.local.process import Process
from hami_core.local.state import is_shared, make_dir
from hami_core.model import DeviceShare

_VERSION = 1
_BUSY_S = 30.0  # a transaction takes milliseconds; only a stopped process holds the lock this long
_ID = re.compile(r"[0-9a-f]{8}")

_SCHEMA = """
CREATE TABLE lease (
  id TEXT PRIMARY KEY,
  pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, boot_id TEXT NOT NULL, pid_namespace INTEGER NOT NULL,
  command TEXT NOT NULL,
  uid INTEGER NOT NULL,
  started_s REAL NOT NULL,
  family TEXT NOT NULL,
  priority INTEGER,
  oversubscribe INTEGER NOT NULL
);
CREATE TABLE share (
  lease TEXT NOT NULL REFERENCES lease (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  uuid TEXT NOT NULL,
  memory_mib INTEGER NOT NULL,
  core_units INTEGER NOT NULL,
  PRIMARY KEY (lease, position)
);
"""


class LeaseBooksUnusable(HamiError):
    """The lease file cannot be used: another program's, a newer HAMi's, damaged, or its lock is held too long."""


def new_id() -> str:
    """A name for a lease that nobody used before."""
    return secrets.token_hex(4)


class Leases:
    """The leases of one machine, kept in `folder`.

    `in_use` says whether a living process uses a lease's folder; such a lease is kept though its owner is gone (a
    command that went on in the background).
    """

    def __init__(self, folder: Path, *, in_use: Callable[[Path], bool]) -> None:
        self._folders = make_dir(make_dir(folder) / "leases")
        self._file = folder / "leases.db"
        self._in_use = in_use
        with self._faults():
            self._db = _open(self._file)

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._db.close()

    def folder_of(self, lease_id: str) -> Path:
        """Where the files of a lease are: its limits and its region."""
        return self._folders / lease_id

    def look(self) -> tuple[Lease, ...]:
        """Drop leases that nobody holds any more and return the others, oldest first."""
        with self._transaction():
            return self._reclaim()

    def take(self, choose: Callable[[tuple[Lease, ...]], Lease | None]) -> Lease | None:
        """Record the lease that `choose` makes of the leases already out; None when it makes none.

        Nobody else can take or drop a lease while `choose` runs.
        """
        with self._transaction():
            lease = choose(self._reclaim())
            if lease is not None:
                self._insert(lease)
            return lease

    def change(self, choose: Callable[[tuple[Lease, ...]], Lease]) -> Lease:
        """Record other shares of a lease that is out: `choose` makes it of those that are, and may raise.

        Nobody else can take, change or drop a lease while `choose` runs.
        """
        with self._transaction():
            lease = choose(self._reclaim())
            self._db.execute("DELETE FROM share WHERE lease = ?", (lease.id,))
            self._insert_shares(lease)
            return lease

    def hand_over(self, lease_id: str, owner: Process) -> None:
        """Make another process the owner."""
        with self._transaction():
            self._db.execute(
                "UPDATE lease SET pid = ?, start_ticks = ?, boot_id = ?, pid_namespace = ? WHERE id = ?",
                (owner.pid, owner.start_ticks, owner.boot_id, owner.pid_namespace, lease_id),
            )

    def release(self, lease_id: str) -> None:
        """End a lease, unless a process in the background still uses it. Idempotent."""
        with self._transaction():
            if not self._in_use(self.folder_of(lease_id)):
                self._drop(lease_id)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as err:
            raise LeaseBooksUnusable(f"{self._file}: {err}") from err
        except sqlite3.DatabaseError as err:
            raise LeaseBooksUnusable(f"{self._file}: {err}; move it away to start with no leases") from err

    def _reclaim(self) -> tuple[Lease, ...]:
        live = []
        for lease in self._read():
            if lease.owner.alive() or self._in_use(self.folder_of(lease.id)):
                live.append(lease)
            else:
                self._drop(lease.id)
        # A folder is made only after its row is written, and rows cannot change now: one without a row is left over.
        known = {lease.id for lease in live}
        for folder in sorted(self._folders.iterdir()):
            if _ID.fullmatch(folder.name) and folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)  # another user's folder waits for that user's next look
        return tuple(live)

    def _drop(self, lease_id: str) -> None:
        shutil.rmtree(self.folder_of(lease_id), ignore_errors=True)
        self._db.execute("DELETE FROM lease WHERE id = ?", (lease_id,))

    def _read(self) -> list[Lease]:
        shares: dict[str, list[DeviceShare]] = {}
        for lease_id, uuid, memory_mib, core_units in self._db.execute(
            "SELECT lease, uuid, memory_mib, core_units FROM share ORDER BY lease, position"
        ):
            held = DeviceShare(uuid=uuid, memory_mib=memory_mib, core_units=core_units)
            shares.setdefault(lease_id, []).append(held)
        rows = self._db.execute(
            "SELECT id, pid, start_ticks, boot_id, pid_namespace, command, uid, started_s, family, priority,"
            " oversubscribe FROM lease ORDER BY started_s, id"
        )
        return [
            Lease(
                id=row[0],
                owner=Process(pid=row[1], start_ticks=row[2], boot_id=row[3], pid_namespace=row[4]),
                command=tuple(json.loads(row[5])),
                uid=row[6],
                started_s=row[7],
                family=row[8],
                priority=row[9],
                oversubscribe=bool(row[10]),
                shares=tuple(shares.get(row[0], ())),
            )
            for row in rows
        ]

    def _insert(self, lease: Lease) -> None:
        owner = lease.owner
        self._db.execute(
            "INSERT INTO lease (id, pid, start_ticks, boot_id, pid_namespace, command, uid, started_s, family,"
            " priority, oversubscribe) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                lease.id,
                owner.pid,
                owner.start_ticks,
                owner.boot_id,
                owner.pid_namespace,
                json.dumps(lease.command),
                lease.uid,
                lease.started_s,
                lease.family,
                lease.priority,
                int(lease.oversubscribe),
            ),
        )
        self._insert_shares(lease)

    def _insert_shares(self, lease: Lease) -> None:
        self._db.executemany(
            "INSERT INTO share (lease, position, uuid, memory_mib, core_units) VALUES (?, ?, ?, ?, ?)",
            [
                (lease.id, position, share.uuid, share.memory_mib, share.core_units)
                for position, share in enumerate(lease.shares)
            ],
        )


def _open(file: Path) -> sqlite3.Connection:
    # One opener at a time: switching a new file to WAL does not wait for others, it fails.
    with (file.parent / "open.lock").open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        db = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
        try:
            if is_shared(file.parent):
                _share(file, Path(lock.name))
            else:
                file.chmod(0o600)
            _prepare(db, file)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA journal_mode = WAL")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    elif version != _VERSION:
        formats = f"format {version}, this one reads {_VERSION}"
        raise LeaseBooksUnusable(f"{file} was written by another HAMi ({formats}); upgrade hami-core")


def _share(*files: Path) -> None:
    """Let the group write what this user made; SQLite gives its -wal and -shm files the mode of the main one."""
    for file in files:
        with contextlib.suppress(PermissionError):  # someone else's: they did this
            file.chmod(0o660)
