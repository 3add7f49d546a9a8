"""`hami top --cluster` on the real control plane: what its scheduler promised, and why no more is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.world import World, gpu_node

HAMI = Path(sys.executable).with_name("hami")


def _top(world: World, *arguments: str) -> dict[str, Any]:
    command = [HAMI, "top", "--cluster", "--once", "-o", "json", f"--kubeconfig={world.plane.admin_kubeconfig}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_a_bound_pod_is_shown_with_its_card_and_an_unknown_use_with_its_reason(world: World) -> None:
    for name in ("watched", "unwatched"):
        world.add_node(gpu_node(name, memory_mib=10000))
    asked = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 4000}
    bound = world.bound(world.api.create(world.pod("holds", asked)))
    watcher = world.pod("monitor", {})
    watcher["metadata"]["labels"] = {"app.kubernetes.io/component": "monitor"}
    watcher["spec"]["containers"][0]["command"] = ["hami", "monitor"]
    watcher["spec"]["nodeName"] = "watched"
    running = world.api.create(watcher)
    world.api.patch(running, {"status": {"phase": "Running"}}, subresource="/status")

    shown = _top(world, "--node=watched", "--node=unwatched")

    assert shown["problems"] == []
    (share,) = [each for each in shown["shares"] if each["pod"] == "holds"]
    assert (share["node"], share["memory_limit_mib"]) == (bound["spec"]["nodeName"], 4000)
    assert (share["memory_used_bytes"], share["isolated"]) == (None, None)
    (card,) = [each for each in shown["devices"] if each["uuid"] == share["device_uuid"]]
    assert (card["memory_mib"], card["memory_promised_mib"], card["memory_used_bytes"]) == (10000, 4000, None)
    why = {each["node"]: each["unknown_because"] for each in shown["nodes"]}
    assert why["unwatched"] == "no monitor runs there"
    assert why["watched"].startswith("its monitor monitor cannot be asked: ")
