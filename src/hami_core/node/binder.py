"""From kubelet's ids to a container's share: what both ways of binding have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from hami_core.errors import ApiFailed, HamiError
from hami_core.kube.api import pod_path
from hami_core.kube.events import PodRef
from hami_core.kube.records import decode_object
from hami_core.model import ContainerKind
from hami_core.node import cdi
from hami_core.node.assignment import Assignment, Refused, check_cards
from hami_core.node.books import Entry, read_entries
from hami_core.node.holder import KubeletSilent, holders_of, read_holders
from hami_core.node.ids import cdi_device
from hami_core.node.partitioning import as_cards, wanted_of, write_made
from hami_core.node.pods import pods_of
from hami_core.objects import ContainerFacts, PodFacts, read_pod

if TYPE_CHECKING:
    from hami_core.behaviour import ContainerEdits
    from hami_core.kube.api import ApiServer
    from hami_core.kube.events import Events
    from hami_core.node.api.v1beta1.deviceplugin_pb2 import ContainerAllocateResponse
    from hami_core.node.discovery import Discovery
    from hami_core.node.furnishing import Furnisher
    from hami_core.node.partitioning import Partitions
    from hami_core.node.settings import NodeSettings
    from hami_core.registry import LoadedFamily, Registry

REFUSED = "DevicesRefused"

_NOT_FOUND = 404
_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Held:
    """A container that holds certain ids, and the CDI device that it was promised for them."""

    container: str
    cdi_device: str


@attrs.frozen(kw_only=True)
class Host:
    """What binders work with; one for all families of a node."""

    api: ApiServer
    events: Events
    registry: Registry
    settings: NodeSettings
    discovery: Discovery
    furnisher: Furnisher
    partitions: Partitions

    async def pod(self, namespace: str, name: str) -> PodFacts | None:
        """The pod as the API server has it now; None where there is none. Raises ApiFailed."""
        try:
            return read_pod(decode_object(await self.api.get(pod_path(namespace, name))))
        except ApiFailed as err:
            if err.status == _NOT_FOUND:
                return None
            raise

    async def furnish(self, assignment: Assignment, device: str) -> ContainerEdits:
        """Make a container's partitions, where it has some, and its files; what was made goes if the rest fails.

        Raises:
            Refused: a card that is not here, or partitions that cannot be.
            PartitionFailed, OSError: the driver or the disk does not let us now.
        """
        devices = self.discovery.of_family(assignment.family)
        check_cards(assignment, devices)
        wanted = wanted_of(assignment)
        if not wanted:
            return await asyncio.to_thread(self.furnisher.furnish, assignment, devices, cdi_device=device)
        # An agent that is killed after the driver made them must find out whose they are.
        await asyncio.to_thread(self.furnisher.announce, assignment, cdi_device=device, wanted=wanted)
        made = await self.partitions.make(assignment, list(self.furnisher.files.records()))
        try:
            seen = as_cards(assignment, made)
            edits = await asyncio.to_thread(self.furnisher.furnish, seen, devices, cdi_device=device, partitions=made)
        except (HamiError, OSError):
            await self.partitions.drop(assignment.family, made)
            raise
        try:
            await write_made(self.api, assignment, made)
        except HamiError as err:
            _log.warning("%s: which partitions it got was not written: %s", assignment.where, err)
        return edits

    async def holders(self, resource: str, ids: frozenset[str]) -> tuple[PodFacts, tuple[Held, ...]]:
        """The one pod with these ids, and its containers that hold exactly them.

        More than one does where an ordinary init container's ids went on to a later container. kubelet lists a pod that
        ended until it has forgotten it, and gives its ids out again meanwhile: such pods do not count.

        Raises:
            KubeletSilent: pod-resources does not answer, or the checkpoint does not tell of the pod's init containers.
            ApiFailed: the API server does not answer.
            Refused: no pod holds these ids, or more than one does.
        """
        default = cdi_device(resource, ids)
        pods: dict[str, PodFacts] = {}
        held: dict[str, dict[str, str]] = {}
        for holder in holders_of(await read_holders(self.settings.paths.pod_resources), resource, ids):
            pod = await self._living(holder.namespace, holder.pod)
            if pod is not None:
                pods[pod.uid] = pod
                held.setdefault(pod.uid, {})[holder.container] = default
        entries = await self.entries(resource, ids)
        unlisted = {entry.uid for entry in entries} - pods.keys()
        if unlisted:
            for pod in await pods_of(self.api, self.settings.node):
                pods |= {pod.uid: pod} if pod.uid in unlisted and not pod.finished else {}
        for entry in entries:
            if entry.uid in pods:
                held.setdefault(entry.uid, {})[entry.container] = entry.cdi_device or default
        if len(held) != 1:
            who = " and ".join(pod.where for pod in pods.values()) or "nobody"
            raise Refused(f"{who} holds {', '.join(sorted(ids))} of {resource} by kubelet's books; one pod must")
        ((uid, names),) = held.items()
        if not entries and any(_is_unlisted(container, resource) for container in pods[uid].containers):
            raise KubeletSilent(f"{pods[uid].where}: has init containers, and kubelet's checkpoint says nothing of it")
        return pods[uid], tuple(Held(container=name, cdi_device=device) for name, device in sorted(names.items()))

    async def entries(self, resource: str, ids: frozenset[str]) -> tuple[Entry, ...]:
        """What kubelet's checkpoint says of exactly these ids."""
        known = await asyncio.to_thread(read_entries, self.settings.paths.plugins)
        return tuple(entry for entry in known if entry.resource == resource and entry.ids == ids)

    async def refuse(self, resource: str, ids: frozenset[str], pod: PodFacts | None, problem: HamiError) -> None:
        """Take back what a refused container could be given by, and tell its owner."""
        device = cdi_device(resource, ids)
        for name in {device} | {entry.cdi_device or device for entry in await self.entries(resource, ids)}:
            cdi.withdraw(self.settings.paths.cdi, name)
        _log.warning("refused: %s", problem)
        if pod is not None:
            about = PodRef(namespace=pod.namespace, name=pod.name, uid=pod.uid)
            self.events.say(about, REFUSED, str(problem), decision=device, warning=True)

    async def _living(self, namespace: str, name: str) -> PodFacts | None:
        pod = await self.pod(namespace, name)
        alive = pod is not None and not pod.finished and pod.node_name in ("", self.settings.node)
        return pod if alive else None


def _is_unlisted(container: ContainerFacts, resource: str) -> bool:
    """Whether pod-resources keeps quiet about what this container holds."""
    return container.kind is ContainerKind.INIT and container.asked(resource) is not None


class Binder(Protocol):
    """One family's answer to kubelet. Both raise HamiError where nothing must be handed out."""

    @property
    def loaded(self) -> LoadedFamily:
        """The family."""
        ...

    async def allocate(self, asked: Sequence[frozenset[str]]) -> list[ContainerAllocateResponse]:
        """Answer Allocate: one response for each container's ids."""
        ...

    async def start(self, ids: frozenset[str]) -> None:
        """Answer PreStartContainer: return when the container with these ids may be created."""
        ...
