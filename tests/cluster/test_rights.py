"""RBAC as the chart ships it: the processes need every right that they are given, and no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.api import Api, Object, Refused
from tests.cluster.audit import Right
from tests.cluster.install import NAMESPACE
from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node

# Roles that Kubernetes brings along, and why the kube-scheduler that we start has them.
KUBERNETES = {
    "system:kube-scheduler",  # it is one
    "system:volume-scheduler",  # as above
    "extension-apiserver-authentication-reader",  # how requests to its own port are authenticated
}
# The test's own requests under the same accounts are none of the process's.
AGENTS = {"hami-scheduler": "aiohttp", "hami-kube-scheduler": "kube-scheduler"}


def _roles(manifests: list[Object], account: str) -> Iterator[str]:
    """Names of the roles, cluster-wide or not, that a service account is bound to."""
    for item in manifests:
        if item["kind"] in {"ClusterRoleBinding", "RoleBinding"}:
            assert all(subject["kind"] == "ServiceAccount" for subject in item["subjects"])
            if account in {subject["name"] for subject in item["subjects"]}:
                yield item["roleRef"]["name"]


def _granted(manifests: list[Object], account: str) -> set[Right]:
    """What our own roles allow it."""
    names = set(_roles(manifests, account))
    rules = [
        rule
        for item in manifests
        if item["kind"] in {"ClusterRole", "Role"} and item["metadata"]["name"] in names
        for rule in item["rules"]
    ]
    return {
        Right(group=group, resource=resource, verb=verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("account", AGENTS)
def test_every_right_is_used_and_none_is_missing(world: World, account: str) -> None:
    installation, audit = world.installation, world.plane.audit
    world.add_node(gpu_node("rights", late=False))
    granted = _granted(installation.manifests, account)
    assert granted

    # Nobody frees the node's lock: the second pod's bind asks whose it is.
    world.bound(world.api.create(world.pod("first", {"nvidia.com/gpu": 1})))
    world.api.create(world.pod("second", {"nvidia.com/gpu": 1}))

    def calls(*, allowed: bool) -> set[Right]:
        return {
            call.right
            for call in audit.calls(f"system:serviceaccount:{NAMESPACE}:{account}")
            if AGENTS[account] in call.agent and call.allowed == allowed
        }

    def unused() -> str:
        return ", ".join(f"{right.verb} {right.resource}" for right in granted - calls(allowed=True))

    wait_for("every right used", lambda: not unused(), timeout_s=60, pause_s=0.5, explain=unused)
    # A restarted API server refuses what it allows once it has read the roles.
    assert calls(allowed=False) - calls(allowed=True) == set()


@pytest.mark.parametrize("account", AGENTS)
def test_no_role_of_others_is_bound_but_kubernetes_own_for_schedulers(world: World, account: str) -> None:
    manifests = world.installation.manifests
    shipped = {item["metadata"]["name"] for item in manifests if item["kind"] in {"ClusterRole", "Role"}}

    assert set(_roles(manifests, account)) - shipped <= KUBERNETES


REFUSED = [
    ("GET", "/api/v1/secrets"),
    ("GET", "/api/v1/configmaps"),
    ("POST", "/api/v1/namespaces/default/pods"),
    ("DELETE", "/api/v1/namespaces/default/pods/any"),
    ("DELETE", "/api/v1/nodes/any"),
    ("PATCH", "/api/v1/nodes/any/status"),
    ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token"),
    ("GET", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/another"),
    ("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/hami-scheduler-extender"),
]


@pytest.mark.parametrize(("method", "path"), REFUSED, ids=[f"{method} {path}" for method, path in REFUSED])
def test_the_scheduler_may_do_nothing_else(world: World, method: str, path: str) -> None:
    scheduler = Api(world.plane.url, world.installation.scheduler_token, world.plane.ca)
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    try:
        with pytest.raises(Refused) as refused:
            scheduler.call(method, path, {}, headers=headers)
    finally:
        scheduler.close()

    assert refused.value.status == 403
