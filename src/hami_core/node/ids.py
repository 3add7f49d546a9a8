"""Names that kubelet and the container runtime carry: replica ids of cards, and CDI names made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import attrs

from hami_core.model import Device

CDI_KIND = "hami.io/share"
_DIGITS = 40  # of the digest; two sets of ids never meet, and a file name stays short


@attrs.frozen(kw_only=True)
class Replica:
    """One of the slots of a card, as kubelet counts them."""

    id: str
    uuid: str
    healthy: bool
    numa: int | None = None


def replicas(devices: Iterable[Device], *, numa: bool) -> tuple[Replica, ...]:
    """The slots of all cards, as ``UUID-0`` and on; HAMi's device plugin calls them the same."""
    return tuple(
        Replica(
            id=f"{device.uuid}-{number}",
            uuid=device.uuid,
            healthy=device.healthy,
            numa=device.numa if numa and device.numa >= 0 else None,
        )
        for device in devices
        for number in range(device.slots)
    )


def cdi_device(resource: str, ids: Iterable[str], *, turn: int = 0) -> str:
    """The name, inside `CDI_KIND`, of what exactly these ids of a resource stand for.

    A function of the ids and of their `turn`, which counts containers that hold them at once: an agent that was killed
    after Allocate needs no memory of it.
    """
    text = "\n".join([resource, *sorted(ids), *([str(turn)] if turn else [])])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def preferred(available: Sequence[str], needed: Sequence[str], count: int) -> tuple[str, ...]:
    """Which `count` of the `available` ids go well together: those that are needed, then the first by name.

    The pod's annotation names the cards and ids only count, so all that matters is the same answer each time.
    """
    chosen = list(dict.fromkeys(needed))
    chosen += sorted(set(available) - set(chosen))
    return tuple(chosen[:count])
