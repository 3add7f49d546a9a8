"""Changing limits files that are in use: the library looks at the file again, so what is written holds from then on.

Whoever changes a file holds the lock of its folder meanwhile, so that nobody's words are lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from hami_core.isolation.limits import CORES_ELSEWHERE, MOST_BYTES, DeviceLimits, LimitsFile, parse_limits, write_limits
from hami_core.isolation.region import RegionProcess, RegionView
from hami_core.isolation.untrusted import read_untrusted
from hami_core.units import MIB

_PATIENCE_S = 2.0
_AGAIN_S = 0.02
_SIZES = ("memory_mib=", "core_percent=")


@attrs.frozen(kw_only=True)
class Over:
    """A device of which more is used than its limit: nothing is taken back, but nothing more is given either."""

    uuid: str
    used_mib: int
    limit_mib: int

    def __str__(self) -> str:
        return (
            f"{self.uuid}: {self.used_mib} MiB in use, limit {self.limit_mib} MiB; no more is given until it is freed"
        )


@contextlib.contextmanager
def alone(folder: Path, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder of limits.

    A workload sees its folder and may hold that lock for ever, so nobody waits long for it.

    Raises:
        BlockingIOError: somebody else held it for all of `patience_s`.
        OSError: there is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        until_s = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    raise
                time.sleep(_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def rewrite(path: Path, change: Callable[[str], str], *, patience_s: float = 0.0) -> bool:
    """Change the text of a limits file; whether it had to be written. False where there is none.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the file cannot be read or written, or somebody else is at it.
        Untrustworthy: it is no file, or too large to be one.
        UnicodeDecodeError: it is no text.
    """
    with alone(path.parent, patience_s=patience_s):
        content = read_untrusted(path, most_bytes=MOST_BYTES, what="limits file")
        if content is None:
            return False
        before = content.decode()
        after = change(before)
        if after != before:
            write_limits(path, after)
        return after != before


def set_limits(path: Path, wanted: Mapping[str, DeviceLimits]) -> bool:
    """Give devices of a limits file other memory and cores; all else in it stays. Whether it had to be written.

    Raises:
        BadConfig: it is no limits file.
        OSError, Untrustworthy, UnicodeDecodeError: as `rewrite`.
    """

    def change(text: str) -> str:
        parse_limits(text, file=str(path))
        return "\n".join(_line(line, wanted) for line in text.split("\n"))

    return rewrite(path, change, patience_s=_PATIENCE_S)


def over_limits(
    limits: LimitsFile, region: RegionView | None, *, alive: Callable[[RegionProcess], bool]
) -> tuple[Over, ...]:
    """Devices of which living processes use more than their limit."""
    found = []
    by_uuid = {} if region is None else {device.uuid: index for index, device in enumerate(region.devices)}
    for device in limits.devices:
        index = by_uuid.get(device.uuid)
        if region is None or index is None or device.memory_mib is None:
            continue
        used_mib = -(-region.used_bytes(index, alive=alive) // MIB)
        if used_mib > device.memory_mib:
            found.append(Over(uuid=device.uuid, used_mib=used_mib, limit_mib=device.memory_mib))
    return tuple(found)


def read_limits(path: Path) -> LimitsFile | None:
    """A limits file; None where there is none.

    Raises:
        BadConfig: it is no limits file.
        OSError, Untrustworthy, UnicodeDecodeError: as `rewrite`.
    """
    content = read_untrusted(path, most_bytes=MOST_BYTES, what="limits file")
    return None if content is None else parse_limits(content.decode(), file=str(path))


def _line(line: str, wanted: Mapping[str, DeviceLimits]) -> str:
    """A line of the file with other limits. Words that this program does not know are a later library's, and stay."""
    parts = line.split()
    if parts[:1] != ["device"] or len(parts) == 1 or parts[1] not in wanted:
        return line
    limits = wanted[parts[1]]
    words = [] if limits.memory_mib is None else [f"memory_mib={limits.memory_mib}"]
    core_percent = 0 if CORES_ELSEWHERE in parts else limits.core_percent or 0
    words.append(f"core_percent={core_percent}")
    return " ".join([*parts[:2], *words, *(part for part in parts[2:] if not part.startswith(_SIZES))])
