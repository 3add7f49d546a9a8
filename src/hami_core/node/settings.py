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


_over_zero = attrs.validators.optional(attrs.validators.gt(0))


@attrs.frozen(kw_only=True)
class NodeSettings:
    """Everything that flags say. None where they leave it to the families and to the node's own settings."""

    node: str = attrs.field(validator=text)
    paths: NodePaths = attrs.field(factory=NodePaths)
    vendors: tuple[str, ...] = ()  # whose cards are allocated here; () means of all that can be
    binding: BindingMode = BindingMode.LATE
    node_config: Path | None = None  # HAMi's config.json: what differs on single nodes
    split_count: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1)))
    memory_scaling: float | None = attrs.field(default=None, validator=_over_zero)
    core_scaling: float | None = attrs.field(default=None, validator=_over_zero)
    numa: bool = False
    core_policy: str = "default"
    whole_device_untouched: bool = True
    opt_out: bool = False  # whether pods may ask to go without the library, also on a part of a card
    refresh_s: float = 30.0
    health: HealthRules = attrs.field(factory=HealthRules)
    taint: TaintWhen = TaintWhen.NEVER
    evict_after_s: float | None = None  # None: containers stay on cards that are out of order
