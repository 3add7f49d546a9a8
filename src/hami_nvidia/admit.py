"""What admission adds to a container that asks for NVIDIA GPUs."""

from __future__ import annotations

import attrs

from hami_core.admission import table_admit
from hami_core.behaviour import Edits
from hami_core.errors import BadQuantity
from hami_core.family import Family
from hami_core.objects import ContainerFacts, PodFacts
from hami_core.units import parse_quantity, whole_number
from hami_nvidia.config import settings_of

_ALL = "100"  # percent of a card's cores: the card is the container's alone


@attrs.frozen
class NvidiaAdmit:
    """The core's table rules, then what NVIDIA adds to them."""

    family: Family

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:
        """Edits for `container`.

        A container that gets whole cards and names no cores gets all of their cores, so that nobody shares them.

        Raises:
            BadQuantity: the priority is no whole number.
        """
        settings = settings_of(self.family)
        edits = table_admit(self.family)(pod, container)
        limits, env = dict(edits.limits), dict(edits.env)
        found = edits.found
        priority = container.limits.get(self.family.resources.priority or "")
        if priority is not None:
            where = f"{pod.where}, container {container.name}: {self.family.resources.priority}"
            env["CUDA_TASK_PRIORITY"] = str(whole_number(priority, where=where))
        if self._takes_whole_cards(pod, container, limits):
            assert self.family.resources.cores is not None
            limits[self.family.resources.cores] = _ALL
            found = True
        if not found and settings.overwrite_env:
            # Without it the NVIDIA runtime would show every card to a container whose image asks for all of them.
            env["NVIDIA_VISIBLE_DEVICES"] = "none"
        policy = settings.gpu_core_policy
        return attrs.evolve(
            edits,
            found=found,
            limits=limits,
            env=env,
            env_all_containers={"GPU_CORE_UTILIZATION_POLICY": policy}
            if found and policy not in ("", "default")
            else {},
            runtime_class=self.family.runtime_class if found else None,
        )

    def _takes_whole_cards(self, pod: PodFacts, container: ContainerFacts, added: dict[str, str]) -> bool:
        resources = self.family.resources
        counted = container.asked(resources.count) is not None or resources.count in added
        if not counted or resources.cores is None or container.asked(resources.cores) is not None:
            return False
        percent = container.asked(resources.memory_percent)
        if percent is None:
            return container.asked(resources.memory) is None
        try:
            return parse_quantity(percent, where=pod.where) == int(_ALL)
        except BadQuantity:
            return False  # the request's own reading refuses it, with the container's name
