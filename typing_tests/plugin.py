"""A vendor plugin and a policy as third parties write them. Never run: mypy checks that the hooks have their types."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hami_core import Device, DeviceRequest, DeviceUse, NodeFacts, Placement, PodRequest, Reason, hookimpl
from hami_core.behaviour import (
    AllocationContext,
    Allocator,
    Candidate,
    ContainerEdits,
    FitBehaviour,
    FitContext,
    NodeCodec,
    PlacementWriter,
    Probe,
    ProbedDevice,
    ProbeReport,
    Rule,
)
from hami_core.family import Family, Isolation, Resources, SelectorKeys, Units, WireNames
from hami_core.score.policy import DevicePolicy, FloatArray, NodeColumns, NodePolicy, Policy
from hami_core.testing import PluginConformance
from hami_core.wire.device_config import ConfigSections

HAMI_API = ">=1,<2"

ACME = Family(
    name="ACME",
    vendor="acme",
    resources=Resources(count="acme.com/npu", memory="acme.com/npu-memory", cores="acme.com/npu-cores"),
    units=Units(memory_unit_mib=1024, default_cores=10),
    wire=WireNames(register="acme.com/node-register", allocated="acme.com/devices-allocated"),
    selectors=SelectorKeys(allow_uuids="acme.com/use-uuid"),
    isolation=Isolation(library="lib/libhami_acme.so", visible_env="ACME_VISIBLE_DEVICES"),
)


@hookimpl
def hami_families(config: ConfigSections) -> Iterable[Family]:
    return (ACME,)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    return probe if vendor == "acme" else None


def probe() -> ProbeReport:
    card = ProbedDevice(uuid="ACME-0", index=0, model="acme-big", memory_mib=65_536, numa=None)
    return ProbeReport(vendor="acme", driver="1.2", devices=(card,))


class CapacityCodec:
    """Reads cards from the node's capacity."""

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        count = int(node.capacity.get("acme.com/npu", 0))
        return tuple(
            Device(uuid=f"{node.name}-{index}", family="ACME", model="acme-big", memory_mib=65_536)
            for index in range(count)
        )


@hookimpl
def hami_node_codec(family: Family) -> NodeCodec | None:
    return CapacityCodec()


def same_switch(use: DeviceUse, request: DeviceRequest, context: FitContext) -> bool:
    return request.count == 1 or use.device.custom.get("switch") == context.node.labels.get("acme.com/switch")


def first_ones(
    candidates: Sequence[Candidate], request: DeviceRequest, context: FitContext
) -> Sequence[Candidate] | None:
    return candidates[: request.count] if len(candidates) >= request.count else None


@hookimpl
def hami_fit(family: Family) -> FitBehaviour | None:
    return FitBehaviour(
        rules=(Rule(reason=Reason.CUSTOM_RULE, test=same_switch),),
        chooser=first_ones,
        chooses=lambda pod, request: request.count > 1,
    )


def write_switch(
    placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int
) -> Mapping[str, str]:
    return {"acme.com/placed": f"{pod.key}@{now_ns}"}


@hookimpl
def hami_place(family: Family) -> PlacementWriter | None:
    return write_switch


def allocate(context: AllocationContext) -> ContainerEdits:
    return ContainerEdits(env={"ACME_VISIBLE_DEVICES": ",".join(share.uuid for share in context.shares)})


@hookimpl
def hami_allocate(family: Family) -> Allocator | None:
    return allocate


def roomiest(nodes: NodeColumns) -> FloatArray:
    return (nodes.memory_mib - nodes.memory_used_mib).astype("float32")


def coolest(use: DeviceUse, fullness: float) -> float:
    return -fullness if use.core_units_used < 50 else -100.0


@hookimpl
def hami_policies() -> Iterable[Policy]:
    return (NodePolicy(name="roomiest", score=roomiest), DevicePolicy(name="coolest", preference=coolest))


class TestAcme(PluginConformance):
    plugin = sys.modules[__name__]
    machine = Path("machines/acme-4.json")
    docs = Path("README.md")

    @classmethod
    def simulate(cls, folder: Path) -> Mapping[str, str]:
        return {"HAMI_ACME_ROOT": str(folder)}
