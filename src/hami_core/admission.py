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
        """Edits for `container`: none, except that its limits name the family's count resource."""
        if self.family.resources.count not in container.limits:
            return Edits()
        return Edits(found=True, runtime_class=self.family.runtime_class)


def table_admit(family: Family) -> Admitter:
    """How a family's containers are admitted when its plugin says nothing more: found by the count resource."""
    return TableAdmit(family)
