"""Late binding: Allocate promises a CDI name, and what the name stands for is written when the container starts.

kubelet's Allocate does not say which pod it is for. Its pod-resources do, but not before the pod is admitted;
PreStartContainer comes after that and before the container is created. So nothing has to be guessed, no two pods need
to wait for each other, and an agent that is killed in between has nothing to remember.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

from hami_core.errors import HamiError
from hami_core.node import cdi
from hami_core.node.api.v1beta1.deviceplugin_pb2 import CDIDevice, ContainerAllocateResponse
from hami_core.node.assignment import Refused, read_assignment
from hami_core.node.binder import Held, Host
from hami_core.node.ids import CDI_KIND, cdi_device
from hami_core.node.phases import mark_allocated
from hami_core.objects import PodFacts
from hami_core.registry import LoadedFamily

_log = logging.getLogger(__name__)


class LateBinder:
    """Binds one family late.

    Args:
        host: the node.
        loaded: the family.
    """

    def __init__(self, host: Host, loaded: LoadedFamily) -> None:
        self.loaded = loaded
        self._host = host

    async def allocate(self, asked: Sequence[frozenset[str]]) -> list[ContainerAllocateResponse]:
        """A CDI name for each container, made from its ids; one that no other container was promised."""
        resource = self.loaded.family.resources.count
        taken: set[str | None] = set()
        answers = []
        for ids in asked:
            taken |= {entry.cdi_device for entry in await self._host.entries(resource, ids)}
            names = (cdi_device(resource, ids, turn=turn) for turn in itertools.count())
            name = next(name for name in names if name not in taken)
            taken.add(name)
            answers.append(ContainerAllocateResponse(cdi_devices=[CDIDevice(name=f"{CDI_KIND}={name}")]))
        return answers

    async def start(self, ids: frozenset[str]) -> None:
        """Find out whose ids these are, and write what they stand for.

        kubelet does not say which of a pod's containers it starts. Each has a name of its own, so all are written.

        Raises:
            Refused: assignment and kubelet's books do not agree; an event says so.
            KubeletSilent, ApiFailed: cannot be known now; kubelet tries again.
            OSError: the files cannot be written.
        """
        resource = self.loaded.family.resources.count
        pod: PodFacts | None = None
        try:
            pod, containers = await self._host.holders(resource, ids)
            for held in containers:
                await self._furnish(pod, held, count=len(ids))
        except Refused as err:
            await self._host.refuse(resource, ids, pod, err)
            raise

    async def _furnish(self, pod: PodFacts, held: Held, *, count: int) -> None:
        host, family = self._host, self.loaded.family
        assignment = read_assignment(
            pod, held.container, family, count=count, node=host.settings.node, registry=host.registry
        )
        edits = await host.furnish(assignment, held.cdi_device)
        cdi.write(host.settings.paths.cdi, held.cdi_device, edits, pod_uid=pod.uid)
        _log.info("%s: %s", assignment.where, ", ".join(share.uuid for share in assignment.shares))
        try:
            await mark_allocated(host.api, host.registry, assignment)
        except HamiError as err:
            # The phase is for those who look on: the container has what it needs.
            _log.warning("%s: the phase of its binding was not written: %s", assignment.where, err)
