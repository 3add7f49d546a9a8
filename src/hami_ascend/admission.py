"""Templates: the sizes a card can be cut into, and the rounding of requests to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from hami_ascend.config import settings_of
from hami_core.behaviour import Edits
from hami_core.errors import AdmissionRefused, BadQuantity
from hami_core.family import Family, Template
from hami_core.requests import where
from hami_core.units import memory_mib, whole_number

if TYPE_CHECKING:
    from hami_core.objects import ContainerFacts, PodFacts

_POD_MODE = "huawei.com/vnpu-mode"
_SOFT_MODE = "hami-core"
_VISIBLE_ENV = "ASCEND_VISIBLE_DEVICES"
_PAIR = 2


def wants_soft_mode(annotations: Mapping[str, str]) -> bool:
    """Whether the pod asks for soft slicing: any size and a percentage of cores, kept by a library in the container."""
    return annotations.get(_POD_MODE) == _SOFT_MODE


def template_for(family: Family, wanted_mib: int) -> Template | None:
    """The smallest template that holds `wanted_mib`, or None where only a whole card does."""
    return next((template for template in family.templates if template.memory_mib >= wanted_mib), None)


@attrs.frozen(kw_only=True)
class TemplateEdits:
    """Rounds memory to a template or a whole card, counts to pairs, and refuses what no card can be cut to."""

    family: Family

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:
        """Edits for `container`.

        Raises:
            BadQuantity: a count, memory or cores that is malformed or more than a card has.
            AdmissionRefused: an odd count where cards come in pairs, cores of a template, or parts of several cards.
        """
        resources, settings = self.family.resources, settings_of(self.family)
        asked = container.limits.get(resources.count)
        if asked is None:
            return Edits(env={_VISIBLE_ENV: ""}) if settings.hides_others else Edits()
        count = whole_number(asked, where=where(pod, container, resources.count), low=1, unit="cards")
        cards = self._cards(pod, container, count)
        soft = wants_soft_mode(pod.annotations)
        if not soft:
            self._refuse_cores(pod, container)
        mib = self._memory(pod, container, soft=soft)
        # One card of a module is written as two; what it became must be admitted as well.
        most_in_parts = _PAIR if settings.in_pairs else 1
        if count > most_in_parts and not soft and mib != settings.whole_card_mib:
            whole_card = settings.whole_card_mib // self.family.units.memory_factor
            raise AdmissionRefused(
                f"{pod.where}, container {container.name}: {count} cards of {self.family.name} can only be whole ones; "
                f"write {resources.memory}: {whole_card}, or leave it out"
            )
        written = {resources.count: str(cards)} if cards != count else {}
        memory = {resources.memory: str(mib // self.family.units.memory_factor)} if resources.memory else {}
        return Edits(
            found=True,
            limits={**written, **memory},
            requests={**(written if resources.count in container.requests else {}), **memory},
            runtime_class=self.family.runtime_class,
        )

    def _cards(self, pod: PodFacts, container: ContainerFacts, count: int) -> int:
        if not settings_of(self.family).in_pairs or count % _PAIR == 0:
            return count
        if count == 1:
            return _PAIR
        raise AdmissionRefused(
            f"{where(pod, container, self.family.resources.count)} must be 1 or an even number, because two cards are "
            f"one module; got {count} (write {count + 1})"
        )

    def _refuse_cores(self, pod: PodFacts, container: ContainerFacts) -> None:
        name = self.family.resources.cores
        asked = container.asked(name)
        if name is None or asked is None:
            return
        place = where(pod, container, name)
        if whole_number(asked, where=place, unit="percent") > 0:
            raise AdmissionRefused(
                f"{place} can only be asked for in soft mode; add the annotation {_POD_MODE}: {_SOFT_MODE}, or leave "
                f"the cores to the template that the memory selects"
            )

    def _memory(self, pod: PodFacts, container: ContainerFacts, *, soft: bool) -> int:
        """MiB on each card after rounding. A 0 is the same as leaving it out: a whole card."""
        family, settings = self.family, settings_of(self.family)
        name = family.resources.memory
        asked = container.asked(name)
        if name is None or asked is None:
            return settings.whole_card_mib
        factor = family.units.memory_factor
        place = where(pod, container, name)
        mib = memory_mib(asked, where=place) * factor
        if mib == 0:
            return settings.whole_card_mib
        if mib > settings.capacity_mib:
            sizes = [template.memory_mib for template in family.templates] + [settings.whole_card_mib]
            choices = ", ".join(str(size // factor) for size in sizes)
            raise BadQuantity(
                where=place, wanted=f"at most {settings.capacity_mib // factor} (sizes are {choices})", found=asked
            )
        if soft:
            return mib
        template = template_for(family, mib)
        return template.memory_mib if template else settings.whole_card_mib
