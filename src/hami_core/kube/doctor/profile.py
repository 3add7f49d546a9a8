"""kube-scheduler: a profile of our name, and our extender under it for the resources that nodes offer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from hami_core.kube.api import path_of
from hami_core.kube.doctor.versions import ready

if TYPE_CHECKING:
    from hami_core.family import Resources
    from hami_core.kube.cache import Cache
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Home, Item, Look

_KIND = "KubeSchedulerConfiguration"
_COMPONENT = "app.kubernetes.io/component=kube-scheduler"
_SEE = "see 'A kube-scheduler of your own' in docs/install.md"


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Look at the configuration beside our installation, and at what runs it."""
    home = await look.home()
    if home is None:
        return []
    here = "namespaces", home.namespace
    configured = list(_configurations(await look.items(path_of("api", "v1", *here, "configmaps"))))
    if not configured:
        text = f"namespace {home.namespace} has no {_KIND}: a kube-scheduler elsewhere must have our extender"
        return [check.note("kube-scheduler", text, _SEE)]
    cache = await look.cache()
    found = [finding for name, config in configured for finding in _compared(check, home, name, config, cache)]
    found.extend(
        ready(check, item) for item in await look.items(path_of("apis", "apps", "v1", *here, "deployments"), _COMPONENT)
    )
    found.extend(await _leader(look, check, home))
    return found


def _configurations(maps: Sequence[Item]) -> Iterator[tuple[str, Item]]:
    for item in maps:
        for text in (item.get("data") or {}).values():
            if _KIND not in text:
                continue
            try:
                config = yaml.safe_load(text)
            except yaml.YAMLError:
                config = None
            yield item["metadata"]["name"], config if isinstance(config, dict) else {}


def _compared(check: Check, home: Home, name: str, config: Item, cache: Cache) -> Iterator[Finding]:
    about = f"ConfigMap {home.namespace}/{name}"
    profiles = [entry.get("schedulerName") for entry in _maps(config.get("profiles"))]
    if home.scheduler_name not in profiles:
        has = ", ".join(map(str, profiles)) or "none"
        text = f"has no profile {home.scheduler_name}, which the webhook gives to pods; it has {has}"
        yield check.problem(about, text, _SEE)
    ours = [entry for entry in _maps(config.get("extenders")) if entry.get("filterVerb") and entry.get("bindVerb")]
    if not ours:
        yield check.problem(about, "has no extender with filterVerb and bindVerb", _SEE)
        return
    wrong = [finding for extender in ours for finding in _extender(check, about, home, extender, cache)]
    yield from wrong or [check.ok(about, f"has the profile {home.scheduler_name} and our extender")]


def _extender(check: Check, about: str, home: Home, extender: Item, cache: Cache) -> Iterator[Finding]:
    managed = {entry.get("name"): entry for entry in _maps(extender.get("managedResources"))}
    if home.value("--node-choice", "hami") == "scheduler" and not extender.get("prioritizeVerb"):
        text = "its extender has no prioritizeVerb, and hami scheduler leaves the choice of node to kube-scheduler"
        yield check.problem(about, text, "add prioritizeVerb: prioritize")
    if not extender.get("nodeCacheCapable"):
        text = "its extender is not nodeCacheCapable: every node is sent with each pod, which is slow"
        yield check.note(about, text, "set nodeCacheCapable: true")
    if not managed:
        return  # asked about every pod
    offered = {name for name in cache.registry.families if cache_has(cache, name)}
    for family in sorted(offered):
        resources = cache.registry.families[family].family.resources
        missing = [name for name in _names(resources) if name not in managed]
        if missing:
            yield check.problem(
                about,
                f"nodes offer {family}, and its extender does not manage {', '.join(missing)}",
                "add them to managedResources with ignoredByScheduler: true, and restart kube-scheduler",
            )
        counted = [
            name for name in _names(resources) if name in managed and not managed[name].get("ignoredByScheduler")
        ]
        if counted:
            yield check.problem(
                about,
                f"{', '.join(counted)} are not ignoredByScheduler: kube-scheduler itself counts them too",
                "set ignoredByScheduler: true for them, and restart kube-scheduler",
            )


async def _leader(look: Look, check: Check, home: Home) -> list[Finding]:
    """Whether kube-scheduler finds the replica that decides."""
    if home.item["spec"].get("replicas", 1) == 0:
        return []
    service = f"{home.name}-extender"
    path = path_of("apis", "discovery.k8s.io", "v1", "namespaces", home.namespace, "endpointslices")
    slices = await look.items(path, f"kubernetes.io/service-name={service}")
    ready_ones = [
        endpoint
        for each in slices
        for endpoint in _maps(each.get("endpoints"))
        if (endpoint.get("conditions") or {}).get("ready")
    ]
    about = f"Service {home.namespace}/{service}"
    if not ready_ones:
        do = "one pod of hami scheduler must have the label hami.io/scheduler-role=leader; the logs say why none has"
        return [check.problem(about, "no replica is behind it: nobody answers filter and bind", do)]
    return [check.ok(about, f"{len(ready_ones)} replica behind it")]


def cache_has(cache: Cache, family: str) -> bool:
    """Whether some node has devices of a family."""
    return any(device.family == family for found in cache.inventories.values() for device in found.devices)


def _names(resources: Resources) -> list[str]:
    return sorted(resources.names)


def _maps(value: Any) -> list[Item]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
