"""`hami scheduler --dry-run` on a live cluster: it says where pending pods would go, and writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cluster.processes import free_port, wait_for
from tests.cluster.world import World, gpu_node

READS = {"get", "list", "watch"}


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(world: World) -> None:
    plane, mark = world.plane, world.plane.audit.mark()
    world.add_node(gpu_node("rehearsed", memory_mib=16384))
    plane.services["kube-scheduler"].stop()
    token = world.account("rehearsal", [{"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}])
    kubeconfig = plane.kubeconfig("rehearsal", token)
    port = free_port()
    process = plane.service(
        "hami-dry-run",
        Path(sys.executable).with_name("hami"),
        "scheduler",
        f"--kubeconfig={kubeconfig}",
        "--dry-run",
        f"--http-bind=127.0.0.1:{port}",
        "--metrics-bind-address=0",
    )
    process.start()
    try:
        world.api.create(world.pod("fits", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 10000}))
        world.api.create(world.pod("too-large", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 20000}))

        def says(text: str) -> bool:
            return f"dry run: pod {world.namespace}/{text}" in process.log.read_text()

        wait_for("where the pod would go", lambda: says("fits would go to node rehearsed: GPU-"), timeout_s=60)
        wait_for("why the other waits", lambda: says("too-large would wait: no available node"), timeout_s=60)
    finally:
        process.stop()
        world.installation.start_kube_scheduler()

    asked = {call.right for call in plane.audit.calls(f"system:serviceaccount:{world.namespace}:rehearsal", since=mark)}
    # Who it is itself: a question in the form of an object, which is not stored.
    assert {right.resource for right in asked if right.verb not in READS} <= {"selfsubjectreviews"}
    assert {"nodes", "pods", "resourcequotas"} <= {right.resource for right in asked}
