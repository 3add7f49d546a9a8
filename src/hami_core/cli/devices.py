"""`hami devices`: the accelerators of this host or of a simulated machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.options import machine_of, simulate_option
from hami_core.cli.output import emit, format_option, health, plain, short_uuid, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from hami_core.local.sight import Card, Sight

FAILED = 1


@click.command(epilog="Example: hami devices --simulate a40x2 -o json")
@click.option("--vendor", metavar="V", help="Only this vendor, such as nvidia.")
@simulate_option
@format_option("node")
def devices(vendor: str | None, simulate: str | None, output: str) -> int:
    """List the accelerators: vendor, index, uuid, model, memory, cores, NUMA node, health and links.

    A vendor whose driver is not installed is one quiet line; a driver that does not answer is an error of that vendor
    alone, and exit code 1. -o node prints the Kubernetes node that this machine would be, for `hami schedule`.
    """
    from hami_core.local.node import as_node
    from hami_core.local.sight import look_at
    from hami_core.registry import load_registry

    registry = load_registry()
    sight = look_at(machine_of(simulate, registry), registry, vendor)
    if output == "node":
        emit(as_node(sight, registry), "json", lambda _console: ())
    else:
        emit(_as_dict(sight), output, lambda console: _tables(sight, console))
    for name, problem in sorted(sight.failed.items()):
        click.echo(f"hami: {name}: {problem}", err=True)
    return FAILED if sight.failed else 0


def _as_dict(sight: Sight) -> dict[str, Any]:
    return {
        "machine": sight.machine.name,
        "simulated": sight.machine.simulated,
        "devices": [_card(card, sight) for card in sight.cards],
        "missing": dict(sorted(sight.missing.items())),
        "failed": dict(sorted(sight.failed.items())),
    }


def _card(card: Card, sight: Sight) -> dict[str, Any]:
    probed = card.probed
    return {
        "vendor": card.vendor,
        "family": card.device.family,
        "index": probed.index,
        "uuid": probed.uuid,
        "model": probed.model,
        "memory_mib": probed.memory_mib,
        "memory_used_mib": probed.memory_used_mib,
        "core_units": probed.core_units,
        "numa": probed.numa,
        "healthy": probed.healthy,
        "health_note": probed.health_note or None,
        "cordoned": probed.uuid in sight.cordoned,
        "mode": probed.mode,
        "links": [{"peer_uuid": link.peer_uuid, "kind": link.kind, "count": link.count} for link in probed.links],
    }


def _tables(sight: Sight, console: Console) -> list[RenderableType]:
    shown: list[RenderableType] = []
    if sight.cards:
        made = table(
            "VENDOR", "#", "UUID", "MODEL", "MEMORY MIB", "CORES", "NUMA", "HEALTH", "LINKS",
            right=("#", "MEMORY MIB", "CORES", "NUMA"), fold=("MODEL", "LINKS"),
        )  # fmt: skip
        for card in sight.cards:
            probed = card.probed
            made.add_row(
                plain(card.vendor),
                str(probed.index),
                short_uuid(probed.uuid, console),
                plain(probed.model),
                "unknown" if probed.memory_mib is None else str(probed.memory_mib),
                str(probed.core_units),
                plain(probed.numa),
                health(probed, cordoned=probed.uuid in sight.cordoned),
                plain(_links(card, sight)),
            )
        shown.append(made)
    elif not sight.failed:
        shown.append(f"no devices on {plain(sight.machine.name)}")
    shown.extend(f"[dim]{plain(name)}: {plain(note)}[/dim]" for name, note in sorted(sight.missing.items()))
    return shown


def _links(card: Card, sight: Sight) -> str:
    """Peers by their index: ``nvlink x4 to 1-3``; a link to a card that is not listed keeps its UUID."""
    index_of = {other.probed.uuid: other.probed.index for other in sight.cards}
    peers: dict[str, list[str | int]] = {}
    for link in card.probed.links:
        kind = f"{link.kind} x{link.count}" if link.count > 1 else link.kind
        peers.setdefault(kind, []).append(index_of.get(link.peer_uuid, link.peer_uuid))
    return "; ".join(f"{kind} to {_ranges(names)}" for kind, names in peers.items())


def _ranges(names: Sequence[str | int]) -> str:
    """``1-3, 5`` for indexes; names stand as they are, after them."""
    runs: list[list[int]] = []
    for index in sorted(name for name in names if isinstance(name, int)):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    numbers = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ", ".join([*numbers, *(name for name in names if isinstance(name, str))])
