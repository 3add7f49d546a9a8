"""Frees the slot of a process that is known to be dead, from outside its container.

The caller answers for the slot being nobody's: the library changes owner words by compare-and-swap, which a write
through a file is not. The file is written, never mapped, as it is read (see `region`).
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hami_core.isolation.layout import layout

if TYPE_CHECKING:
    from hami_core.isolation.region import RegionProcess

_WORD = 8


def release_slot(path: Path, process: RegionProcess) -> bool:
    """Free the slot of `process` in the region at `path`; False when the slot is another owner's by now, or gone.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        word = os.pread(descriptor, _WORD, process.owner_offset)
        if len(word) < _WORD or int.from_bytes(word, sys.byteorder) != process.owner_word:
            return False
        # One byte, so that nobody ever sees half a word. The generation may stay: the next owner raises it.
        free = layout().constants["owner_free"].to_bytes(1, sys.byteorder)
        return os.pwrite(descriptor, free, process.owner_offset + _state_byte()) == 1
    finally:
        os.close(descriptor)


def _state_byte() -> int:
    """Where in an owner word its state is: in the most significant byte."""
    return _WORD - 1 if sys.byteorder == "little" else 0
