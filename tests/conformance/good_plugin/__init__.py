"""A plugin that keeps every rule and offers all that the kit looks at. The tests break it, one rule at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hami_core import Device, DeviceRequest, DeviceUse, NodeFacts, Placement, PodRequest, Reason, hookimpl
from hami_core.admission import table_admit
from hami_core.behaviour import (
    Admitter,
    AllocationContext,
    Allocator,
    Candidate,
    ContainerEdits,
    Edits,
    FitBehaviour,
    FitContext,
    NodeCodec,
    PlacementWriter,
    Probe,
    ProbedDevice,
    ProbeReport,
    RequestParser,
    Rule,
)
from hami_core.family import Family, Isolation, Resources, SelectorKeys, Template, Units, WireNames
from hami_core.model import Partition
from hami_core.objects import ContainerFacts, PodFacts
from hami_core.requests import TableRequest
from hami_core.score.policy import DevicePolicy, FloatArray, NodeColumns, NodePolicy, Policy
from hami_core.wire.device_config import ConfigSections
from hami_core.wire.partitions import PARTITIONS, PartitionEntry, encode_partitions
from hami_core.wire.register import RegisterCodec

COUNT = "good.test/card"
MEMORY = "good.test/memory"
ALLOCATED = "good.test/allocated"


def family() -> Family:
    return Family(
        name="Good",
        vendor="good",
        resources=Resources(count=COUNT, memory=MEMORY, cores="good.test/cores"),
        units=Units(default_cores=20),
        wire=WireNames(
            register="good.test/register",
            to_allocate="good.test/to-allocate",
            allocated=ALLOCATED,
        ),
        selectors=SelectorKeys(allow_uuids="good.test/use-uuid", deny_uuids="good.test/nouse-uuid"),
        templates=(
            Template(name="small", memory_mib=16_384, core_units=20),
            Template(name="large", memory_mib=32_768, core_units=50),
        ),
        isolation=Isolation(library="lib/libgood.so", visible_env="GOOD_VISIBLE"),
    )


@hookimpl
def hami_families(config: ConfigSections) -> Iterable[Family]:
    return (family(),)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    return probe


def probe() -> ProbeReport:
    try:
        lines = read_driver()
    except FileNotFoundError:
        return ProbeReport(vendor="good", missing="no driver")
    return ProbeReport(vendor="good", driver="1", devices=tuple(card(line) for line in lines))


def read_driver() -> list[str]:
    return Path(os.environ.get("GOOD_ROOT", "/"), "sys/class/good/cards").read_text(encoding="utf-8").splitlines()


def card(line: str) -> ProbedDevice:
    uuid, index, memory_mib = line.split()
    return ProbedDevice(uuid=uuid, index=int(index), model="good", memory_mib=int(memory_mib))


class Codec:
    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        cards = RegisterCodec(family()).decode(node)
        return cards


@hookimpl
def hami_node_codec(family: Family) -> NodeCodec:
    return Codec()


@hookimpl
def hami_admit(family: Family) -> Admitter:
    return admit


def admit(pod: PodFacts, container: ContainerFacts) -> Edits:
    edits = table_admit(family())(pod, container)
    return edits


@hookimpl
def hami_request(family: Family) -> RequestParser:
    return request


def request(pod: PodFacts, container: ContainerFacts) -> DeviceRequest | None:
    asked = TableRequest(family())(pod, container)
    return asked


@hookimpl
def hami_fit(family: Family) -> FitBehaviour:
    return FitBehaviour(
        gate=gate,
        rules=(Rule(reason=Reason.CUSTOM_RULE, test=acceptable),),
        chooser=choose,
        chooses=lambda _pod, _request: True,
        partitioner=partition,
    )


def gate(request: DeviceRequest, context: FitContext) -> Reason | None:
    return None


def acceptable(use: DeviceUse, request: DeviceRequest, context: FitContext) -> bool:
    return True


def choose(candidates: Sequence[Candidate], request: DeviceRequest, context: FitContext) -> Sequence[Candidate] | None:
    chosen = candidates[: request.count]
    return chosen


def partition(use: DeviceUse, memory_mib: int, request: DeviceRequest) -> tuple[Partition, int, int] | None:
    taken = [partition.placement for partition in use.partitions]
    for profile in use.device.profiles:
        for place in profile.placements:
            if profile.memory_mib >= memory_mib and not any(place.overlaps(other) for other in taken):
                return Partition(profile=profile.name, placement=place), profile.memory_mib, profile.core_units
    return None


@hookimpl
def hami_place(family: Family) -> PlacementWriter:
    return place


def place(placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int) -> Mapping[str, str]:
    written = {"good.test/at": str(now_ns)}
    entries = [
        PartitionEntry(container_index=i, device_index=j, device_uuid=share.uuid, partition=share.partition)
        for i, shares in enumerate(placement.shares_of("Good"))
        for j, share in enumerate(shares)
        if share.partition is not None
    ]
    if entries:
        written[PARTITIONS] = encode_partitions(entries)
    return written if placement.families else {}


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    return allocate


def allocate(context: AllocationContext) -> ContainerEdits:
    uuids = [share.uuid for share in context.shares]
    return ContainerEdits(env={"GOOD_VISIBLE": ",".join(uuids)}, device_nodes=(("/dev/good", "rw"),))


def score(nodes: NodeColumns) -> FloatArray:
    scores = (nodes.memory_mib - nodes.memory_used_mib).astype("float32")
    return scores


def preference(use: DeviceUse, fullness: float) -> float:
    return -fullness


@hookimpl
def hami_policies() -> Iterable[Policy]:
    return (NodePolicy(name="good-nodes", score=score), DevicePolicy(name="good-cards", preference=preference))
