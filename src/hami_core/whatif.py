"""What if: where would this pod go in that cluster, and why. Objects in, decision out; nothing is kept or written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from hami_core.admission import Admission, admit
from hami_core.fit import Advice, Fleet, advise
from hami_core.fit.usage import family_totals, taken_by
from hami_core.inventory import Cluster, Holding, feed, read_cluster
from hami_core.model import ContainerShares, DeviceShare, Placement, PodRequest
from hami_core.objects import PodFacts, read_pod
from hami_core.placement import placement_annotations
from hami_core.quota import combine, exceeded
from hami_core.registry import Registry, load_registry
from hami_core.requests import pod_request
from hami_core.score.names import unknown_policies
from hami_core.verdict import Fits, Rejected, Verdict

if TYPE_CHECKING:
    from hami_core.wire.device_config import ConfigSections


@attrs.frozen(kw_only=True)
class Decision:
    """The answer for one pod. `problems` are objects that could not be read or that disagree; the others counted.

    A policy that the pod names and nobody has is one, too: another was taken.

    `node` is None where no node fits, and where the pod asks for no device: then every node is as good as another.
    """

    pod: str
    admission: Admission
    message: str | None = None
    node: str | None = None
    verdicts: Mapping[str, Verdict] = attrs.field(factory=dict, hash=False)
    annotations: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    problems: tuple[str, ...] = ()
    _advise: Callable[[], tuple[Advice, ...]] = attrs.field(default=tuple, alias="advise", repr=False, eq=False)

    @property
    def admitted(self) -> bool:
        """Whether the webhook would let the pod in."""
        return self.admission.admitted

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain JSON data, the object that `hami schedule -o json` prints."""
        return {
            "pod": self.pod,
            "admitted": self.admission.admitted,
            "message": self.message,
            "patch": [dict(operation) for operation in self.admission.patch],
            "node": self.node,
            "nodes": {name: _verdict(verdict) for name, verdict in sorted(self.verdicts.items())},
            "annotations": dict(self.annotations),
        }

    def explain(self) -> dict[str, list[str]]:
        """Per node that does not fit, a line for each card that was passed over."""
        return {
            name: [reason.detail or f"{reason.uuid}: {reason.reason}" for reason in verdict.devices]
            for name, verdict in sorted(self.verdicts.items())
            if isinstance(verdict, Rejected)
        }

    def advice(self) -> list[str]:
        """The smallest changes to the request under which the pod would fit; empty where it does, or nothing helps."""
        return [str(advice) for advice in self._advise()]


def decide(
    objects: object,
    pod: Mapping[str, Any],
    config: ConfigSections | None = None,
    *,
    registry: Registry | None = None,
    now_s: float = 0.0,
) -> Decision:
    """Admit `pod`, then place it in the cluster that `objects` describe.

    Args:
        objects: Kubernetes objects (nodes, pods, resource quotas) as JSON data: a list, a ``List``, or lists of these.
        pod: the Pod to place. Among `objects` it may be too: what it held there does not count.
        config: the device configuration; None means every vendor's built-in defaults.
        registry: families already loaded, to spare loading them for each of many decisions; `config` is then not read.
        now_s: the unix time that the annotations shall carry. The default makes the answer depend on nothing else.

    Raises:
        AdmissionRefused, BadQuantity: a pod that admission leaves alone (another scheduler's) asks for nonsense.
        BadConfig: a section of `config` is wrong.
        BadWire: `pod` has no name, or is left alone and carries a malformed annotation.
        PluginFault: the installed plugins cannot be used together.
    """
    registry = load_registry(config) if registry is None else registry
    facts = read_pod(pod)
    cluster = _without(read_cluster(objects, registry), facts)
    admission = admit(pod, registry, over_quota=lambda request: _over_quota(request, cluster, registry))
    name = f"{facts.namespace}/{facts.name}"
    if not admission.admitted:
        return Decision(pod=name, admission=admission, message=admission.message, problems=cluster.problems)
    request = pod_request(read_pod(admission.pod), registry)
    fleet = Fleet(registry)
    feed(fleet, cluster)
    choice = fleet.decide(request)
    if not request.families:
        return _anywhere(name, admission, request, choice.verdicts(), cluster)
    best = choice.best
    return Decision(
        pod=name,
        admission=admission,
        message=admission.message,
        node=None if best is None else best.placement.node,
        verdicts=choice.verdicts(),
        annotations={} if best is None else _annotations(best.placement, request, cluster, registry, now_s),
        problems=(*cluster.problems, *_strays(fleet), *unknown_policies(request, registry.policies)),
        advise=lambda: advise(fleet, request),
    )


