"""What the monitor found on this node and the agent says: the monitor sees every process, and has no key to the API.

One file in the folder that both share. Only root writes there.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from hami_core.errors import HamiError
from hami_core.isolation.untrusted import read_untrusted

NAME = "findings.json"
_MOST_BYTES = 1 << 20
_MODE = 0o644


class Stranger(msgspec.Struct, kw_only=True, frozen=True):
    """A process by the host's pid, and its command as it calls itself."""

    pid: int
    command: str = ""


class Bypassed(msgspec.Struct, kw_only=True, frozen=True):
    """A pod with processes that use a device past the isolation library that is meant to hold them."""

    namespace: str
    pod: str
    uid: str
    processes: tuple[Stranger, ...] = ()

    @property
    def message(self) -> str:
        """What its author is to know."""
        named = ", ".join(f"{each.pid} ({each.command or '?'})" for each in self.processes)
        one = len(self.processes) == 1
        return (
            f"{'process' if one else 'processes'} {named} of this pod {'uses' if one else 'use'} a device without the "
            "isolation library: no limit holds there. A static program, or one that clears LD_PRELOAD and "
            "/etc/ld.so.preload?"
        )


class Findings(msgspec.Struct, kw_only=True, frozen=True):
    """Everything that is found now."""

    bypassed: tuple[Bypassed, ...] = ()


def write_findings(folder: Path, findings: Findings) -> None:
    """Put the file in place, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    draft = folder / f".{NAME}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(findings))
        draft.replace(folder / NAME)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_findings(folder: Path) -> Findings:
    """What the file says; nothing where there is none, or none that can be read."""
    try:
        content = read_untrusted(folder / NAME, most_bytes=_MOST_BYTES, what="list of findings")
        return Findings() if content is None else msgspec.json.decode(content, type=Findings)
    except (HamiError, OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Findings()
