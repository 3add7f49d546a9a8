"""Cambricon MLU.

What differs from other vendors: where no node agent registers cards, they are derived from the node's capacity; memory
is asked for in pieces of 256 MiB; a request without cores takes the whole card; Cambricon's own device plugin, in its
mode dynamic-smlu, makes hardware instances from two pod annotations, and serialises binds by a lock of its own.

Facts: wire contract sections 1.1, 1.5 and 4.2; Cambricon/cambricon-k8s-device-plugin, pkg/nodeLabel (model label).
Modules: `probe` (CNDEV), `profile` (Cambricon's word for a share), `allocate` (what a container gets).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hami_core.family import Family, Isolation, NodeLock, RegisterForm, SelectorKeys, Units, VisibleForm, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.model import Device, Placement, PodRequest
from hami_core.packaged import machines_in
from hami_core.wire.capacity import capacity_codec
from hami_core.wire.device_config import ConfigSections, Name, ResourceNames
from hami_core.wire.register import RegisterCodec
from hami_mlu.profile import ASSIGNED, PIECE_MIB, PROFILE, instance_profile

if TYPE_CHECKING:
    from hami_core.behaviour import Allocator, NodeCodec, PlacementWriter, Probe
    from hami_core.objects import NodeFacts

VENDOR = "mlu"
_MODEL_LABEL = "Model"  # written by the device plugin: the model of the node's first card, such as "MLU370-X8"

WIRE = WireNames(
    register="hami.io/node-mlu-register",  # the node agent's: HAMi knows the cards by capacity alone
    register_form=RegisterForm.CAPACITY,
    to_allocate="hami.io/cambricon-mlu-devices-to-allocate",
    allocated="hami.io/cambricon-mlu-devices-allocated",
    lock=NodeLock.DSMLU,
)
SELECTORS = SelectorKeys(
    allow_types="cambricon.com/use-mlutype",
    deny_types="cambricon.com/nouse-mlutype",
    allow_uuids="cambricon.com/use-gpuuuid",
    deny_uuids="cambricon.com/nouse-gpuuuid",
)
UNITS = Units(memory_unit_mib=PIECE_MIB, default_cores=100)
ISOLATION = Isolation(
    library="lib/libhami_mlu.so",
    simulator_dir="lib/fake/mlu",
    visible_env="MLU_VISIBLE_DEVICES",
    visible_form=VisibleForm.INDEX,
    runtime_env="CAMBRICON_VISIBLE_DEVICES",
)


class CambriconConfig(ResourceNames, frozen=True, kw_only=True):
    """The ``cambricon`` section of the device configuration."""

    resource_count_name: Name = "cambricon.com/vmlu"
    resource_memory_name: Name = "cambricon.com/mlu.smlu.vmemory"
    resource_core_name: Name = "cambricon.com/mlu.smlu.vcore"


@hookimpl
def hami_families(config: ConfigSections) -> tuple[Family, ...]:
    """One family for every MLU model."""
    section = config.section("cambricon", CambriconConfig)
    return (
        Family(
            name="MLU",
            vendor=VENDOR,
            resources=section.resources,
            units=UNITS,
            wire=WIRE,
            selectors=SELECTORS,
            isolation=ISOLATION,
        ),
    )


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return machines_in(__name__)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """CNDEV, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_mlu.probe import probe  # noqa: PLC0415 - a scheduler loads this plugin without a driver

    return probe


@hookimpl
def hami_node_codec(family: Family) -> NodeCodec:
    """What the node agent registered; else cards from capacity, with the model from the device plugin's label."""
    by_capacity = LabelledCapacity(cards=capacity_codec(family, id_stem="cambricon-mlu"))
    return RegisterCodec(family, otherwise=by_capacity)


@hookimpl
def hami_place(family: Family) -> PlacementWriter:
    """The annotations that Cambricon's device plugin makes an instance from."""
    return InstanceProfile(family=family)


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """The device nodes and mounts that give a container its share."""
    from hami_mlu.allocate import allocate  # noqa: PLC0415 - only the node and `hami run` allocate

    return allocate


@attrs.frozen(kw_only=True)
class LabelledCapacity:
    """Capacity says how many cards there are, the label says which model; both are the node's, not the card's."""

    cards: NodeCodec

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """The node's cards. Raises BadWire as the capacity codec does."""
        model = node.labels.get(_MODEL_LABEL, "")
        # Any vendor may write a label of so plain a name; only Cambricon's models begin so.
        if not model.startswith("MLU"):
            return self.cards.decode(node)
        return tuple(attrs.evolve(card, model=model) for card in self.cards.decode(node))


@attrs.frozen(kw_only=True)
class InstanceProfile:
    """Says which instance to make: slot, cores and memory of the first card of the first container that has one."""

    family: Family

    def __call__(
        self, placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int
    ) -> Mapping[str, str]:
        """The profile, and the mark that the device plugin flips once the instance is made."""
        first = next((shares[0] for shares in placement.shares_of(self.family.name) if shares), None)
        if first is None:
            return {}
        return {PROFILE: instance_profile(first, devices[first.uuid].index), ASSIGNED: "false"}
