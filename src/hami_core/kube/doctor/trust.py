"""Device plugins that write pods' annotations: the webhook must know them, or what they write is refused."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hami_core.errors import ApiFailed
from hami_core.kube.doctor.look import allowed, why

if TYPE_CHECKING:
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Item, Look

_SOCKETS = "/var/lib/kubelet/device-plugins"


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Find service accounts of pods that serve kubelet and may patch pods: those write what a bind began."""
    home = await look.home()
    if home is None:
        return []
    trusted = home.values("--trusted-user")
    accounts = {
        f"system:serviceaccount:{pod.namespace}:{(item.get('spec') or {}).get('serviceAccountName') or 'default'}"
        for pod, item in await look.pods()
        if not pod.finished and _serves_kubelet(item)
    }
    found = []
    for account in sorted(accounts):
        if any(fnmatch.fnmatchcase(account, pattern) for pattern in trusted):
            found.append(check.ok(account, "is trusted to write devices on pods"))
            continue
        try:
            writes = await allowed(look, account, {"verb": "patch", "group": "", "resource": "pods"})
        except ApiFailed as err:
            return [check.unknown(account, why(err), "run hami doctor as a user that may create SubjectAccessReviews")]
        if writes:
            text = "runs a device plugin and may patch pods, and is not among scheduler.trustedUsers: it is refused"
            found.append(check.problem(account, text, f"add {account} to scheduler.trustedUsers, and helm upgrade"))
    return found


def _serves_kubelet(pod: Item) -> bool:
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    paths = [(volume.get("hostPath") or {}).get("path") or "" for volume in volumes]
    return any(path.rstrip("/") == _SOCKETS for path in paths)
