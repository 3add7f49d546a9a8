"""How the node agent was set up."""

from __future__ import annotations

import enum
from pathlib import Path

import attrs

from hami_core.node.health import HealthRules
from hami_core.values import text, whole


class BindingMode(enum.StrEnum):
    """How the agent learns which pod a container belongs to."""

    LATE = "late"  # from kubelet's pod-resources, when the container starts; needs CDI in the container runtime
    ALLOCATING = "allocating"  # the one pod under the node lock, as HAMi's device plugin does


class TaintWhen(enum.StrEnum):
    """When a node is tainted so that nothing new comes to it."""

    NEVER = "never"
    ANY = "any"  # while any card of a family is out of order
    ALL = "all"  # while all of them are


@attrs.frozen(kw_only=True)
class NodePaths:
    """Where things are on the host. `files` must have the same path inside the agent's own container."""

    plugins: Path = Path("/var/lib/kubelet/device-plugins")
    pod_resources: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    cdi: Path = Path("/var/run/cdi")
    files: Path = Path("/usr/local/hami")


@attrs.frozen(kw_only=True)
class NodeSettings:
    """Everything that flags say. Scales multiply what a card is registered with; a scale over 1 oversubscribes."""

    node: str = attrs.field(validator=text)
    paths: NodePaths = attrs.field(factory=NodePaths)
    binding: BindingMode = BindingMode.LATE
    split_count: int = attrs.field(default=10, validator=whole(1))
    memory_scaling: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    core_scaling: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    numa: bool = False
    core_policy: str = "default"
    whole_device_untouched: bool = True
    refresh_s: float = 30.0
    health: HealthRules = attrs.field(factory=HealthRules)
    taint: TaintWhen = TaintWhen.NEVER
    evict_after_s: float | None = None  # None: containers stay on cards that are out of order

    @property
    def oversubscribe(self) -> bool:
        """Whether containers may be promised more memory than a card has."""
        return self.memory_scaling > 1
