"""How the scheduler process was set up."""

from __future__ import annotations

import enum
import socket
import uuid
from pathlib import Path

import attrs

from hami_core.admission import AdmissionSettings


class NodeChoice(enum.StrEnum):
    """Who picks among the nodes that fit."""

    HAMI = "hami"  # filter answers with the one node whose share is reserved
    SCHEDULER = "scheduler"  # filter answers with all that fit, prioritize with scores; bind takes the share


class BindWrites(enum.StrEnum):
    """How a bind is written."""

    AUTO = "auto"  # one write where the API server is 1.35 or newer, which copies a binding's labels to the pod
    ONE = "one"
    TWO = "two"  # for servers whose feature PodTopologyLabelsAdmission was switched off


@attrs.frozen(kw_only=True)
class Listen:
    """An address of this process: host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class ElectionSettings:
    """A Lease that one of several processes holds. Times as in Kubernetes' own components."""

    namespace: str
    name: str
    identity: str = attrs.field(factory=lambda: f"{socket.gethostname()}_{uuid.uuid4()}")
    lease_s: int = 15
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that flags say."""

    admission: AdmissionSettings = attrs.field(factory=AdmissionSettings)
    node_policy: str = "binpack"
    device_policy: str = "spread"
    node_selector: str = ""  # a label selector; empty means every node
    node_choice: NodeChoice = NodeChoice.HAMI
    bind_writes: BindWrites = BindWrites.AUTO
    hold_s: float = 60.0
    lock_timeout_s: float = 300.0
    lock_retry_s: float = 28.0
    stale_s: float = 300.0  # how long an unbound pod's annotations count after a leader died between patch and binding
    bind_deadline_s: float = 28.0  # kube-scheduler gives an extender 30 s
    trusted_users: tuple[str, ...] = ()
    election: ElectionSettings | None = None
    device_config: Path | None = None
    config_every_s: float = 5.0  # how often the file is looked at
    dry_run: bool = False
    legacy_metrics: bool = False

    @property
    def component(self) -> str:
        """The name that events carry."""
        return self.admission.scheduler_name or "hami-scheduler"
