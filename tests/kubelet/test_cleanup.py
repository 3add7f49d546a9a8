"""What containers had on the node goes when their pod is gone, and never before."""

from __future__ import annotations

import time

from tests.cluster.processes import wait_for
from tests.kubelet.node_processes import REFRESH_S
from tests.kubelet.world import PATIENCE_S, World, gpu_container

LOOKS_S = 2.5 * REFRESH_S  # the agent has cleaned twice by then


def test_folders_and_specs_stay_with_their_pod_and_go_with_it(world: World) -> None:
    ended = gpu_container("main", 1000)
    ended["command"] = ["sh", "-c", "exit 0"]
    kept = world.pod("ended", ended, restartPolicy="Never")
    gone = world.pod("gone", gpu_container("main", 2000), gpu_container("other", 3000))
    world.wait(kept, "has ended", lambda found: found["status"].get("phase") == "Succeeded")
    world.running(gone)
    uids = {name: world.now(pod)["metadata"]["uid"] for name, pod in (("kept", kept), ("gone", gone))}
    time.sleep(LOOKS_S)  # looks that must not remove anything
    before = world.processes.container_folders()
    assert {f"{uids['kept']}_main", f"{uids['gone']}_main", f"{uids['gone']}_other"} <= before

    world.delete(gone)

    def cleaned() -> bool:
        folders = {folder for folder in world.processes.container_folders() if folder.startswith(uids["gone"])}
        owners = {spec["annotations"]["hami.io/pod-uid"] for spec in world.processes.specs()}
        return not folders and uids["gone"] not in owners

    wait_for("nothing of the pod", cleaned, timeout_s=PATIENCE_S)
    assert f"{uids['kept']}_main" in world.processes.container_folders()


def test_while_the_api_server_is_away_nothing_is_removed_and_containers_run_on(world: World) -> None:
    pod = world.pod("steady", gpu_container("main", 1000))
    world.running(pod)
    before = world.processes.container_folders()
    apiserver = world.node.plane.services["kube-apiserver"]
    apiserver.kill()
    time.sleep(LOOKS_S)
    assert world.processes.container_folders() == before
    assert world.processes.agent.running
    apiserver.start()
    apiserver.wait_ready(world.api.ready, timeout_s=120)

    assert world.running(pod)["status"]["containerStatuses"][0]["restartCount"] == 0
    second = world.pod("second", gpu_container("main", 2000))
    assert world.said(second, "main")["total_mib"] == [2000]
