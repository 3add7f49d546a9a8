"""Where this host keeps its leases, and who may touch them.

    <state>/real/            the cards of this host
    <state>/simulated/NAME/  one folder a simulated machine

Each of these holds ``leases.db`` and a folder ``leases/ID`` for each lease. A system-wide state folder that several
users share is set up once by root (``install -d -m 2770 -g GROUP /var/lib/hami``); what is made inside follows its
mode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from hami_core.errors import HamiError

SYSTEM = Path("/var/lib/hami")


class UnsafeState(HamiError):
    """A state folder that cannot be used, or that others could tamper with."""


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The state folder: ``HAMI_STATE_DIR``, the system's where we may write it, or the user's own."""
    environ = os.environ if environ is None else environ
    named = environ.get("HAMI_STATE_DIR")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0 or (SYSTEM.is_dir() and os.access(SYSTEM, os.W_OK | os.X_OK)):
        return SYSTEM
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".local/state") / "hami"


def make_dir(path: Path) -> Path:
    """Make `path` and its parents, private unless the folder above is shared with a group; return it.

    Raises:
        UnsafeState: it cannot be made, or people outside the owner and its group could change it.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            if is_shared(folder.parent) and folder.stat().st_uid == os.geteuid():
                folder.chmod(0o2770)  # not at mkdir: the umask would take the group's rights away
    except OSError as err:
        raise UnsafeState(f"cannot make {path}: {err.strerror}; set HAMI_STATE_DIR to a folder of your own") from err
    check_safe(path)
    return path


def check_safe(path: Path) -> None:
    """Refuse a folder that is writable for everyone or belongs to another ordinary user without a shared group.

    Raises:
        UnsafeState: says which, and the command that cures it.
    """
    info = path.stat()
    if info.st_mode & stat.S_IWOTH:
        raise UnsafeState(f"{path} can be changed by every user; run: chmod o-w {path}")
    shared = bool(info.st_mode & stat.S_IWGRP)
    if info.st_uid not in (0, os.geteuid()) and not shared:
        raise UnsafeState(f"{path} belongs to another user; set HAMI_STATE_DIR to a folder of your own")


def is_shared(folder: Path) -> bool:
    """Whether a group shares `folder`: setgid and group-writable. A home folder that happens to be 0775 is not."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWGRP and mode & stat.S_ISGID)
