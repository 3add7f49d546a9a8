"""From Kubernetes objects to the engine: nodes become devices, annotated pods become what they hold.

One odd object never stops the others: it is reported, and what can be read of it counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from hami_core.errors import BadWire
from hami_core.model import ContainerKind, ContainerShares, Device, DeviceShare, Partition, Placement
from hami_core.objects import ContainerFacts, NodeFacts, PodFacts, items, read_node, read_pod
from hami_core.placement import NODE
from hami_core.quota import NamespaceQuota, combine, read_quota
from hami_core.wire.partitions import PARTITIONS, decode_partitions
from hami_core.wire.pod_devices import decode_pod_devices

if TYPE_CHECKING:
    from hami_core.fit import Fleet
    from hami_core.registry import Registry


@attrs.frozen(kw_only=True)
class NodeInventory:
    """A node's devices over all families; `broken` says per family why its devices cannot be read."""

    node: NodeFacts
    devices: tuple[Device, ...] = ()
    broken: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class Holding:
    """What a placed pod holds. `problems` are annotations that could not be read; the rest counts all the same."""

    key: str
    label: str
    placement: Placement
    init_done: bool = False
    problems: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """The namespace whose quota pays: what stands before the slash of the label."""
        return self.label.partition("/")[0]


@attrs.frozen(kw_only=True)
class Cluster:
    """What was read from a set of objects."""

    nodes: tuple[NodeInventory, ...] = ()
    holdings: tuple[Holding, ...] = ()
    quotas: tuple[NamespaceQuota, ...] = ()
    problems: tuple[str, ...] = ()


def read_inventory(node: NodeFacts, registry: Registry) -> NodeInventory:
    """Read the devices of every family on `node`. A family whose data is malformed is broken there, alone."""
    devices: list[Device] = []
    broken: dict[str, str] = {}
    for name, loaded in registry.families.items():
        try:
            devices.extend(loaded.codec.decode(node))
        except BadWire as err:
            broken[name] = str(err)
        except Exception as err:  # noqa: BLE001 - a fault in one plugin must not hide the other families' devices
            broken[name] = f"node {node.name}: plugin {loaded.source} failed: {type(err).__name__}: {err}"
    return NodeInventory(node=node, devices=tuple(devices), broken=broken)


def read_holding(pod: PodFacts, registry: Registry) -> Holding | None:
    """What `pod` holds by its annotations; None for a pod that is not placed or has ended.

    A pod that is being deleted holds its share until it is gone.
    """
    node = pod.annotations.get(NODE)
    if not node or pod.finished:
        return None
    problems: list[str] = []
    shares: dict[str, tuple[tuple[DeviceShare, ...], ...]] = {}
    for name, loaded in registry.families.items():
        key = loaded.family.wire.allocated
        text = pod.annotations.get(key)
        if text is not None:
            try:
                shares[name] = decode_pod_devices(text, what=f"{pod.where}: annotation {key}")
            except BadWire as err:
                problems.append(str(err))
    partitions = _partitions(pod, problems)
    containers = tuple(
        _container(index, facts, shares, partitions)
        for index, facts in enumerate(_padded(pod.containers, max(map(len, shares.values()), default=0)))
    )
    return Holding(
        key=pod.key,
        label=f"{pod.namespace}/{pod.name}",
        placement=Placement(node=node, containers=containers),
        init_done=pod.init_done,
        problems=tuple(problems),
    )


def read_cluster(objects: object, registry: Registry) -> Cluster:
    """Read nodes, pods and resource quotas from objects, lists of them, or lists of lists; other kinds are ignored.

    Of two objects of one kind and name the later one counts, as in a stream of updates.
    """
    nodes: dict[str, NodeInventory] = {}
    holdings: dict[str, Holding] = {}
    quotas: dict[tuple[str, str], NamespaceQuota] = {}
    problems: list[str] = []
    for item in items(objects):
        kind = _kind(item)
        try:
            if kind == "Node":
                facts = read_node(item)
                nodes[facts.name] = read_inventory(facts, registry)
            elif kind == "Pod":
                pod = read_pod(item)
                holding = read_holding(pod, registry)
                if holding is None:
                    holdings.pop(pod.key, None)
                else:
                    holdings[pod.key] = holding
            elif kind == "ResourceQuota":
                quota = read_quota(item, registry)
                quotas[quota.namespace, quota.name] = quota
        except BadWire as err:
            problems.append(str(err))
    for inventory in nodes.values():
        problems.extend(inventory.broken.values())
    for holding in holdings.values():
        problems.extend(holding.problems)
    for quota in quotas.values():
        problems.extend(quota.problems)
    return Cluster(
        nodes=tuple(nodes[name] for name in sorted(nodes)),
        holdings=tuple(holdings[key] for key in sorted(holdings)),
        quotas=tuple(quotas[place] for place in sorted(quotas)),
        problems=tuple(problems),
    )


def feed(fleet: Fleet, cluster: Cluster) -> None:
    """Put a cluster into the engine."""
    for inventory in cluster.nodes:
        fleet.upsert_node(inventory.node, inventory.devices, broken=inventory.broken)
    for holding in cluster.holdings:
        fleet.add_pod(holding.key, holding.placement, init_done=holding.init_done, label=holding.label)
    for namespace, limits in combine(cluster.quotas).items():
        fleet.set_quota(namespace, limits)


def _kind(item: Mapping[str, Any]) -> str:
    """The object's kind; items of a raw API list carry none and are known by their parts."""
    kind = item.get("kind")
    if isinstance(kind, str) and kind:
        return kind
    spec, status = item.get("spec"), item.get("status")
    if isinstance(spec, Mapping) and "containers" in spec:
        return "Pod"
    if isinstance(spec, Mapping) and "hard" in spec:
        return "ResourceQuota"
    return "Node" if isinstance(status, Mapping) and "capacity" in status else ""


def _padded(containers: Iterable[ContainerFacts], at_least: int) -> list[ContainerFacts]:
    """The pod's containers, with nameless ones for shares of containers that the pod does not list."""
    known = list(containers)
    return known + [ContainerFacts(name="", kind=ContainerKind.APP)] * (at_least - len(known))


def _container(
    index: int,
    facts: ContainerFacts,
    shares: Mapping[str, tuple[tuple[DeviceShare, ...], ...]],
    partitions: Mapping[tuple[int, int], tuple[str, Partition]],
) -> ContainerShares:
    held: dict[str, tuple[DeviceShare, ...]] = {}
    for family, containers in shares.items():
        mine = containers[index] if index < len(containers) else ()
        if mine:
            held[family] = tuple(_with_partition(share, partitions.get((index, n))) for n, share in enumerate(mine))
    return ContainerShares(name=facts.name, kind=facts.kind, shares=held)


def _partitions(pod: PodFacts, problems: list[str]) -> dict[tuple[int, int], tuple[str, Partition]]:
    text = pod.annotations.get(PARTITIONS)
    if text is None:
        return {}
    try:
        entries = decode_partitions(text, what=f"{pod.where}: annotation {PARTITIONS}")
    except BadWire as err:
        problems.append(str(err))
        return {}
    return {(entry.container_index, entry.device_index): (entry.device_uuid, entry.partition) for entry in entries}


def _with_partition(share: DeviceShare, reserved: tuple[str, Partition] | None) -> DeviceShare:
    if reserved is None or reserved[0] != share.uuid:
        return share
    return attrs.evolve(share, partition=reserved[1])
