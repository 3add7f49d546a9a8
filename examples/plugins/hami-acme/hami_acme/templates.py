"""Templates: the sizes a card can be cut into."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from hami_core import Device, Placement, PodRequest
from hami_core.behaviour import Edits
from hami_core.errors import AdmissionRefused
from hami_core.family import Family, Template
from hami_core.objects import ContainerFacts, PodFacts
from hami_core.requests import where
from hami_core.units import memory_mib, whole_number

TEMPLATES_KEY = "acme.com/templates"


def template_for(family: Family, wanted_mib: int) -> Template | None:
    """The smallest template that holds `wanted_mib`; None where only a whole card does."""
    return next((template for template in family.templates if template.memory_mib >= wanted_mib), None)


@attrs.frozen
class TemplateAdmit:
    """Writes the memory that a container will really get; without memory it gets whole cards."""

    family: Family

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:
        """Edits for `container`.

        Raises:
            AdmissionRefused: parts of several cards.
            BadQuantity: a malformed count or memory.
        """
        resources = self.family.resources
        asked = container.asked(resources.count)
        if asked is None or resources.memory is None:
            return Edits()
        count = whole_number(asked, where=where(pod, container, resources.count))
        memory = container.asked(resources.memory)
        if memory is None or not count:
            return Edits(found=bool(count), runtime_class=self.family.runtime_class if count else None)
        place = where(pod, container, resources.memory)
        template = template_for(self.family, memory_mib(memory, where=place))
        if template is not None and count > 1:
            raise AdmissionRefused(f"{place}: several cards can only be whole ones; leave {resources.memory} out")
        limits = {} if template is None else {resources.memory: str(template.memory_mib)}
        return Edits(found=True, limits=limits, runtime_class=self.family.runtime_class)


@attrs.frozen
class TemplateNames:
    """Says for Acme's device plugin which template each share is cut to; a whole card is ``whole``."""

    family: Family

    def __call__(
        self, placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int
    ) -> Mapping[str, str]:
        """One name a share, in the order of containers."""
        shares = [share for held in placement.shares_of(self.family.name) for share in held]
        names = [template_for(self.family, share.memory_mib) for share in shares]
        return {TEMPLATES_KEY: ",".join(name.name if name else "whole" for name in names)} if shares else {}
