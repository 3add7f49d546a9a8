"""What the webhook lets in, and that it stands in nobody else's way."""

from __future__ import annotations

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.cluster.api import Refused
from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node

CREATORS = 4
FORGED = [
    ("hami.io/vgpu-node", "somewhere"),
    ("hami.io/vgpu-devices-allocated", "GPU-0,NVIDIA,1000,10:;"),
    ("hami.io/vgpu-devices-to-allocate", "GPU-0,NVIDIA,1000,10:;"),
    ("hami.io/bind-phase", "success"),
]


@pytest.mark.parametrize(("key", "value"), FORGED, ids=[key for key, _ in FORGED])
def test_a_pod_that_claims_to_hold_devices_is_refused(world: World, key: str, value: str) -> None:
    pod = world.pod("forged", {})
    pod["metadata"]["annotations"] = {key: value}

    with pytest.raises(Refused, match=f"{key}.*written by the scheduler"):
        world.api.create(pod)


def test_devices_cannot_be_written_on_a_pod_that_exists(world: World) -> None:
    pod = world.api.create(world.pod("plain", {}))

    with pytest.raises(Refused, match="written by the scheduler"):
        world.api.patch(pod, {"metadata": {"annotations": {"hami.io/vgpu-node": "somewhere"}}})


def test_devices_cannot_be_taken_off_a_pod_that_holds_them(world: World) -> None:
    world.add_node(gpu_node("kept"))
    pod = world.bound(world.api.create(world.pod("holder", {"nvidia.com/gpu": 1})))

    for change in ({"hami.io/vgpu-devices-allocated": None}, {"hami.io/vgpu-devices-allocated": ""}):
        with pytest.raises(Refused, match="written by the scheduler"):
            world.api.patch(pod, {"metadata": {"annotations": change}})

    assert world.api.patch(pod, {"metadata": {"labels": {"mine": "changed"}}})


def test_a_privileged_container_is_refused(world: World) -> None:
    pod = world.pod("privileged", {"nvidia.com/gpu": 1})
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}

    with pytest.raises(Refused, match="container main is privileged"):
        world.api.create(pod)


def test_a_pod_over_its_namespace_s_quota_is_refused_and_says_how_far(world: World) -> None:
    world.add_node(gpu_node("quota"))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "devices", "namespace": world.namespace},
        "spec": {"hard": {"limits.nvidia.com/gpumem": "5000"}},
    }
    world.api.create(quota)
    within = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 4000}
    world.bound(world.api.create(world.pod("within", within)))

    with pytest.raises(Refused, match=r"nvidia.com/gpumem: 2000 asked and 4000 used of 5000 MiB"):
        world.api.create(world.pod("beyond", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 2000}))


def test_a_dry_run_is_answered_and_leaves_nothing(world: World) -> None:
    pod = world.pod("dry", {"nvidia.com/gpu": 1})

    assert world.rehearsed(pod)["spec"]["schedulerName"] == "hami-scheduler"
    assert world.api.get(pod) is None


def test_a_certificate_is_renewed_under_load_without_a_pod_refused(world: World) -> None:
    installation = world.installation
    before = _served(installation.port)
    renewed = threading.Event()

    def create(creator: int) -> int:
        made = 0
        while not renewed.is_set() or made < 10:  # each creator goes on for a while under the new one
            world.api.create(world.pod(f"pod-{creator}-{made:04d}", {"nvidia.com/gpu": 1}))
            made += 1
        return made

    with ThreadPoolExecutor(CREATORS) as creators:
        created = [creators.submit(create, creator) for creator in range(CREATORS)]
        try:
            certificate, _ = installation.renew_certificate()
            wait_for("the new certificate", lambda: _served(installation.port) != before, timeout_s=60)
        finally:
            renewed.set()
        pods = sum(each.result() for each in created)

    assert len(world.pods()) == pods
    assert {pod["spec"]["schedulerName"] for pod in world.pods()} == {"hami-scheduler"}
    assert _served(installation.port) == certificate.read_text()[: len(_served(installation.port))]


def _served(port: int) -> str:
    """The certificate that answers on a port, PEM."""
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_while_the_webhook_is_down_pods_that_ask_for_devices_wait_and_no_others(world: World) -> None:
    world.installation.scheduler.kill()
    try:
        with pytest.raises(Refused, match=r"vgpu\.hami\.io"):
            world.api.create(world.pod("asks", {"nvidia.com/gpu": 1}))
        assert world.api.create(world.pod("plain", {"cpu": 1}))["spec"]["schedulerName"] == "default-scheduler"
    finally:
        world.installation.start_scheduler()

    assert world.api.create(world.pod("asks", {"nvidia.com/gpu": 1}))["spec"]["schedulerName"] == "hami-scheduler"
