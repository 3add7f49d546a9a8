"""The books of a machine: nothing is handed out twice, and what the dead held comes back by itself."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from tests.local.conftest import make_lease, me

from hami_core.local.leases import LeaseBooksUnusable, Leases, new_id
from hami_core.local.process import Process, describe
from hami_core.model import DeviceShare

DEAD = attrs.evolve(me(), start_ticks=1)


def reopened(books: Leases, tmp_path: Path) -> Leases:
    books.close()
    return Leases(tmp_path / "real", in_use=lambda _folder: False)


def test_a_lease_is_read_back_as_it_was_written(books: Leases, tmp_path: Path) -> None:
    lease = make_lease(
        command=("python", "t\udcffrain.py", "", "a b"),
        priority=1,
        oversubscribe=True,
        shares=(
            DeviceShare(uuid="GPU-1", memory_mib=23034, core_units=30),
            DeviceShare(uuid="GPU-0", memory_mib=23034, core_units=30),
        ),
    )
    assert books.take(lambda _out: lease) == lease
    again = reopened(books, tmp_path)
    assert again.look() == (lease,)
    again.close()


def test_what_chooses_sees_the_leases_that_are_out_oldest_first(books: Leases) -> None:
    second, first = make_lease(started_s=2.0), make_lease(started_s=1.0)
    books.take(lambda _out: second)
    books.take(lambda _out: first)
    seen: list[object] = []
    assert books.take(seen.extend) is None
    assert [first, second] == seen


@pytest.mark.parametrize("began_s", [-1e9, 0.0, 1e11])
def test_a_lease_lives_as_long_as_its_owner_whatever_the_time_of_day_was_when_it_began(
    books: Leases, began_s: float
) -> None:
    living, dead = make_lease(started_s=began_s), make_lease(DEAD, started_s=began_s)
    books.take(lambda _out: living)
    books.take(lambda _out: dead)
    assert books.look() == (living,)
    books.release(living.id)
    assert books.look() == ()


def test_an_error_while_choosing_leaves_the_books_as_they_were_and_usable(books: Leases) -> None:
    lease = make_lease()
    books.take(lambda _out: lease)
    with pytest.raises(ZeroDivisionError):
        books.take(lambda _out: 1 // 0)  # type: ignore[arg-type, return-value]
    assert books.look() == (lease,)


def test_a_dead_owners_lease_and_its_folder_are_gone_at_the_next_look(books: Leases) -> None:
    lease = make_lease(DEAD)
    books.take(lambda _out: lease)
    books.folder_of(lease.id).mkdir()
    (books.folder_of(lease.id) / "region").write_text("")
    assert books.look() == ()
    assert not books.folder_of(lease.id).exists()


def test_a_lease_that_a_process_in_the_background_still_uses_outlives_its_owner(books: Leases) -> None:
    lease = make_lease(DEAD)
    books.take(lambda _out: lease)
    books.folder_of(lease.id).mkdir()
    (books.folder_of(lease.id) / "in-use").touch()
    books.release(lease.id)
    assert books.look() == (lease,)
    (books.folder_of(lease.id) / "in-use").unlink()
    assert books.look() == ()


def test_a_handed_over_lease_lives_as_long_as_its_new_owner(books: Leases) -> None:
    lease = make_lease(DEAD)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as child:
        owner = describe(child.pid)
        assert owner is not None
        books.take(lambda _out: lease)
        books.hand_over(lease.id, owner)
        assert books.look() == (attrs.evolve(lease, owner=owner),)
        child.kill()
    assert books.look() == ()


def test_releasing_twice_or_something_unknown_does_nothing(books: Leases) -> None:
    kept, released = make_lease(), make_lease()
    books.take(lambda _out: kept)
    books.take(lambda _out: released)
    books.release(released.id)
    books.release(released.id)
    books.release(new_id())
    assert books.look() == (kept,)


def test_a_folder_that_a_crash_left_without_a_lease_is_swept_but_nothing_else_is(books: Leases, tmp_path: Path) -> None:
    orphan = books.folder_of(new_id())
    orphan.mkdir()
    (orphan / "limits").write_text("x")
    (orphan / "limits").chmod(0o444)
    notes = tmp_path / "real" / "leases" / "README"
    notes.write_text("mine")
    books.look()
    assert not orphan.exists()
    assert notes.read_text() == "mine"


def test_a_link_in_the_place_of_a_lease_folder_is_never_followed(books: Leases, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("years")
    books.folder_of(new_id()).symlink_to(precious)
    books.look()
    assert (precious / "thesis").read_text() == "years"


def test_the_books_are_private_to_their_user(books: Leases, tmp_path: Path) -> None:
    books.take(lambda _out: make_lease())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "real").iterdir()}
    assert modes["leases.db"] == modes["leases.db-wal"] == 0o600
    assert modes["leases"] == 0o700


def test_the_books_of_a_shared_folder_can_be_written_by_its_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        leases = Leases(tmp_path / "real", in_use=lambda _folder: False)
    finally:
        os.umask(before)
    leases.take(lambda _out: make_lease())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "real").iterdir()}
    leases.close()
    assert modes["leases.db"] == modes["leases.db-wal"] == modes["open.lock"] == 0o660
    assert modes["leases"] == 0o2770


def test_books_of_a_newer_hami_are_refused_and_left_alone(books: Leases, tmp_path: Path) -> None:
    books.close()
    with sqlite3.connect(tmp_path / "real" / "leases.db") as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(LeaseBooksUnusable, match=r"format 7, this one reads 1.*upgrade hami-core"):
        Leases(tmp_path / "real", in_use=lambda _folder: False)


def test_a_file_that_is_no_database_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "leases.db").write_text("not a database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(LeaseBooksUnusable, match=r"leases\.db: file is not a database; move it away"):
        Leases(tmp_path, in_use=lambda _folder: False)


TAKER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from hami_core.local.leases import Leases
    from tests.local.conftest import make_lease

    books = Leases(Path(sys.argv[1]), in_use=lambda folder: False)
    sys.stdin.readline()  # all start together
    taken = 0
    for _ in range(10):
        taken += books.take(lambda out: make_lease() if len(out) < 7 else None) is not None
    print(taken, flush=True)
    sys.stdin.readline()  # hold until everyone has counted
    """
)


