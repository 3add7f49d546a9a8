"""`hami exec`: one more command inside a share that is already held."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hami_core.errors import HamiError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable

    from hami_core.local.lease import Lease


_STARTING_S = 10.0
_LOOK_EVERY_S = 0.05


class NotYourLease(HamiError):
    """A lease of another user: its environment, and so its share, is closed to us."""


@click.command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    epilog="Example: hami exec 3f2a -- nvitop --once",
)
@click.argument("lease")
@click.argument("command", metavar="-- COMMAND [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
def enter(lease: str, command: tuple[str, ...]) -> None:
    """Run COMMAND inside the share of LEASE, an id or its beginning as `hami ps` shows it.

    It counts against the same limits as the command that the lease was taken for, and takes this process's place.
    """
    from hami_core.local.launch import find_program

    if command[0] == "--":
        command = command[1:]
    if not command:
        raise click.UsageError("say which command to run")
    environ = _environment(*_find(lease))
    os.execve(find_program(command[0], environ), list(command), environ)  # noqa: S606 - running a command is the task


def _find(start: str) -> tuple[str, Callable[[], Lease | None]]:
    """The lease whose id begins so, and a way to look at it again."""
    from hami_core.local.machine import known_machines
    from hami_core.local.usage import uses_on

    def leases() -> list[Lease]:
        return [use.lease for machine in known_machines() for use in uses_on(machine)]

    found = leases()
    matches = [lease.id for lease in found if lease.id.startswith(start)]
    if len(matches) != 1:
        known = tuple(matches) or tuple(lease.id for lease in found)
        raise UnknownName(kind="single lease" if matches else "lease", name=start, known=known)
    return matches[0], lambda: next((lease for lease in leases() if lease.id == matches[0]), None)


def _environment(lease_id: str, look: Callable[[], Lease | None]) -> dict[str, str]:
    """The environment that the lease's command was started with."""
    deadline_s = time.monotonic() + _STARTING_S
    while (lease := look()) is not None and time.monotonic() < deadline_s:
        try:
            raw = Path(f"/proc/{lease.owner.pid}/environ").read_bytes()
        except PermissionError as err:
            raise NotYourLease(f"lease {lease_id} belongs to another user; only that user can enter it") from err
        except OSError:
            break
        pairs = (entry.partition("=") for entry in os.fsdecode(raw).split("\0") if entry)
        environ = {name: value for name, _, value in pairs}
        # Until the command executes, its process is still hami's own, outside of the share.
        if Path(environ.get("HAMI_LIMITS_FILE", "")).parent.name == lease_id:
            return environ
        time.sleep(_LOOK_EVERY_S)
    raise UnknownName(kind="running command of lease", name=lease_id)
