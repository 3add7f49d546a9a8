"""State folders are private, or shared with a group on purpose; never open to everyone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hami_core.local import state
from hami_core.local.state import UnsafeState, make_dir, state_dir


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_environment_names_the_state_folder(tmp_path: Path) -> None:
    assert state_dir({"HAMI_STATE_DIR": str(tmp_path)}) == tmp_path


def test_root_uses_the_system_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_dir({}) == Path("/var/lib/hami")


def test_a_user_uses_the_system_folder_only_where_it_was_set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(state, "SYSTEM", tmp_path / "system")
    assert state_dir({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "hami"
    (tmp_path / "system").mkdir()
    assert state_dir({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "system"


def test_a_users_own_folder_is_below_home_when_nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(state, "SYSTEM", tmp_path / "system")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_dir({}) == tmp_path / ".local/state/hami"
    assert state_dir({"XDG_STATE_HOME": "relative/is/not/allowed"}) == tmp_path / ".local/state/hami"


def test_folders_are_private_whatever_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_dir(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert (mode(made), mode(made.parent)) == (0o700, 0o700)


def test_a_folder_below_a_shared_one_is_shared_with_the_same_group(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    before = os.umask(0o077)
    try:
        made = make_dir(shared / "real" / "leases")
    finally:
        os.umask(before)
    assert (mode(made), mode(made.parent)) == (0o2770, 0o2770)


def test_a_folder_that_everyone_can_change_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(UnsafeState, match=r"can be changed by every user; run: chmod o-w"):
        make_dir(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnsafeState, match=r"cannot make .*/file/x: Not a directory; set HAMI_STATE_DIR"):
        make_dir(tmp_path / "file" / "x")
