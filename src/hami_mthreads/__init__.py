"""Moore Threads.

What differs from other vendors: where no node agent registers cards, they are derived from the node's capacity; memory
is asked for in pieces of 512 MiB and cores in sixteenths of a card, both for all cards of a container together;
several cards mean whole cards; the containers of a pod share one card; the vendor's driver reads the chosen card's
index, the node and the time from the pod's annotations.

Facts: wire contract sections 1.1, 1.5, 2 and 4.6.
Modules: `probe` (MTML), `allocate` (what a container gets).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hami_core.behaviour import Edits
from hami_core.errors import BadQuantity
from hami_core.family import Family, Isolation, NodeLock, RegisterForm, SelectorKeys, Units, VisibleForm, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.model import Device, Placement, PodRequest
from hami_core.packaged import machines_in
from hami_core.requests import where
from hami_core.units import whole_number
from hami_core.wire.device_config import ConfigSections, Name, ResourceNames

if TYPE_CHECKING:
    from hami_core.behaviour import Admitter, Allocator, PlacementWriter, Probe
    from hami_core.objects import ContainerFacts, PodFacts

VENDOR = "mthreads"
_UNIT_MIB = 512
_CARD_CORES = 16
_CARD_MEMORY = 96  # units of a whole card
_SLICES = (2, 4, 8, 16, 32, 64, _CARD_MEMORY)  # units the driver can cut a card into
_COUNT_ANNOTATION = "mthreads.com/request-gpu-num"

WIRE = WireNames(
    register="hami.io/node-mthreads-register",  # the node agent's: HAMi knows the cards by capacity alone
    register_form=RegisterForm.CAPACITY,
    allocated="hami.io/mthreads-vgpu-devices-allocated",
    lock=NodeLock.NONE,
)
# The domain ends in .ai here and in .com everywhere else; pods in the field carry it so.
SELECTORS = SelectorKeys(allow_uuids="mthreads.ai/use-gpuuuid", deny_uuids="mthreads.ai/nouse-gpuuuid")
ISOLATION = Isolation(
    library="lib/libhami_mthreads.so",
    simulator_dir="lib/fake/mthreads",
    visible_env="MUSA_VISIBLE_DEVICES",
    visible_form=VisibleForm.INDEX,
    runtime_env="MTHREADS_VISIBLE_DEVICES",
)
UNITS = Units(memory_unit_mib=_UNIT_MIB, core_unit="sixteenth", cores_per_card=_CARD_CORES, totals_are_split=True)


class MthreadsConfig(ResourceNames, frozen=True, kw_only=True):
    """The ``mthreads`` section of the device configuration."""

    resource_count_name: Name = "mthreads.com/vgpu"
    resource_memory_name: Name = "mthreads.com/sgpu-memory"
    resource_core_name: Name = "mthreads.com/sgpu-core"


@hookimpl
def hami_families(config: ConfigSections) -> tuple[Family, ...]:
    """One family for every Moore Threads model."""
    section = config.section("mthreads", MthreadsConfig)
    return (
        Family(
            name="Mthreads",
            vendor=VENDOR,
            resources=section.resources,
            units=UNITS,
            wire=WIRE,
            selectors=SELECTORS,
            cards_per_pod=1,
            isolation=ISOLATION,
        ),
    )


@hookimpl
def hami_admit(family: Family) -> Admitter:
    """Several cards are whole cards; one card is one of the driver's slices."""
    return SliceEdits(family=family)


@hookimpl
def hami_place(family: Family) -> PlacementWriter:
    """The annotations that Moore Threads' driver plugin reads."""
    return CardIndexes(family=family)


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return machines_in(__name__)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """MTML, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_mthreads.probe import probe  # noqa: PLC0415 - a scheduler loads this plugin without a driver

    return probe


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """The toolkit's variables, device nodes and mounts that give a container its share."""
    from hami_mthreads.allocate import allocate  # noqa: PLC0415 - only the node and `hami run` allocate

    return allocate


@attrs.frozen(kw_only=True)
class SliceEdits:
    """Completes a request to whole cards, and refuses a slice that the driver cannot cut."""

    family: Family

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:
        """Edits for `container`. Raises BadQuantity for a count below 1 or an impossible slice."""
        resources = self.family.resources
        assert resources.memory is not None
        asked = container.asked(resources.count)
        if asked is None:
            return Edits()
        count = whole_number(asked, where=where(pod, container, resources.count), low=1, unit="cards")
        if count > 1:
            return Edits(found=True, limits=self._whole_cards(count), pod_annotations={_COUNT_ANNOTATION: str(count)})
        memory = container.asked(resources.memory)
        if memory is None:
            return Edits(found=True, limits=self._whole_cards(1))
        place = where(pod, container, resources.memory)
        if whole_number(memory, where=place) not in _SLICES:
            wanted = f"one of {', '.join(map(str, _SLICES))} (units of {_UNIT_MIB} MiB)"
            raise BadQuantity(where=place, wanted=wanted, found=memory)
        return Edits(found=True)

    def _whole_cards(self, count: int) -> Mapping[str, str]:
        resources = self.family.resources
        assert resources.cores is not None
        assert resources.memory is not None
        return {resources.cores: str(_CARD_CORES * count), resources.memory: str(_CARD_MEMORY * count)}


@attrs.frozen(kw_only=True)
class CardIndexes:
    """Says which cards, on which node, decided when."""

    family: Family

    def __call__(
        self, placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int
    ) -> Mapping[str, str]:
        """Indexes of the last container that has cards: the driver keeps one list for the whole pod."""
        last = next((shares for shares in reversed(placement.shares_of(self.family.name)) if shares), None)
        if last is None:
            return {}
        return {
            "mthreads.com/gpu-index": ",".join(str(devices[share.uuid].index) for share in last),
            "mthreads.com/predicate-node": placement.node,
            "mthreads.com/predicate-time": str(now_ns),
        }
