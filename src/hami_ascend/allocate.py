"""What a container needs to use its share of NPUs: a template's name for the firmware, or the devices and the limits.

Facts: wire contract section 4.5. HAMi's own library for the soft mode reads its share from the environment, and takes
turns through shared files of a daemon; here the isolation library does both from its limits file and region.
"""

from __future__ import annotations

import attrs

from hami_ascend.admission import template_for, wants_soft_mode
from hami_ascend.config import settings_of
from hami_core.behaviour import AllocationContext, ContainerEdits, Mount
from hami_core.family import Family
from hami_core.isolation.edits import library_env, library_mounts
from hami_core.model import Device

VISIBLE = "ASCEND_VISIBLE_DEVICES"
"""What Ascend's container runtime reads: physical ids of devices."""

SPECS = "ASCEND_VNPU_SPECS"
"""Asks Ascend's container runtime to cut the device by this template."""

_MANAGERS = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
_RIGHTS = "rw"


@attrs.frozen
class AscendAllocate:
    """Environment, mounts and device nodes for one container."""

    family: Family

    def __call__(self, context: AllocationContext) -> ContainerEdits:
        """Edits for the container that holds `context.shares`, cards in the order it shall see them."""
        cards = [context.devices[share.uuid] for share in context.shares]
        visible = {VISIBLE: ",".join(str(physical_id(card)) for card in cards)}
        template = self._template(context)
        if template:
            # The runtime makes the virtual device and its node; the card's own node would give all of it. The firmware
            # gives it the template's cores and no others.
            env = {**visible, SPECS: template, **library_env(context)}
            return ContainerEdits(env=env, mounts=library_mounts(context), cores_elsewhere=True)
        soft = wants_soft_mode(context.pod_annotations)
        quota = self._quota(context) if soft else {}
        return ContainerEdits(
            env={**visible, **quota, **library_env(context)},
            mounts=(*library_mounts(context), *_driver_mounts(cards)),
            device_nodes=tuple(
                (node, _RIGHTS) for node in (*(f"/dev/davinci{physical_id(card)}" for card in cards), *_MANAGERS)
            ),
        )

    def _template(self, context: AllocationContext) -> str:
        """The template that the first share is cut by; empty for whole cards and in soft mode."""
        if not context.shares or wants_soft_mode(context.pod_annotations):
            return ""
        mib = context.shares[0].memory_mib
        found = None if mib >= settings_of(self.family).whole_card_mib else template_for(self.family, mib)
        return "" if found is None else found.name

    def _quota(self, context: AllocationContext) -> dict[str, str]:
        """HAMi's variables, which name the first device's share."""
        first = context.shares[0]
        return {"NPU_MEM_QUOTA": str(first.memory_mib), "NPU_PRIORITY": str(first.core_units)}


def physical_id(card: Device) -> int:
    """The number of a card's device node."""
    number = card.custom.get("physical_id")
    return number if isinstance(number, int) else card.index


def _driver_mounts(cards: list[Device]) -> tuple[Mount, ...]:
    """The driver's files, where the probe found them; Ascend's container runtime would mount them as well."""
    found = dict.fromkeys(str(name) for card in cards for name in card.custom.get("driver_files", ()))
    return tuple(Mount(host_path=name, container_path=name) for name in found)
