"""`hami ps`: the leases on this host, and what they use."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.options import simulate_option
from hami_core.cli.output import emit, format_option, plain, short_uuid, stdout, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType

    from hami_core.local.usage import CardUse, LeaseUse

_REFRESH_S = 1.0
_COMMAND_WIDTH = 60  # of a command in a table; JSON has all of it


@click.command(epilog="Example: hami ps --watch")
@click.option("--watch", is_flag=True, help="Show again every second until Ctrl-C, with the compute time used of late.")
@simulate_option
@format_option()
def ps(*, watch: bool, simulate: str | None, output: str) -> int:
    """List leases: who runs what on which devices, the limit, and the use as the isolation library counts it.

    Without --simulate: this host's cards and every simulated machine of this host.
    """
    if watch and output != "table":
        raise click.UsageError("--watch is for people; drop -o, or run hami ps again for each look")
    if watch:
        _watch(simulate)
    else:
        uses = _look(simulate)
        emit({"leases": [_as_dict(use) for use in uses]}, output, lambda console: _tables(uses, console))
    return 0


def _look(simulate: str | None) -> list[LeaseUse]:
    from hami_core.local.machine import known_machines, simulated
    from hami_core.local.usage import uses_on
    from hami_core.registry import load_registry

    machines = known_machines() if simulate is None else (simulated(simulate, load_registry()),)
    return [use for machine in machines for use in uses_on(machine)]


def _watch(simulate: str | None) -> None:
    from rich.console import Group
    from rich.live import Live

    console = stdout()
    uses, seen_s = _look(simulate), time.monotonic()
    with Live(Group(*_tables(uses, console)), console=console, auto_refresh=False, screen=console.is_terminal) as live:
        try:
            while True:
                time.sleep(_REFRESH_S)
                before, since_s = {use.lease.id: use for use in uses}, seen_s
                uses, seen_s = _look(simulate), time.monotonic()
                live.update(Group(*_tables(uses, console, before, seen_s - since_s)), refresh=True)
        except KeyboardInterrupt:
            return


def _as_dict(use: LeaseUse) -> dict[str, Any]:
    lease = use.lease
    return {
        "id": lease.id,
        "machine": use.machine.name,
        "simulated": use.machine.simulated,
        "pid": lease.owner.pid,
        "pids": list(use.pids),
        "user": _user(lease.uid),
        "command": list(lease.command),
        "started_s": lease.started_s,
        "family": lease.family,
        "priority": lease.priority,
        "oversubscribe": lease.oversubscribe,
        "devices": [
            {
                "uuid": card.share.uuid,
                "memory_limit_mib": card.share.memory_mib,
                "memory_used_mib": card.memory_mib,
                "core_limit_percent": card.share.core_units or None,
                "busy_s": card.busy_s,
                "refused": card.refused,
            }
            for card in use.cards
        ],
    }


def _tables(
    uses: Sequence[LeaseUse], console: Console, before: Mapping[str, LeaseUse] | None = None, over_s: float = 1.0
) -> list[RenderableType]:
    """A table a machine. With an earlier look, cores show what was used since, too."""
    if not uses:
        return ["no leases"]
    shown: list[RenderableType] = []
    for name in sorted({use.machine.name for use in uses}):
        here = [use for use in uses if use.machine.name == name]
        made = table("LEASE", "PID", "USER", "DEVICE", "MEMORY MIB", "CORES %", "COMMAND",
                     right=("PID", "MEMORY MIB", "CORES %"), fold=("COMMAND",))  # fmt: skip
        for use in here:
            earlier = (before or {}).get(use.lease.id)
            for position, card in enumerate(use.cards):
                past = earlier.cards[position].busy_s if earlier is not None else None
                first = position == 0
                made.add_row(
                    use.lease.id if first else "",
                    str(use.lease.owner.pid) if first else "",
                    plain(_user(use.lease.uid)) if first else "",
                    short_uuid(card.share.uuid, console),
                    f"{'?' if card.memory_mib is None else card.memory_mib}/{card.share.memory_mib}",
                    _cores(card, past, over_s),
                    plain(_shortened(shlex.join(use.lease.command))) if first else "",
                )
        shown += [f"[bold]{plain(name)}[/bold]{' (simulated)' if here[0].machine.simulated else ''}", made]
    return shown


def _cores(card: CardUse, past_busy_s: float | None, over_s: float) -> str:
    limit = str(card.share.core_units or 100)
    if past_busy_s is None or card.busy_s is None:
        return limit
    return f"{100 * (card.busy_s - past_busy_s) / over_s:.0f}/{limit}"


def _shortened(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= _COMMAND_WIDTH else f"{line[: _COMMAND_WIDTH - 3]}..."


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
