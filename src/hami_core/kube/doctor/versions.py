"""The cluster's version, and that `hami scheduler` is installed and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hami_core import __version__

if TYPE_CHECKING:
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Item, Look

OLDEST = (1, 30)
"""Webhooks with matchConditions."""
TESTED = (1, 36), (1, 37)
"""The minors that `make cluster-test` runs on."""


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Whether Kubernetes is one that we know."""
    told = await look.read("/version")
    text = str(told.get("gitVersion") or f"{told.get('major')}.{told.get('minor')}")
    try:
        minor = int(told["major"]), int(str(told["minor"]).rstrip("+"))
    except (KeyError, ValueError):
        return [check.unknown("Kubernetes", f"its version reads {text}", "compare it with docs/install.md")]
    if minor < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return [check.problem("Kubernetes", f"is {text}, before {oldest}", f"upgrade the cluster to {oldest} or newer")]
    known = " and ".join(".".join(map(str, each)) for each in TESTED)
    if minor not in TESTED:
        return [check.note("Kubernetes", f"is {text}; tested are {known}")]
    return [check.ok("Kubernetes", f"is {text}")]


async def check_installation(look: Look, check: Check) -> Sequence[Finding]:
    """Whether `hami scheduler` is there, ready, and of one version."""
    home = await look.home()
    if home is None:
        where = look.wanted.namespace or "any namespace"
        return [
            check.problem(
                "hami scheduler",
                f"no Deployment of {where} runs it",
                "helm install hami charts/hami --namespace hami-system (docs/install.md)",
            )
        ]
    found = [ready(check, home.item)]
    versions = {
        name.partition(":")[2] for _, told in await look.metrics() for name in told if name.startswith("hami_build_")
    }
    found.extend(
        check.note("versions", f"hami scheduler is {version}, this command is {__version__}", "use equal versions")
        for version in sorted(versions - {__version__})
    )
    return found


async def check_configuration(look: Look, check: Check) -> Sequence[Finding]:
    """Whether the device configuration can be used. Raises BadConfig."""
    home = await look.home()
    name = None if home is None else home.config_map()
    if home is None or name is None:
        return []
    families = (await look.registry()).families
    return [check.ok(f"ConfigMap {home.namespace}/{name}", f"can be used: {len(families)} families")]


def ready(check: Check, deployment: Item) -> Finding:
    """Whether a Deployment has a replica that serves."""
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    about = f"Deployment {metadata['namespace']}/{metadata['name']}"
    wanted, there = (deployment.get("spec") or {}).get("replicas", 1), status.get("readyReplicas") or 0
    if wanted == 0:
        return check.note(about, "is scaled to no replica")
    if not there:
        look_at = f"kubectl -n {metadata['namespace']} describe deployment/{metadata['name']}, and the logs of its pods"
        return check.problem(about, f"none of {wanted} replicas is ready", look_at)
    return check.ok(about, f"{there} of {wanted} replicas ready")
