"""Cards of this machine that an operator has taken out of service: a file beside the leases, read by `hami run`.

One UUID a line. Containers under Kubernetes go by the node's annotation instead.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from hami_core.local.state import UnsafeState, is_shared, make_dir

_FILE = "cordoned"
_MOST_BYTES = 65536
_READABLE = 0o600
_SHARED = 0o660


def cordoned_cards(folder: Path) -> tuple[str, ...]:
    """UUIDs of the cordoned cards of the machine whose state is in `folder`; none where nothing was ever cordoned.

    Raises:
        UnsafeState: the file is there and cannot be read: a card must not be given out by mistake.
    """
    try:
        with (folder / _FILE).open("rb") as file:
            content = file.read(_MOST_BYTES).decode()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as err:
        problem = err.strerror if isinstance(err, OSError) else "is not UTF-8 text"
        raise UnsafeState(f"{folder / _FILE}: {problem}; it must list cordoned cards, one UUID a line") from err
    return tuple(dict.fromkeys(line.strip() for line in content.splitlines() if line.strip()))


def set_cordoned(folder: Path, uuid: str, *, on: bool) -> bool:
    """Cordon a card, or end its cordon; whether anything had to be changed.

    Raises:
        UnsafeState: the folder or the file cannot be used.
    """
    make_dir(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = cordoned_cards(folder)
        if on == (uuid in before):
            return False
        _write(folder, [*before, uuid] if on else [each for each in before if each != uuid])
    except OSError as err:
        raise UnsafeState(f"cannot write {folder / _FILE}: {err.strerror}") from err
    finally:
        os.close(descriptor)
    return True


def _write(folder: Path, uuids: list[str]) -> None:
    draft = folder / f".{_FILE}.{secrets.token_hex(8)}"
    draft.write_text("".join(f"{uuid}\n" for uuid in uuids), encoding="utf-8")
    try:
        draft.chmod(_SHARED if is_shared(folder) else _READABLE)
        draft.replace(folder / _FILE)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
