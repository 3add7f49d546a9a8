"""What `hami top` shows of one host: its devices, and the shares of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hami_core.cli.output import bar, health, plain, short_uuid, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from hami_core.monitor.devices import HostDevice
    from hami_core.monitor.picture import Picture, ShareUse

_NS = 10**9


def as_dict(picture: Picture) -> dict[str, Any]:
    """The document for programs."""
    return {
        "devices": [_device(device) for device in picture.devices.devices],
        "shares": [_share(use, picture) for use in picture.uses()],
        "failed": dict(sorted(picture.devices.failed.items())),
    }


def _device(device: HostDevice) -> dict[str, Any]:
    probed = device.card.probed
    return {
        "node": device.node,
        "vendor": device.card.vendor,
        "index": probed.index,
        "uuid": probed.uuid,
        "model": probed.model,
        "memory_mib": probed.memory_mib,
        "memory_used_mib": probed.memory_used_mib,
        "busy_percent": probed.core_busy_percent,
        "healthy": probed.healthy,
        "cordoned": device.cordoned,
    }


def _share(use: ShareUse, picture: Picture) -> dict[str, Any]:
    owner, limits, seen = use.workload.owner, use.share.limits, use.share.device
    ratio = None if use.reading is None else use.reading.busy_ratio
    return {
        "node": owner.node,
        "namespace": owner.namespace,
        "pod": owner.pod,
        "container": owner.container,
        "device_uuid": limits.uuid,
        "memory_limit_mib": limits.memory_mib,
        "memory_used_bytes": use.used_bytes,
        "core_limit_percent": limits.core_percent,
        "busy_s": 0 if seen is None else seen.busy_ns / _NS,
        "busy_ratio": ratio,
        "throttled_s": 0 if seen is None else seen.throttled_ns / _NS,
        "refused": 0 if seen is None else seen.refused_count,
        "priority": None if use.workload.limits is None else use.workload.limits.priority,
        "contended": limits.contended,
        "yields": limits.yields,
        "isolated": picture.isolated(use.workload),
        "pids": list(picture.pids(use.workload)),
        "problems": list(use.workload.problems),
    }


def tables(picture: Picture, console: Console) -> Sequence[RenderableType]:
    """The tables for people."""
    devices = table("#", "DEVICE", "MODEL", "MEMORY MIB", "", "BUSY %", "", "HEALTH",
                    right=("#", "MEMORY MIB", "BUSY %"), fold=("MODEL",))  # fmt: skip
    for each in picture.devices.devices:
        probed = each.card.probed
        whole = probed.memory_mib or 0
        used = probed.memory_used_mib
        busy = probed.core_busy_percent
        devices.add_row(
            str(probed.index),
            short_uuid(probed.uuid, console),
            plain(probed.model),
            f"{'?' if used is None else used}/{whole or '?'}",
            bar(None if used is None or not whole else used / whole),
            "?" if busy is None else str(busy),
            bar(None if busy is None else busy / 100),
            health(probed, cordoned=each.cordoned),
        )
    shares = table("SHARE", "COMMAND", "DEVICE", "MEMORY MIB", "", "CORES %", "WAITED S", "REFUSED", "STATE",
                   right=("MEMORY MIB", "CORES %", "WAITED S", "REFUSED"), fold=("COMMAND", "STATE"))  # fmt: skip
    for use in picture.uses():
        _add_share(shares, use, picture, console)
    failed = [f"[red]{plain(vendor)}: {plain(why)}[/red]" for vendor, why in sorted(picture.devices.failed.items())]
    nothing = [] if picture.workloads else ["no leases"]
    return [devices, "", shares, *nothing, *failed]


def _add_share(shares: Any, use: ShareUse, picture: Picture, console: Console) -> None:
    from hami_core.units import MIB

    limits, seen = use.share.limits, use.share.device
    used_mib = -(-use.used_bytes // MIB)
    ratio = None if use.reading is None else use.reading.busy_ratio
    first = use.share.position == 0
    shares.add_row(
        plain(use.workload.owner.pod) if first else "",
        plain(use.workload.owner.container) if first else "",
        short_uuid(limits.uuid, console),
        f"{used_mib}/{'-' if limits.memory_mib is None else limits.memory_mib}",
        bar(use.used_bytes / (limits.memory_mib * MIB) if limits.memory_mib else None),
        f"{'?' if ratio is None else round(100 * ratio)}/{limits.core_percent or 100}",
        f"{0 if seen is None else seen.throttled_ns / _NS:.1f}",
        "0" if seen is None else str(seen.refused_count),
        _state(use, picture),
    )


def _state(use: ShareUse, picture: Picture) -> str:
    limits = use.share.limits
    if use.workload.problems:
        return f"[red]{plain(use.workload.problems[0])}[/red]"
    if not picture.isolated(use.workload):
        return "[dim]no device in use[/dim]"
    words = [
        word
        for word, holds in (
            ("high priority", use.workload.limits is not None and use.workload.limits.priority == 0),
            ("shares the device", limits.contended),
            ("not held", limits.contended is False and limits.core_percent is not None),
            ("yields", limits.yields),
        )
        if holds
    ]
    return ", ".join(words) or "isolated"
