"""RBAC: whether `hami scheduler`'s service account may do what the process does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from hami_core.errors import ApiFailed
from hami_core.kube.api import path_of
from hami_core.kube.doctor.look import allowed, why

if TYPE_CHECKING:
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Home, Look

_LEASE_FLAG = "--leader-elect-resource-name"


@attrs.frozen(kw_only=True)
class Need:
    """Verbs on a resource, sub-resources as ``pods/binding``; cluster-wide, or in the installation's namespace."""

    resource: str
    verbs: tuple[str, ...]
    group: str = ""
    own_namespace: bool = False
    named: bool = False  # only the Lease that it holds


NEEDS = (
    Need(resource="nodes", verbs=("get", "list", "watch", "patch")),
    Need(resource="pods", verbs=("get", "list", "watch", "patch")),
    Need(resource="pods/binding", verbs=("create",)),
    Need(resource="resourcequotas", verbs=("list", "watch")),
    Need(resource="events", verbs=("create",)),
)
LEASES = (
    Need(group="coordination.k8s.io", resource="leases", verbs=("create",), own_namespace=True),
    Need(group="coordination.k8s.io", resource="leases", verbs=("get", "update"), own_namespace=True, named=True),
)
"""Needed with --leader-elect."""


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Ask for each right; by a review of its own where this runs under that account."""
    home = await look.home()
    if home is None:
        return []
    rights = list(_rights(home))
    about = home.account
    subject = None if await _is_me(look, about) else about
    try:
        answers = await asyncio.gather(*(allowed(look, subject, right) for right in rights))
    except ApiFailed as err:
        return [check.unknown(about, why(err), "run hami doctor as a user that may create SubjectAccessReviews")]
    missing = [_text(right) for right, yes in zip(rights, answers, strict=True) if not yes]
    if not missing:
        return [check.ok(about, "may do all that it needs")]
    do = "helm upgrade writes its roles anew; an admission policy, or a role edited by hand, may stand in the way"
    return [check.problem(about, f"may not {', '.join(missing)}", do)]


async def _is_me(look: Look, account: str) -> bool:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    try:
        answer = await look.post(path_of("apis", "authentication.k8s.io", "v1", "selfsubjectreviews"), review)
    except ApiFailed:
        return False
    return bool(((answer.get("status") or {}).get("userInfo") or {}).get("username") == account)


def _rights(home: Home) -> Iterator[dict[str, str]]:
    elected = any(flag.startswith("--leader-elect") for flag in home.flags)
    for need in (*NEEDS, *(LEASES if elected else ())):
        resource, _, sub = need.resource.partition("/")
        for verb in need.verbs:
            right = {"verb": verb, "group": need.group, "resource": resource}
            if sub:
                right["subresource"] = sub
            if need.own_namespace:
                right["namespace"] = home.namespace
            if need.named:
                right["name"] = home.value(_LEASE_FLAG, "hami-scheduler-extender")
            yield right


def _text(right: dict[str, str]) -> str:
    what = "/".join(filter(None, (right["resource"], right.get("subresource"))))
    where = f" in namespace {right['namespace']}" if "namespace" in right else ""
    return f"{right['verb']} {what}{where}"
