"""`hami run`: a command inside a share of the accelerators."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from hami_core.cli.options import machine_of, simulate_option
from hami_core.units import INT32_MAX, memory_mib, whole_number

if TYPE_CHECKING:
    from hami_core.local.grant import Ask, NoRoom
    from hami_core.local.host import LocalHost
    from hami_core.local.sight import Card

NO_ROOM = 75  # EX_TEMPFAIL of sysexits.h: try again later
_LOOK_EVERY_S = 1.0


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="Example: hami run --simulate a40x2 --memory 8000 --cores 30 -- python train.py",
)
@click.option("--vendor", metavar="V", help="Vendor of the cards; needed where a host has several.")
@click.option("--count", metavar="N", default="1", show_default=True, help="How many cards.")
@click.option("--memory", metavar="MIB", help="MiB on each card. Default: all of it.")
@click.option("--memory-percent", metavar="P", help="Percent of each card's memory, instead of --memory.")
@click.option("--cores", metavar="P", default="0", help="Percent of each card's compute time; 0 sets no limit.")
@click.option("--priority", type=click.Choice(["0", "1"]), help="0 goes before 1 where both use one card.")
@click.option("--device-type", metavar="T", multiple=True, help="Only cards whose model contains T; may be repeated.")
@click.option(
    "--uuid", metavar="U", multiple=True, help="Only this card, by the beginning of its UUID; may be repeated."
)
@click.option(
    "--oversubscribe", is_flag=True, help="Take memory as a limit, not a reservation; the rest spills to the host."
)
@click.option("--wait", metavar="S", help="Wait up to S seconds for room.")
@simulate_option
@click.argument("command", metavar="-- COMMAND [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    *,
    vendor: str | None,
    count: str,
    memory: str | None,
    memory_percent: str | None,
    cores: str,
    priority: str | None,
    device_type: tuple[str, ...],
    uuid: tuple[str, ...],
    oversubscribe: bool,
    wait: str | None,
    simulate: str | None,
    command: tuple[str, ...],
) -> int:
    """Take a lease on shares of the cards and run COMMAND inside it.

    The command is held to its share by the vendor's isolation library. Signals go through to it, its exit code comes
    back, and the lease ends with it, whatever happens to hami. Without room: exit code 75 and a reason for each card.
    """
    if memory is not None and memory_percent is not None:
        raise click.UsageError("--memory and --memory-percent exclude each other; drop one")
    from hami_core.local.grant import Ask
    from hami_core.local.host import LocalHost
    from hami_core.local.launch import find_program
    from hami_core.registry import load_registry

    ask = Ask(
        count=whole_number(count, where="--count", low=1, unit="cards"),
        memory_mib=None if memory is None else memory_mib(memory, where="--memory", low=1),
        memory_percent=None if memory_percent is None else _percent(memory_percent, "--memory-percent", low=1),
        cores=_percent(cores, "--cores", low=0),
        priority=None if priority is None else int(priority),
        models=device_type,
        uuids=uuid,
        oversubscribe=oversubscribe,
    )
    wait_s = 0 if wait is None else whole_number(wait, where="--wait", high=INT32_MAX - 1, unit="seconds")
    program = find_program(command[0], os.environ)
    registry = load_registry()
    with LocalHost(machine_of(simulate, registry), registry) as host:
        return _take_and_run(host, host.cards(vendor, ask), ask, command, program=program, wait_s=wait_s)


def _percent(text: str, where: str, *, low: int) -> int:
    return whole_number(text, where=where, low=low, high=100, unit="percent")


def _take_and_run(
    host: LocalHost, cards: tuple[Card, ...], ask: Ask, command: tuple[str, ...], *, program: str, wait_s: int
) -> int:
    from hami_core.local.grant import NoRoom

    progress = _Progress(host.machine.name, wait_s)
    while True:
        outcome = host.run(cards, ask, command, program=program)
        if not isinstance(outcome, NoRoom):
            return outcome
        if progress.waited_s >= wait_s or not outcome.ever:
            progress.end()
            click.echo(_refusal(host, cards, ask, outcome), err=True)
            return NO_ROOM
        progress.show(outcome)
        time.sleep(min(_LOOK_EVERY_S, max(0.0, wait_s - progress.waited_s)))


def _refusal(host: LocalHost, cards: tuple[Card, ...], ask: Ask, outcome: NoRoom) -> str:
    """One line on what found no room, then one a card on why."""
    from hami_core.local.host import reasons

    if ask.memory_mib is not None:
        memory = f"{ask.memory_mib} MiB"
    else:
        memory = "all of its memory" if ask.memory_percent is None else f"{ask.memory_percent}% of its memory"
    cores = f" and {ask.cores}% of the cores" if ask.cores else ""
    count = "1 card" if ask.count == 1 else f"{ask.count} cards"
    lines = [f"hami: no room on {host.machine.name} for {count} with {memory}{cores}: {outcome.verdict}"]
    lines += [f"  {line}" for line in reasons(outcome, cards)]
    if not outcome.ever:
        lines.append("  It would not fit either if nothing else ran; ask for less.")
    return "\n".join(lines)


class _Progress:
    """Tells on stderr that and why we wait: a line that counts on a terminal, else a line when the reason changes."""

    def __init__(self, machine: str, wait_s: int) -> None:
        self._machine = machine
        self._wait_s = wait_s
        self._start_s = time.monotonic()
        self._live = sys.stderr.isatty()
        self._told = ""

    @property
    def waited_s(self) -> float:
        """Seconds since the first look."""
        return time.monotonic() - self._start_s

    def show(self, outcome: NoRoom) -> None:
        """Say why there is no room yet."""
        text = f"hami: waiting for room on {self._machine}: {outcome.verdict}"
        if self._live:
            click.echo(f"\r\x1b[K{text} ({self.waited_s:.0f} of {self._wait_s} s)", nl=False, err=True)
        elif text != self._told:
            click.echo(text, err=True)
        self._told = text

    def end(self) -> None:
        """Take the counting line away."""
        if self._live and self._told:
            click.echo("\r\x1b[K", nl=False, err=True)
