"""What `hami top --cluster` shows: nodes, their devices, and the pods that hold parts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hami_core.cli.output import bar, plain, short_uuid, table
from hami_core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from hami_core.monitor.cluster import ClusterCard, ClusterNode, ClusterShare, ClusterView


def as_dict(view: ClusterView) -> dict[str, Any]:
    """The document for programs; what is not known is null."""
    return {
        "nodes": [_node(node) for node in view.nodes],
        "devices": [_card(card) for node in view.nodes for card in node.cards],
        "shares": [_share(share) for share in view.shares],
        "problems": list(view.problems),
    }


def _node(node: ClusterNode) -> dict[str, Any]:
    used = [card.numbers.memory_used_bytes for card in node.cards]
    busy = [card.numbers.busy_ratio for card in node.cards]
    return {
        "node": node.name,
        "devices": len(node.cards),
        "shares": node.shares,
        "memory_mib": sum(card.use.device.memory_mib for card in node.cards),
        "memory_promised_mib": sum(card.use.memory_used_mib for card in node.cards),
        "memory_used_bytes": _sum(used),
        "busy_ratio": None if (total := _sum(busy)) is None else total / len(busy),
        "unknown_because": node.silent or None,
    }


def _card(card: ClusterCard) -> dict[str, Any]:
    use, device = card.use, card.use.device
    return {
        "node": card.node,
        "family": device.family,
        "index": device.index,
        "uuid": device.uuid,
        "model": device.model,
        "mode": device.mode,
        "healthy": device.healthy,
        "cordoned": use.cordoned,
        "shares": use.slots_used,
        "shares_at_most": device.slots,
        "memory_mib": device.memory_mib,
        "memory_promised_mib": use.memory_used_mib,
        "memory_used_bytes": card.numbers.memory_used_bytes,
        "memory_drift_bytes": card.numbers.drift_bytes,
        "core_units": device.core_units,
        "core_units_promised": use.core_units_used,
        "busy_ratio": card.numbers.busy_ratio,
    }


def _share(share: ClusterShare) -> dict[str, Any]:
    return {
        "node": share.node,
        "namespace": share.namespace,
        "pod": share.pod,
        "container": share.container,
        "family": share.family,
        "device_uuid": share.uuid,
        "memory_limit_mib": share.memory_mib,
        "memory_used_bytes": share.memory_used_bytes,
        "core_units": share.core_units,
        "core_ratio": share.core_ratio,
        "busy_ratio": share.busy_ratio,
        "isolated": share.isolated,
        "bypassed": share.bypassed,
    }


def tables(view: ClusterView, console: Console) -> Sequence[RenderableType]:
    """The tables for people. A question mark stands for what no monitor tells; the last lines say why."""
    if not view.nodes:
        return ["no node registers a device", *_red(view.problems)]
    silent = [f"[yellow]used: unknown on node {plain(node.name)}: {plain(node.silent)}[/]"
              for node in view.nodes if node.silent]  # fmt: skip
    pods = [_shares(view.shares, console)] if view.shares else ["no pod holds a device"]
    return [_nodes(view.nodes), "", _cards(view.nodes, console), "", *pods, *silent, *_red(view.problems)]


def _nodes(nodes: Sequence[ClusterNode]) -> RenderableType:
    made = table("NODE", "DEVICES", "SHARES", "PROMISED MIB", "", "USED MIB", "", "BUSY %",
                 right=("DEVICES", "SHARES", "PROMISED MIB", "USED MIB", "BUSY %"))  # fmt: skip
    for node in nodes:
        row = _node(node)
        whole, promised = row["memory_mib"], row["memory_promised_mib"]
        made.add_row(
            plain(node.name),
            str(row["devices"]),
            str(row["shares"]),
            f"{promised}/{whole}",
            bar(promised / whole if whole else None),
            _mib(row["memory_used_bytes"]),
            bar(_part(row["memory_used_bytes"], whole)),
            _percent(row["busy_ratio"]),
        )
    return _done(made)


def _cards(nodes: Sequence[ClusterNode], console: Console) -> RenderableType:
    made = table("NODE", "#", "DEVICE", "MODEL", "SHARES", "PROMISED MIB", "USED MIB", "", "BUSY %", "HEALTH",
                 right=("#", "SHARES", "PROMISED MIB", "USED MIB", "BUSY %"), fold=("MODEL",))  # fmt: skip
    for node in nodes:
        for place, card in enumerate(node.cards):
            use, device = card.use, card.use.device
            health = "[yellow]cordoned[/]" if use.cordoned else "ok" if device.healthy else "[red]unhealthy[/]"
            made.add_row(
                plain(node.name) if place == 0 else "",
                str(device.index),
                short_uuid(device.uuid, console),
                plain(device.model),
                f"{use.slots_used}/{device.slots}",
                f"{use.memory_used_mib}/{device.memory_mib}",
                _mib(card.numbers.memory_used_bytes),
                bar(_part(card.numbers.memory_used_bytes, device.memory_mib)),
                _percent(card.numbers.busy_ratio),
                health,
            )
    return _done(made)


def _shares(shares: Sequence[ClusterShare], console: Console) -> RenderableType:
    made = table("POD", "CONTAINER", "NODE", "DEVICE", "USED MIB", "", "BUSY %", "ISOLATION",
                 right=("USED MIB", "BUSY %"), fold=("POD",))  # fmt: skip
    for share in shares:
        limit = share.memory_mib
        made.add_row(
            plain(f"{share.namespace}/{share.pod}"),
            plain(share.container),
            plain(share.node),
            short_uuid(share.uuid, console),
            f"{_mib(share.memory_used_bytes)}/{limit}",
            bar(_part(share.memory_used_bytes, limit)),
            f"{_percent(share.busy_ratio)}/{_percent(share.core_ratio or 1)}",
            _isolation(share),
        )
    return _done(made)


def _isolation(share: ClusterShare) -> str:
    if share.bypassed:
        return "[red]bypassed[/]"
    return {None: "?", True: "on", False: "[dim]no process[/]"}[share.isolated]


def _done(made: Any) -> RenderableType:
    shown: RenderableType = made
    return shown


def _red(problems: Iterable[str]) -> list[str]:
    return [f"[red]{plain(text)}[/]" for text in problems]


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum, or None where one of them is not known: a part is not the whole."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _part(used_bytes: float | None, of_mib: int) -> float | None:
    return None if used_bytes is None or not of_mib else used_bytes / (of_mib * MIB)


def _mib(used_bytes: float | None) -> str:
    return "?" if used_bytes is None else str(-(-int(used_bytes) // MIB))


def _percent(ratio: float | None) -> str:
    return "?" if ratio is None else str(round(100 * ratio))
