"""A synthetic fleet of any size and the requests to measure it with: the workload HAMi's scheduler was measured on.

Nodes of equal cards; pod j of node i holds two of them, so that at 20 pods a node of 8 cards every card has 5 of 10
slots and 50 of 100 cores taken. A and B fit every node then (the worst case for scoring), C fits none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from hami_core.family import Family, Resources, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.model import (
    ContainerRequest,
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    Placement,
    PodRequest,
)
from hami_core.objects import NodeFacts
from hami_core.placement import NODE
from hami_core.registry import Registry, load_registry
from hami_core.score import builtin
from hami_core.wire.pod_devices import encode_pod_devices
from hami_core.wire.register import encode_json

if TYPE_CHECKING:
    from hami_core.fit import Fleet

FAMILY = "NVIDIA"
MODEL = "NVIDIA A100-SXM4-80GB"
CARD_MEMORY_MIB = 81_920
SLOTS = 10
CORES_HELD = 10
CARDS_HELD = 2
_CARDS_PER_NUMA_NODE = 4

REQUESTS: Mapping[str, DeviceRequest] = MappingProxyType(
    {
        "A": DeviceRequest(family=FAMILY, count=1, memory_mib=10_000, core_units=10),
        "B": DeviceRequest(family=FAMILY, count=4, memory_mib=10_000, core_units=30),
        "C": DeviceRequest(family=FAMILY, count=1, memory_mib=10_000, core_units=60),
    }
)


WIRE = WireNames(register="bench.test/register", allocated="bench.test/allocated")


class _PlainPlugin:
    """The family alone, where the vendor's plugin is not installed."""

    @hookimpl
    def hami_families(self, config: Any) -> list[Family]:  # noqa: ARG002 - the hook's signature
        resources = Resources(count="nvidia.com/gpu", memory="nvidia.com/gpumem", cores="nvidia.com/gpucores")
        return [Family(name=FAMILY, vendor="nvidia", resources=resources, wire=WIRE)]


def workload_registry() -> Registry:
    """The installed plugins, or the workload's family alone where none of them serves it."""
    installed = load_registry()
    return installed if FAMILY in installed.families else load_registry(plugins=[builtin, _PlainPlugin()])


def most_pods(nodes: int, devices: int) -> int:
    """How many pods of this workload such a fleet can hold."""
    return nodes * (devices * SLOTS // CARDS_HELD)


def node_name(node: int) -> str:
    """The name of node number `node`."""
    return f"gpu-node-{node:05d}"


def card_uuid(node: int, card: int) -> str:
    """The uuid of a card of that node."""
    return f"GPU-{node:08x}-0000-4000-8000-{card:012x}"


def cards(node: int, devices: int) -> tuple[Device, ...]:
    """The cards of node number `node`."""
    return tuple(
        Device(
            uuid=card_uuid(node, card),
            family=FAMILY,
            model=MODEL,
            index=card,
            memory_mib=CARD_MEMORY_MIB,
            slots=SLOTS,
            numa=card // _CARDS_PER_NUMA_NODE,
            mode="hami-core",
        )
        for card in range(devices)
    )


def add_nodes(fleet: Fleet, nodes: int, devices: int) -> None:
    """Feed the fleet its nodes."""
    for node in range(nodes):
        fleet.upsert_node(NodeFacts(name=node_name(node)), cards(node, devices))


def placements(nodes: int, devices: int, pods: int) -> Iterator[tuple[str, Placement]]:
    """Keys and placements of `pods` pods, the same number on every node as far as it divides."""
    for number in range(pods):
        place, node = divmod(number, nodes)
        memory_mib = 4096 + 512 * ((7 * node + 3 * place) % 16)
        shares = tuple(
            DeviceShare(uuid=card_uuid(node, card % devices), memory_mib=memory_mib, core_units=CORES_HELD)
            for card in range(CARDS_HELD * place, CARDS_HELD * (place + 1))
        )
        container = ContainerShares(name="main", shares={FAMILY: shares})
        yield f"default/pod-{node}-{place}", Placement(node=node_name(node), containers=(container,))


def cluster_json(registry: Registry, nodes: int, devices: int, pods: int) -> bytes:
    """The same fleet as a list of Kubernetes objects: what a scheduler reads when it starts."""
    wire = registry.families[FAMILY].family.wire
    assert wire.register is not None
    items: list[dict[str, Any]] = [
        {
            "kind": "Node",
            "metadata": {"name": node_name(n), "annotations": {wire.register: encode_json(cards(n, devices))}},
        }
        for n in range(nodes)
    ]
    for key, placement in placements(nodes, devices, pods):
        namespace, _, name = key.partition("/")
        annotations = {
            NODE: placement.node,
            wire.allocated: encode_pod_devices(placement.shares_of(FAMILY), family=FAMILY),
        }
        items.append(
            {
                "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "uid": key, "annotations": annotations},
                "spec": {"nodeName": placement.node, "containers": [{"name": "main"}]},
                "status": {"phase": "Running"},
            }
        )
    return msgspec.json.encode({"kind": "List", "items": items})


def pod_request(request: DeviceRequest, *, name: str = "bench", policy: str = "binpack") -> PodRequest:
    """A pod of one container with that request, and `policy` for nodes and cards alike."""
    container = ContainerRequest(name="main", devices=(request,))
    return PodRequest(name=name, containers=(container,), node_policy=policy, device_policy=policy)
