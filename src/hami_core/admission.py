"""Admission: what a webhook does to a pod when it is created."""

from __future__ import annotations

import attrs

from hami_core.behaviour import Admitter, Edits
from hami_core.family import Family
from hami_core.objects import ContainerFacts, PodFacts


@attrs.frozen
class TableAdmit:
    """Finds the containers that ask for the family, and asks for its runtime class."""

    family: Family

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:  # noqa: ARG002 - the protocol has the pod
        """Edits for `container`; it is found when its limits name the family's count resource.

        A family with a default count fills it in where only memory or cores are asked for.
        """
        resources, default = self.family.resources, self.family.units.default_count
        limits: dict[str, str] = {}
        if resources.count not in container.limits:
            others = (resources.memory, resources.memory_percent, resources.cores)
            if not default or not any(name in container.limits for name in others if name):
                return Edits()
            limits[resources.count] = str(default)
        return Edits(found=True, limits=limits, runtime_class=self.family.runtime_class)


def table_admit(family: Family) -> Admitter:
    """How a family's containers are admitted when its plugin says nothing more: found by the count resource."""
    return TableAdmit(family)
