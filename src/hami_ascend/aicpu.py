"""AI CPUs of a card that is cut into templates: the firmware counts them, so a cut that has none left fails there.

A card's books say how many containers hold how much memory, not by which templates. What is certain is the least that
any such cut takes; a template that is certain to find too few AI CPUs is refused. Facts: wire contract section 4.5 (the
templates), section 9 number 24 (eight of the smallest on a 910B2 want eight AI CPUs of six).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from hami_ascend.admission import template_for, wants_soft_mode
from hami_core.behaviour import FitContext, Rule
from hami_core.family import Family, Template
from hami_core.model import DeviceRequest, DeviceUse
from hami_core.verdict import Reason


def aicpu_rule(family: Family, total: int, card_mib: int) -> Rule | None:
    """The rule for a chip of `total` AI CPUs; None where memory alone keeps every cut below that."""
    if not total or not any(card_mib // item.memory_mib * item.aicpu > total for item in family.templates):
        return None
    sizes = tuple((item.memory_mib, item.aicpu) for item in family.templates)

    def enough(use: DeviceUse, request: DeviceRequest, context: FitContext) -> bool:
        wanted = None if wants_soft_mode(context.pod.annotations) else _template(family, use, request)
        if wanted is None:
            return True
        taken = least_aicpus(sizes, use.slots_used, use.memory_used_mib)
        return taken is None or taken + wanted.aicpu <= total

    return Rule(reason=Reason.CORES, test=enough)


def _template(family: Family, use: DeviceUse, request: DeviceRequest) -> Template | None:
    """What the request would be cut to; None for a whole card."""
    mib = request.memory_mib
    if mib is None:
        mib = use.device.memory_mib * (request.memory_percent or 100) // 100
    return template_for(family, mib)


@lru_cache(maxsize=4096)
def least_aicpus(sizes: Sequence[tuple[int, int]], count: int, memory_mib: int) -> int | None:
    """The fewest AI CPUs that `count` cuts of together `memory_mib` can have; None where no such cuts exist.

    Args:
        sizes: MiB and AI CPUs of each template.
        count: how many cuts there are.
        memory_mib: what they hold together.
    """
    if count == 0:
        return 0 if memory_mib == 0 else None
    if memory_mib < count * min(size for size, _ in sizes):
        return None
    found = [
        rest + aicpus
        for size, aicpus in sizes
        if (rest := least_aicpus(sizes, count - 1, memory_mib - size)) is not None
    ]
    return min(found, default=None)
