"""What a container needs to be held to its share of DCUs: device nodes, a virtual card, and the limits file.

Hygon's driver cuts virtual cards out of one card only, and only where less than its memory is asked for. Where it
cannot (several cards, or no compute units known), the preload library holds the container by itself.

Facts: wire contract section 4.3.
"""

from __future__ import annotations

from hami_core.behaviour import AllocationContext, ContainerEdits, Mount
from hami_core.isolation.edits import library_env, library_mounts
from hami_core.isolation.nodes import card_nodes
from hami_core.model import Device, DeviceShare
from hami_dcu.paths import FOLDERS, HOST_PATHS, NODES
from hami_dcu.vdev import FOLDER, IN_CONTAINER, Vdev, cut, vdevs_in

_RIGHTS = "rw"
_DRIVER_RIGHTS = "rwm"
_WHOLE = 100


def allocate(context: AllocationContext) -> ContainerEdits:
    """Edits for the container that holds `context.shares`, cards in the order it shall see them.

    Raises:
        NothingLeft: the driver has no room for one more virtual card.
    """
    cards = [context.devices[share.uuid] for share in context.shares]
    nodes = [(node, _DRIVER_RIGHTS) for node in _there(cards, NODES)]
    for card in cards:
        usual = (f"/dev/dri/card{card.index}", f"/dev/dri/renderD{128 + card.index}")
        nodes += [(node, _RIGHTS) for node in card_nodes(card, *usual)]
    vdev = _virtual_card(context)
    mounts = [Mount(host_path=folder, container_path=folder) for folder in _there(cards, FOLDERS)]
    if vdev is not None:
        mounts.append(Mount(host_path=str(context.limits_file.parent / FOLDER), container_path=IN_CONTAINER))
    return ContainerEdits(
        env=library_env(context),
        mounts=(*library_mounts(context), *mounts),
        device_nodes=tuple(dict.fromkeys(nodes)),
        files={} if vdev is None else {vdev.file: vdev.render()},
        cores_elsewhere=vdev is not None,  # the driver gives the virtual card its compute units and no others
    )


def _there(cards: list[Device], paths: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `paths` that the host has; all of them where the probe did not say. A missing one stops a container."""
    known = {path for card in cards for path in card.custom.get(HOST_PATHS) or ()}
    return tuple(path for path in paths if not known or path in known)


def _virtual_card(context: AllocationContext) -> Vdev | None:
    """The container's virtual card: the one it had, or a new one; None where it gets none."""
    if len(context.shares) != 1:
        return None
    (share,) = context.shares
    card = context.devices[share.uuid]
    bus, unit_count = card.custom.get("pci_bus_id"), card.custom.get("compute_units")
    if share.memory_mib >= card.memory_mib or not isinstance(bus, str) or not isinstance(unit_count, int):
        return None
    units = _units(share, card, unit_count)
    for vdev in vdevs_in(context.files):
        if (vdev.device, vdev.memory_mib, vdev.units.bit_count()) == (card.index, share.memory_mib, units):
            return vdev
    taken = [vdev for files in context.others for vdev in vdevs_in(files)]
    return cut(taken, bus=bus, device=card.index, units=units, unit_count=unit_count, memory_mib=share.memory_mib)


def _units(share: DeviceShare, card: Device, unit_count: int) -> int:
    """Compute units of a share; one at least, or the container could not work."""
    return max(1, unit_count * (share.core_units or _WHOLE) // (card.core_units or _WHOLE))
