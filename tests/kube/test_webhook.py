from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.kube.world import Object, cache_of, node, placed, pod

from hami_core.admission import AdmissionSettings
from hami_core.errors import BadWire
from hami_core.kube.cache import Cache
from hami_core.kube.records import decode_pod
from hami_core.kube.webhook import Webhook
from hami_core.quota import NamespaceQuota

ALICE = {"username": "alice", "groups": ["system:authenticated"]}


def hook(cache: Cache | None = None, *trusted: str, synced: bool = True) -> Webhook:
    held = cache or cache_of(node("n1"))
    return Webhook(lambda: held, AdmissionSettings(), trusted=trusted, synced=lambda: synced)


def review(item: Object | None, *, version: str = "admission.k8s.io/v1", **request: Any) -> bytes:
    body = {"uid": "u1", "operation": "CREATE", "namespace": "team", "userInfo": ALICE, "object": item, **request}
    return json.dumps({"apiVersion": version, "kind": "AdmissionReview", "request": body}).encode()


def answer(webhook: Webhook, body: bytes) -> dict[str, Any]:
    sent = json.loads(webhook.review(body))
    assert sent["kind"] == "AdmissionReview"
    response: dict[str, Any] = sent["response"]
    assert response["uid"] == "u1"
    return response


def patch(response: dict[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = json.loads(base64.b64decode(response["patch"]))
    return steps


@pytest.mark.parametrize("version", ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])
def test_a_pod_that_asks_for_devices_gets_our_scheduler(version: str) -> None:
    webhook = hook()
    body = review(pod("a"), version=version)
    assert json.loads(webhook.review(body))["apiVersion"] == version
    response = answer(webhook, body)
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    assert {"op": "add", "path": "/spec/schedulerName", "value": "hami-scheduler"} in patch(response)


def test_a_pod_that_asks_for_none_is_left_alone() -> None:
    response = answer(hook(), review(pod("a", "")))
    assert response == {"uid": "u1", "allowed": True}


def test_a_refusal_says_what_to_write_instead() -> None:
    response = answer(hook(), review(pod("a", "16Gi")))
    assert response["allowed"] is False
    assert "16384" in response["status"]["message"]


def test_the_namespace_of_the_request_counts_where_the_pod_names_none() -> None:
    cache = cache_of(node("n1"))
    cache.put_quota(NamespaceQuota(namespace="team", name="q", limits={"nvidia.com/gpumem": 5000}))
    item = pod("a", 6000)
    del item["metadata"]["namespace"]
    assert "quota" in answer(hook(cache), review(item))["status"]["message"]


def test_a_quota_counts_what_pods_hold() -> None:
    cache = cache_of(node("n1"))
    cache.put_quota(NamespaceQuota(namespace="team", name="q", limits={"nvidia.com/gpumem": 10000}))
    assert answer(hook(cache), review(pod("b", 6000)))["allowed"] is True
    cache.put_pod(decode_pod(json.dumps(placed("a", "GPU-n1-0", "n1", 6000)).encode()))
    assert answer(hook(cache), review(pod("b", 6000)))["allowed"] is False
    # Before the cache is synced, what is used is not known: filter checks again.
    assert answer(hook(cache, synced=False), review(pod("b", 6000)))["allowed"] is True


FORGED = {
    "hami.io/vgpu-node": "n1",
    "hami.io/vgpu-devices-allocated": "GPU-n1-0,NVIDIA,1,0:;",
    "hami.io/vgpu-devices-to-allocate": "GPU-n1-0,NVIDIA,1,0:;",
    "hami.io/bind-phase": "success",
    "hami.io/bind-time": "1",
    "hami.io/vgpu-mig-allocations": "[]",
}


@pytest.mark.parametrize("key", FORGED)
def test_a_user_may_not_create_a_pod_that_says_what_it_was_given(key: str) -> None:
    response = answer(hook(), review(pod("a", annotations={key: FORGED[key]})))
    assert response["allowed"] is False
    assert key in response["status"]["message"]
    assert "alice" in response["status"]["message"]


def test_forgery_is_refused_whatever_scheduler_or_label_the_pod_names() -> None:
    item = pod("a", "", annotations={"hami.io/vgpu-node": "n1"}, schedulerName="other")
    item["metadata"]["labels"] = {"hami.io/webhook": "ignore"}
    assert answer(hook(), review(item))["allowed"] is False


def test_a_user_may_not_change_or_remove_what_a_bind_wrote() -> None:
    before = placed("a", "GPU-n1-0", "n1")
    for after in (placed("a", "GPU-n1-1", "n1"), pod("a", nodeName="n1")):
        response = answer(hook(), review(after, oldObject=before, operation="UPDATE"))
        assert response["allowed"] is False


def test_an_update_of_something_else_is_no_business_of_ours() -> None:
    before, after = placed("a", "GPU-n1-0", "n1"), placed("a", "GPU-n1-0", "n1")
    after["metadata"]["annotations"]["note"] = "mine"
    response = answer(hook(), review(after, oldObject=before, operation="UPDATE"))
    assert response == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize(
    "user",
    [
        {"username": "system:node:n1", "groups": ["system:nodes"]},
        {"username": "system:serviceaccount:hami:plugin"},
        {"username": "me*"},
    ],
)
def test_who_hands_devices_out_may_write_them(user: Object) -> None:
    webhook = hook(None, "system:serviceaccount:hami:*", "me[*]")
    body = review(placed("a", "GPU-n1-0", "n1"), oldObject=pod("a"), operation="UPDATE", userInfo=user)
    assert answer(webhook, body)["allowed"] is True


def test_deleting_is_never_refused() -> None:
    body = review(None, oldObject=placed("a", "GPU-n1-0", "n1"), operation="DELETE")
    assert answer(hook(), body)["allowed"] is True


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2","request":{"uid":"u"}}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":""}}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","object":[]}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_review_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BadWire, match="admission review"):
        hook().review(body)