def test_processes_that_race_for_the_last_shares_never_get_more_than_there_are(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path / "real")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        for _ in range(4)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
    taken = [int(racer.stdout.readline()) for racer in racers if racer.stdout is not None]
    for racer in racers:
        racer.communicate("done\n")
    assert sum(taken) == 7


CRASHER = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from hami_core.local.leases import Leases
    from tests.local.conftest import make_lease

    point = sys.argv[2]
    books = Leases(Path(sys.argv[1]), in_use=lambda folder: False)

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def choose(out):
        if point == "choosing":
            die()
        return make_lease()

    if point == "writing":
        books._db.create_function("die", 0, die)
        books._db.execute("CREATE TEMP TRIGGER t AFTER INSERT ON main.share BEGIN SELECT die(); END")
    lease = books.take(choose)
    if point == "furnishing":
        books.folder_of(lease.id).mkdir()
        die()
    if point == "releasing":
        books.folder_of(lease.id).mkdir()
        books._db.create_function("die", 0, die)
        books._db.execute("CREATE TEMP TRIGGER t AFTER DELETE ON main.lease BEGIN SELECT die(); END")
        books.release(lease.id)
    """
)


@pytest.mark.parametrize("point", ["choosing", "writing", "furnishing", "releasing"])
def test_a_kill_at_any_point_leaves_books_that_open_and_hold_nothing(tmp_path: Path, point: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASHER, str(tmp_path), point], check=False, capture_output=True, text=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    books = Leases(tmp_path, in_use=lambda _folder: False)
    assert books.look() == ()
    assert list((tmp_path / "leases").iterdir()) == []
    lease = make_lease()
    assert books.take(lambda _out: lease) == lease
    books.close()


class Host(RuleBasedStateMachine):
    """Leases taken, handed over, released, forgotten by the dead, with the books closed and opened in between."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.books = self.open()
        self.expected: dict[str, Process] = {}

    def open(self) -> Leases:
        return Leases(self.folder, in_use=lambda _folder: False)

    def teardown(self) -> None:
        self.books.close()
        self.temporary.cleanup()

    @rule(target=names, alive=st.booleans(), furnished=st.booleans())
    def take(self, alive: bool, furnished: bool) -> str:
        lease = make_lease(me() if alive else DEAD)
        self.books.take(lambda _out: lease)
        if furnished:
            self.books.folder_of(lease.id).mkdir()
        self.expected[lease.id] = lease.owner
        return lease.id

    @rule(name=names)
    def release(self, name: str) -> None:
        self.books.release(name)
        self.expected.pop(name, None)

    @rule(name=names, alive=st.booleans())
    def hand_over(self, name: str, alive: bool) -> None:
        owner = me() if alive else DEAD
        self.books.hand_over(name, owner)
        if name in self.expected:
            self.expected[name] = owner

    @rule()
    def reopen(self) -> None:
        self.books.close()
        self.books = self.open()

    @invariant()
    def exactly_the_living_hold_leases(self) -> None:
        self.expected = {name: owner for name, owner in self.expected.items() if owner.alive()}
        assert set(self.expected) == {lease.id for lease in self.books.look()}
        assert {path.name for path in (self.folder / "leases").iterdir()} <= set(self.expected)


Host.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_leases_follow_their_owners_through_any_history = Host.TestCase
