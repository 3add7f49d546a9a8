"""Iluvatar CoreX.

What differs from other vendors: a family for each chip, from a list in the configuration; memory is asked for in
pieces of 256 MiB; the vendor's gpu-manager counts cores over all cards of a container and finds the container by the
value of an environment variable, so admission writes both.

Facts: wire contract sections 1.1, 2 and 4.4.
Modules: `probe` (IXML), `allocate` (what a container gets).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hami_core.behaviour import Edits
from hami_core.family import Family, Isolation, RegisterForm, SelectorKeys, Units, VisibleForm, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.packaged import machines_in
from hami_core.requests import TableRequest, where
from hami_core.units import whole_number
from hami_core.wire.device_config import ConfigSections, Name, ResourceNames

if TYPE_CHECKING:
    from hami_core.behaviour import Admitter, Allocator, Probe, RequestParser
    from hami_core.objects import ContainerFacts, PodFacts

VENDOR = "iluvatar"
_CONTAINER_ENV = "SOL_CONTINER_NAME"  # the spelling that gpu-manager reads
_CARD_CORES = 100

UNITS = Units(memory_unit_mib=256, cores_per_card=_CARD_CORES)
ISOLATION = Isolation(
    library="lib/libhami_iluvatar.so",
    simulator_dir="lib/fake/iluvatar",
    visible_env="CUDA_VISIBLE_DEVICES",
    visible_form=VisibleForm.INDEX,
    runtime_env="IX_VISIBLE_DEVICES",
)


class ChipConfig(ResourceNames, frozen=True, kw_only=True):
    """One entry of the ``iluvatars`` section of the device configuration."""

    chip_name: Name
    common_word: Name


BUILTIN_CHIPS = tuple(
    ChipConfig(
        chip_name=chip,
        common_word=chip,
        resource_count_name=f"iluvatar.ai/{chip}-vgpu",
        resource_memory_name=f"iluvatar.ai/{chip}.vMem",
        resource_core_name=f"iluvatar.ai/{chip}.vCore",
    )
    for chip in ("MR-V100", "MR-V50", "BI-V150", "BI-V100")
)


@hookimpl
def hami_families(config: ConfigSections) -> tuple[Family, ...]:
    """A family for each chip."""
    chips = config.entries("iluvatars", ChipConfig)
    return tuple(_family(chip) for chip in (BUILTIN_CHIPS if chips is None else chips))


def _family(chip: ChipConfig) -> Family:
    word = chip.common_word
    return Family(
        name=word,
        vendor=VENDOR,
        resources=chip.resources,
        units=UNITS,
        wire=WireNames(
            register=f"hami.io/node-{word}-register",
            register_form=RegisterForm.CSV,
            handshake=f"hami.io/node-handshake-{word}",
            to_allocate=f"hami.io/{word}-devices-to-allocate",
            allocated=f"hami.io/{word}-devices-allocated",
        ),
        selectors=SelectorKeys(allow_uuids=f"hami.io/use-{word}-uuid", deny_uuids=f"hami.io/no-use-{word}-uuid"),
        isolation=ISOLATION,
    )


@hookimpl
def hami_admit(family: Family) -> Admitter:
    """What gpu-manager needs to find in the pod."""
    return GpuManagerEdits(family=family)


@hookimpl
def hami_request(family: Family) -> RequestParser:
    """The table's rules, for cores that admission wrote for all cards."""
    return TableRequest(family, cores_scale=True)


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return machines_in(__name__)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """IXML, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_iluvatar.probe import probe  # noqa: PLC0415 - a scheduler loads this plugin without a driver

    return probe


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """The device nodes and mounts that give a container its share."""
    from hami_iluvatar.allocate import allocate  # noqa: PLC0415 - only the node and `hami run` allocate

    return allocate


@attrs.frozen(kw_only=True)
class GpuManagerEdits:
    """Writes the container's name into its environment, and the cores of all cards where there are several.

    A name that the pod's author wrote stays: gpu-manager then looks for that one.
    """

    family: Family

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:
        """Edits for `container`. Raises BadQuantity for a malformed count."""
        resources = self.family.resources
        asked = container.limits.get(resources.count)
        if asked is None:
            return Edits()
        count = whole_number(asked, where=where(pod, container, resources.count))
        assert resources.cores is not None
        limits = {resources.cores: str(_CARD_CORES * count)} if count > 1 else {}
        env = {} if _CONTAINER_ENV in container.env else {_CONTAINER_ENV: container.name}
        return Edits(found=True, limits=limits, env=env)
