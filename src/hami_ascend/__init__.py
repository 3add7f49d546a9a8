"""Huawei Ascend.

What differs from other vendors: a family for each chip, from a list in the configuration; a card is cut by firmware
into fixed templates, so admission rounds memory up to one; a pod may ask for the soft mode instead, where the node
supports it; cards of one container want to be on one network ring, and on the 910C in pairs that share a module.

Facts: wire contract sections 1.1, 1.5, 2 and 4.5. Modules: `config` (the configuration and the built-in chips),
`admission` (templates), `aicpu` (what cuts take), `topology` (rings and pairs), `dcmi` and `probe` (the driver),
`allocate` (what a container gets).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import msgspec

from hami_ascend.admission import TemplateEdits, template_for, wants_soft_mode
from hami_ascend.aicpu import aicpu_rule
from hami_ascend.config import ChipConfig, ChipSettings, VnpuConfig, settings_of
from hami_ascend.topology import RING, RingScore, choose_cards, wants_topology
from hami_core.behaviour import FitBehaviour, FitContext
from hami_core.family import Family, Isolation, Resources, SelectorKeys, Template, Units, VisibleForm, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.model import Device, DeviceRequest, DeviceShare, Placement, PodRequest
from hami_core.packaged import machines_in
from hami_core.verdict import Reason

if TYPE_CHECKING:
    from hami_core.behaviour import Admitter, Allocator, PlacementWriter, Probe
    from hami_core.wire.device_config import ConfigSections

VENDOR = "ascend"
ISOLATION = Isolation(
    library="lib/libhami_ascend.so",
    simulator_dir="lib/fake/ascend",
    visible_env="ASCEND_RT_VISIBLE_DEVICES",
    visible_form=VisibleForm.INDEX,
    runtime_env="ASCEND_VISIBLE_DEVICES",
)
_SOFT_CORES = 100  # in soft mode cores are a percentage, whatever the chip has
_NODE_MODE = "hami-vnpu-core"  # node annotation of the device plugin or the node agent: "true" where soft mode is on
_NS_PER_S = 1_000_000_000


@hookimpl
def hami_families(config: ConfigSections) -> tuple[Family, ...]:
    """A family for each chip."""
    section = config.section("vnpus", VnpuConfig)
    return tuple(_family(chip, soft_mode=section.hami_vnpu_core) for chip in section.configs)


def _family(chip: ChipConfig, *, soft_mode: bool) -> Family:
    word = chip.common_word
    templates = sorted(chip.templates, key=lambda template: template.memory)
    return Family(
        name=word,
        vendor=VENDOR,
        resources=Resources(
            count=chip.resource_name, memory=chip.resource_memory_name or None, cores=chip.resource_core_name or None
        ),
        units=Units(memory_factor=max(1, chip.memory_factor), core_unit="AI core", cores_per_card=_SOFT_CORES),
        wire=WireNames(
            register=f"hami.io/node-register-{word}",
            handshake=f"hami.io/node-handshake-{word}",
            to_allocate=f"hami.io/{word}-devices-to-allocate",
            allocated=f"hami.io/{word}-devices-allocated",
            custom=(RING,),
            node=((_NODE_MODE, "true"),),  # the isolation library serves any size on any card
        ),
        selectors=SelectorKeys(allow_uuids=f"hami.io/use-{word}-uuid", deny_uuids=f"hami.io/no-use-{word}-uuid"),
        templates=tuple(
            Template(name=entry.name, memory_mib=entry.memory, core_units=entry.ai_core, aicpu=entry.ai_cpu)
            for entry in templates
        ),
        runtime_class=chip.runtime_class_name or None,
        models=(chip.chip_name,),
        isolation=ISOLATION,
        settings=ChipSettings(
            whole_card_mib=chip.memory_allocatable,
            capacity_mib=chip.memory_capacity or chip.memory_allocatable,
            has_rings=word.startswith("Ascend910"),
            in_pairs=chip.super_pod,
            hides_others=chip.overwrite_env,
            soft_mode=soft_mode,
            ai_cpus=chip.ai_cpu,
        ),
    )


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return machines_in(__name__)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """DCMI, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_ascend.probe import probe  # noqa: PLC0415 - a scheduler loads this plugin without a driver

    return probe


@hookimpl
def hami_admit(family: Family) -> Admitter:
    """Round memory up to a template."""
    return TemplateEdits(family=family)


@hookimpl
def hami_fit(family: Family) -> FitBehaviour:
    """Soft mode only where the node has it; several cards by ring and module."""
    settings = settings_of(family)

    def missing_mode(request: DeviceRequest, context: FitContext) -> Reason | None:
        if not wants_soft_mode(context.pod.annotations):
            return None
        said = context.node.annotations.get(_NODE_MODE)
        offered = settings.soft_mode if said is None else said == "true"
        return None if offered else Reason.MODE

    def core_total(device: Device, context: FitContext) -> int:
        return _SOFT_CORES if wants_soft_mode(context.pod.annotations) else device.core_units

    rule = aicpu_rule(family, settings.ai_cpus, settings.whole_card_mib)
    return FitBehaviour(
        rules=() if rule is None else (rule,),
        gate=missing_mode,
        chooser=choose_cards(settings),
        chooses=wants_topology(settings),
        node_scorer=RingScore(family=family) if settings.has_rings else None,
        effective_cores=core_total,
    )


@hookimpl
def hami_place(family: Family) -> PlacementWriter:
    """The annotations that Ascend's device plugin cuts cards by."""
    return TemplateNames(family=family)


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """A template's name for the firmware, or the devices and what holds a container to its share of them."""
    from hami_ascend.allocate import AscendAllocate  # noqa: PLC0415 - only the node and `hami run` allocate

    return AscendAllocate(family)


@attrs.frozen(kw_only=True)
class TemplateNames:
    """Says which template each share is; a whole card and a soft share are none."""

    family: Family

    def __call__(
        self, placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int
    ) -> Mapping[str, str]:
        """The shares in the order of containers, and the time in seconds."""
        shares = [share for held in placement.shares_of(self.family.name) for share in held]
        if not shares:
            return {}
        soft = wants_soft_mode(pod.annotations)
        entries = [self._entry(share, soft=soft) for share in shares]
        return {
            f"huawei.com/{self.family.name}": msgspec.json.encode(entries).decode(),
            "predicate-time": str(now_ns // _NS_PER_S),
        }

    def _entry(self, share: DeviceShare, *, soft: bool) -> dict[str, str | int]:
        template = None if soft else template_for(self.family, share.memory_mib)
        entry: dict[str, str | int] = {
            "UUID": share.uuid,
            "temp": template.name if template else "",
            "memory": share.memory_mib,
            "core": share.core_units,
        }
        return {key: value for key, value in entry.items() if value}
