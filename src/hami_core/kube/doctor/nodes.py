"""Nodes: which devices they register, what of that cannot be read, and locks that nobody frees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hami_core.errors import BadQuantity, BadWire
from hami_core.units import duration_s, whole_number
from hami_core.wire.handshake import decode_handshake
from hami_core.wire.node_lock import decode_lock

if TYPE_CHECKING:
    from hami_core.inventory import NodeInventory
    from hami_core.kube.cache import Cache
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Look

LABEL = ("gpu", "on")
"""What HAMi's device plugin runs on."""


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Look at every node that has, or should have, devices."""
    cache = await look.cache()
    found = [finding for name in sorted(cache.inventories) for finding in _node(check, cache, cache.inventories[name])]
    cards = Counter(device.family for each in cache.inventories.values() for device in each.devices)
    if not cards:
        text = f"none of {len(cache.inventories)} nodes registers a device"
        return [*found, check.problem("nodes", text, "install device plugins, or hami node-agent (docs/install.md)")]
    told = ", ".join(f"{count} {family}" for family, count in sorted(cards.items()))
    holders = sum(bool(each.devices) for each in cache.inventories.values())
    return [check.ok("nodes", f"{holders} of {len(cache.inventories)} register devices: {told}"), *found]


def _node(check: Check, cache: Cache, found: NodeInventory) -> Iterator[Finding]:
    node = found.node
    about = f"node {node.name}"
    for text in found.broken.values():
        yield check.problem(about, text, "restart the device plugin of the node, which writes the annotation")
    families = {device.family for device in found.devices}
    for name, loaded in cache.registry.families.items():
        wire, counted = loaded.family.wire, loaded.family.resources.count
        if name not in families and name not in found.broken and wire.register and _offers(node.allocatable, counted):
            yield check.problem(
                about,
                f"kubelet offers {counted} there, and annotation {wire.register} is missing",
                "is another vendor's plugin serving the resource? Remove it, and see the log of ours",
            )
        asked = decode_handshake(node.annotations.get(wire.handshake, "")) if wire.handshake else None
        if asked is not None and asked.asking and name in families:
            since = f" since {asked.since}" if asked.since else ""
            yield check.note(
                about,
                f"its {name} device plugin has not answered{since} ({wire.handshake}): what is registered may be old",
                "does the plugin's pod run on the node?",
            )
    if not families and not found.broken and node.labels.get(LABEL[0]) == LABEL[1]:
        text = f"has the label {'='.join(LABEL)} and registers no device"
        yield check.problem(about, text, "see the log of the device plugin's pod on the node")
    sick = sorted(device.uuid for device in found.devices if not device.healthy)
    if sick:
        yield check.problem(about, f"unhealthy cards: {', '.join(sick)}", "see the log of the node's device plugin")


def _offers(allocatable: Mapping[str, object], resource: str) -> bool:
    try:
        return whole_number(allocatable.get(resource, 0), where=resource) > 0
    except BadQuantity:
        return False


async def check_locks(look: Look, check: Check) -> Sequence[Finding]:
    """Look at every lock."""
    home = await look.home()
    text = "5m" if home is None else home.value("--node-lock-timeout", "5m")
    timeout_s = duration_s(text, where="--node-lock-timeout")
    cache = await look.cache()
    pods = {(pod.namespace, pod.name) for pod, _ in await look.pods()}
    found = []
    for node, held in sorted(cache.locks.items()):
        for key, value in sorted(held.items()):
            about, do = f"node {node}", f"kubectl annotate node {node} {key}-"
            try:
                lock = decode_lock(value, what=f"annotation {key}")
            except BadWire as err:
                found.append(check.problem(about, str(err), f"the leader frees it within a minute; or: {do}"))
                continue
            whose = "/".join(lock.owner) if lock.owner else "a pod that is not named"
            if lock.owner is not None and lock.owner not in pods:
                text = f"is locked ({key}) since {lock.since:%H:%M:%S} UTC for pod {whose}, which is gone"
                found.append(check.problem(about, text, f"the leader frees it within a minute; or: {do}"))
            elif lock.expired(look.now, timeout_s):
                text = f"is locked ({key}) for {whose} since {lock.since:%Y-%m-%d %H:%M:%S} UTC, longer than may be"
                found.append(check.problem(about, text, f"see the log of the node's device plugin; then: {do}"))
            else:
                found.append(check.note(about, f"is locked ({key}) for pod {whose} since {lock.since:%H:%M:%S} UTC"))
    return found or [check.ok("locks", "no node is locked")]
