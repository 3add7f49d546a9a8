"""Admission: what a webhook does to a pod when it is created, as a function from pod to JSON Patch or refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from hami_core.behaviour import Admitter, Edits
from hami_core.errors import AdmissionRefused, BadQuantity, BadWire
from hami_core.family import Family
from hami_core.model import PodRequest
from hami_core.objects import ContainerFacts, PodFacts, read_pod
from hami_core.requests import pod_request
from hami_core.wire.json_patch import Operation, diff

if TYPE_CHECKING:
    from hami_core.registry import Registry

IGNORE_LABEL = "hami.io/webhook"
DEFAULT_SCHEDULER = "default-scheduler"


@attrs.frozen
class TableAdmit:
    """Finds the containers that ask for the family, fills in a default count, asks for its runtime class."""

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


@attrs.frozen(kw_only=True)
class AdmissionSettings:
    """How the webhook was set up."""

    scheduler_name: str = "hami-scheduler"  # "" leaves a pod's scheduler alone
    overwrite_default_scheduler: bool = True


@attrs.frozen(kw_only=True)
class Admission:
    """The answer: admitted with a patch, or refused with a message for the pod's author.

    `message` of an admitted pod says why it was left as it is. `pod` is the object after the patch.
    """

    admitted: bool
    message: str | None = None
    patch: tuple[Operation, ...] = ()
    pod: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


QuotaCheck = Callable[[PodRequest], Sequence[str]]
"""Why a pod would go over its namespace's quota; see `hami_core.quota.exceeded`."""


def admit(
    item: Mapping[str, Any],
    registry: Registry,
    settings: AdmissionSettings = AdmissionSettings(),
    *,
    over_quota: QuotaCheck | None = None,
) -> Admission:
    """Admit one pod. Admitting what it returns once more changes nothing.

    Args:
        item: the Pod as it came from the API server; it is not changed.
        registry: the families that pods may ask for.
        settings: how the webhook was set up.
        over_quota: checks the namespace's quota; None where there is none.

    Raises:
        BadWire: the object has no name.
    """
    pod = read_pod(item)
    excuse = _why_not_ours(pod, settings)
    if excuse and pod.containers:
        return Admission(admitted=True, message=f"{pod.where} {excuse}", pod=item)
    draft = _Draft(item)
    try:
        _edit(draft, pod, registry, settings, over_quota)
    except (AdmissionRefused, BadQuantity, BadWire) as err:
        return Admission(admitted=False, message=str(err), pod=item)
    return Admission(admitted=True, patch=diff(item, draft.pod), pod=draft.pod)


def _why_not_ours(pod: PodFacts, settings: AdmissionSettings) -> str:
    """Why the pod is let through as it is; empty when it is left to us.

    Ours are pods that name no scheduler, our own, or the default one that we may overwrite.
    """
    if pod.labels.get(IGNORE_LABEL) == "ignore":
        return f"is labelled {IGNORE_LABEL}: ignore"
    name = pod.scheduler_name
    if not name or name == settings.scheduler_name:
        return ""
    if name == DEFAULT_SCHEDULER and settings.overwrite_default_scheduler:
        return ""
    return f"already has another scheduler assigned: {name}"


def _edit(
    draft: _Draft, pod: PodFacts, registry: Registry, settings: AdmissionSettings, over_quota: QuotaCheck | None
) -> None:
    if not pod.containers:
        raise AdmissionRefused(f"{pod.where} has no containers")
    if not _complete(draft, pod, registry):
        return
    _check_place(pod, settings)
    if settings.scheduler_name:
        draft.spec["schedulerName"] = settings.scheduler_name
    request = pod_request(read_pod(draft.pod), registry)
    problems = over_quota(request) if over_quota is not None else ()
    if problems:
        raise AdmissionRefused(f"{pod.where} goes over the quota of namespace {pod.namespace}: {'; '.join(problems)}")


def _complete(draft: _Draft, pod: PodFacts, registry: Registry) -> bool:
    """Apply every family's edits; whether any container asks for a device."""
    found = False
    for index, container in enumerate(pod.containers):
        for loaded in registry.families.values():
            edits = loaded.admit(pod, container)
            draft.apply(index, edits)
            found = found or edits.found
    return found


def _check_place(pod: PodFacts, settings: AdmissionSettings) -> None:
    for container in pod.containers:
        if container.privileged:
            raise AdmissionRefused(
                f"{pod.where}: container {container.name} is privileged, so it could use every card of its node; drop "
                f"securityContext.privileged, or label the pod {IGNORE_LABEL}: ignore to run it without a share"
            )
    if settings.scheduler_name and pod.node_name:
        raise AdmissionRefused(
            f"{pod.where} has a node assigned ({pod.node_name}), so no device would be reserved for it; drop "
            f"spec.nodeName and write nodeSelector kubernetes.io/hostname: {pod.node_name}"
        )


class _Draft:
    """A pod being edited: a copy of the object, its containers in the order of `PodFacts.containers`."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.pod: dict[str, Any] = _copied(item)
        self.spec: dict[str, Any] = _inside(self.pod, "spec")
        lists = (self.spec.get("initContainers"), self.spec.get("containers"))
        self.containers = [
            entry for listed in lists if isinstance(listed, list) for entry in listed if isinstance(entry, dict)
        ]

    def apply(self, index: int, edits: Edits) -> None:
        """Put in what is not there yet with that value."""
        container = self.containers[index]
        for part, values in (("limits", edits.limits), ("requests", edits.requests)):
            if values:
                _inside(_inside(container, "resources"), part).update(values)
        _set_env(container, edits.env)
        for each in self.containers if edits.env_all_containers else ():
            _set_env(each, edits.env_all_containers)
        if edits.pod_annotations:
            _inside(_inside(self.pod, "metadata"), "annotations").update(edits.pod_annotations)
        if edits.runtime_class is not None and not self.spec.get("runtimeClassName"):
            self.spec["runtimeClassName"] = edits.runtime_class


def _set_env(container: dict[str, Any], values: Mapping[str, str]) -> None:
    for name, value in values.items():
        entries = container.get("env")
        if not isinstance(entries, list):
            entries = container["env"] = []
        for entry in entries:
            if isinstance(entry, dict) and entry.get("name") == name:
                entry.pop("valueFrom", None)
                entry["value"] = value
                break
        else:
            entries.append({"name": name, "value": value})


def _inside(raw: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping at `key`, made where there is none."""
    value = raw.get(key)
    if not isinstance(value, dict):
        value = raw[key] = {}
    return value


def _copied(value: Any) -> Any:
    """A deep copy of JSON data, mappings as dicts and sequences as lists."""
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_copied(entry) for entry in value]
    return value