def _anywhere(
    name: str, admission: Admission, request: PodRequest, verdicts: Mapping[str, Verdict], cluster: Cluster
) -> Decision:
    """The decision for a pod without devices: any node will do, one without cards too; others choose."""
    containers = tuple(ContainerShares(name=container.name, kind=container.kind) for container in request.containers)
    cardless = {
        name: Fits(score=0.0, placement=Placement(node=name, containers=containers))
        for name in (inventory.node.name for inventory in cluster.nodes)
    }
    scored = {name: verdict for name, verdict in verdicts.items() if isinstance(verdict, Fits)}
    return Decision(
        pod=name,
        admission=admission,
        message=admission.message or f"pod {name} asks for no device that an installed plugin serves",
        verdicts=cardless | scored,
        problems=cluster.problems,
    )


def _strays(fleet: Fleet) -> Iterator[str]:
    for stray in fleet.strays():
        yield f"pod {stray.label} holds {stray.family} card {stray.uuid}, which node {stray.node} does not register"


def _without(cluster: Cluster, pod: PodFacts) -> Cluster:
    """The cluster without what `pod` itself holds: it is decided anew."""
    return attrs.evolve(cluster, holdings=tuple(holding for holding in cluster.holdings if holding.key != pod.key))


def _over_quota(request: PodRequest, cluster: Cluster, registry: Registry) -> tuple[str, ...]:
    limits = combine(cluster.quotas).get(request.namespace)
    if not limits:
        return ()
    mine = [holding for holding in cluster.holdings if holding.namespace == request.namespace]
    return exceeded(request, registry, limits=limits, used=_used(mine, registry))


def _used(holdings: list[Holding], registry: Registry) -> dict[str, int]:
    """Memory MiB and core units that pods hold, by the name of the resource."""
    used: dict[str, int] = {}
    for holding in holdings:
        taken = taken_by(holding.placement.containers, init_done=holding.init_done)
        for family, amounts in family_totals(taken).items():
            resources = registry.families[family].family.resources
            for resource, amount in zip((resources.memory, resources.cores), amounts, strict=True):
                if resource is not None:
                    used[resource] = used.get(resource, 0) + amount
    return used


def _annotations(
    placement: Placement, request: PodRequest, cluster: Cluster, registry: Registry, now_s: float
) -> dict[str, str]:
    inventory = next(inventory for inventory in cluster.nodes if inventory.node.name == placement.node)
    devices = {device.uuid: device for device in inventory.devices}
    return placement_annotations(placement, request, registry, devices, now_ns=int(now_s * 10**9))


def _verdict(verdict: Verdict) -> dict[str, Any]:
    if not isinstance(verdict, Fits):
        return {"fits": False, "reason": str(verdict)}
    placement = verdict.placement
    devices = {
        family: [[_share(share) for share in shares] for shares in placement.shares_of(family)]
        for family in placement.families
    }
    # Scores are float32: more digits than those that tell it from its neighbours would only be noise.
    return {"fits": True, "score": float(str(np.float32(verdict.score))), "devices": devices}


def _share(share: DeviceShare) -> dict[str, Any]:
    return {"uuid": share.uuid, "memory_mib": share.memory_mib, "core_percent": share.core_units}
