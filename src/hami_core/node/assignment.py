"""What a container was assigned by the scheduler, and whether that is what kubelet is about to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hami_core.errors import HamiError
from hami_core.inventory import read_holding
from hami_core.model import DeviceShare
from hami_core.objects import ContainerFacts, PodFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hami_core.family import Family
    from hami_core.model import Device
    from hami_core.registry import Registry


class Refused(HamiError):
    """A container that must not start with devices: what was assigned and what kubelet starts do not agree."""


@attrs.frozen(kw_only=True)
class Assignment:
    """The shares of one family that one container holds; `position` is its place in the pod, init containers first."""

    pod: PodFacts
    container: ContainerFacts
    position: int
    family: str
    shares: tuple[DeviceShare, ...]

    @property
    def where(self) -> str:
        """How messages call the container."""
        return f"{self.pod.where}, container {self.container.name}"


def read_assignment(
    pod: PodFacts, container: str, family: Family, *, count: int, node: str, registry: Registry
) -> Assignment:
    """What `container` was assigned of `family`, checked against the `count` of ids that kubelet gave it.

    Raises:
        Refused: the pod is not placed here, its annotation cannot be read, or names another count of cards.
    """
    where = f"{pod.where}, container {container}"
    key = family.wire.allocated
    holding = read_holding(pod, registry)
    if holding is None:
        raise Refused(f"{where}: has {count} of {family.resources.count}, but no scheduler of HAMi placed the pod")
    if holding.placement.node != node:
        raise Refused(f"{where}: was placed on node {holding.placement.node}, and this is {node}")
    if holding.problems:
        raise Refused(holding.problems[0])
    names = [facts.name for facts in pod.containers]
    if container not in names:
        raise Refused(f"{where}: the pod has no such container")
    position = names.index(container)
    shares = holding.placement.shares_of(family.name)
    mine = shares[position] if position < len(shares) else ()
    if len(mine) != count:
        raise Refused(f"{where}: kubelet gives it {count} of {family.resources.count}, {key} names {len(mine)} cards")
    return Assignment(pod=pod, container=pod.containers[position], position=position, family=family.name, shares=mine)


def check_cards(assignment: Assignment, devices: Iterable[Device]) -> None:
    """See that every share is of a card that is here.

    Whether the card is well is not asked: a pod that was placed on it may still want to start and see for itself.

    Raises:
        Refused: a card that this node does not have, or more memory than it has.
    """
    here = {device.uuid: device for device in devices}
    for share in assignment.shares:
        device = here.get(share.uuid)
        if device is None:
            known = ", ".join(sorted(here)) or "none"
            raise Refused(f"{assignment.where}: is assigned card {share.uuid}; this node has {known}")
        if share.memory_mib > device.memory_mib:
            raise Refused(
                f"{assignment.where}: is assigned {share.memory_mib} MiB of card {share.uuid}, which has"
                f" {device.memory_mib}"
            )
