"""How many pods a second go through API server, webhook, kube-scheduler, extender and bind, on this machine.

``python -m benchmarks.cluster.run --nodes 1000 --pods 1500``; needs Go, as `make cluster-test` does. Nodes have eight
cards each and no kubelet; a pod asks for a share of one card. All pods are created first, with kube-scheduler stopped;
counted is from the first bound pod that is seen to the last. Everything shares this machine, this script included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import Installation, install
from tests.cluster.world import World, gpu_node

BUILD = Path(__file__).parents[2] / "tests" / "cluster" / "build.sh"
MODULES = BUILD.parent, BUILD.parents[1] / "chart"
ASKS = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 2000, "nvidia.com/gpucores": 5}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MEASURED = ("hami-scheduler", "kube-scheduler", "kube-apiserver")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=1500)
    asked = parser.parse_args()
    binaries, helm = (
        Path(subprocess.run([BUILD, module], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
        for module in MODULES
    )
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(binaries, Path(folder))
        try:
            plane.start()
            print(json.dumps(measure(plane, install(plane, helm / "helm"), asked.nodes, asked.pods), indent=2))
        finally:
            plane.stop()


def measure(plane: ControlPlane, installation: Installation, nodes: int, pods: int) -> dict[str, object]:
    world = World(plane, installation, "scale")
    kube_scheduler = plane.services["kube-scheduler"]
    kube_scheduler.stop()
    manifests = [world.pod(f"pod-{index:06d}", ASKS) for index in range(pods)]
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda index: world.add_node(gpu_node(f"node-{index:05d}", 8, 32768)), range(nodes)))
        began = time.monotonic()
        list(workers.map(plane.api.create, manifests))
        created_s = time.monotonic() - began
    before = {name: _cpu_s(plane.services[name].pid) for name in MEASURED if plane.services[name].running}
    kube_scheduler.start()
    first = 0
    while not first:
        time.sleep(0.2)
        first = bound(world)
    began, last = time.monotonic(), first
    while last < pods:
        time.sleep(2)  # reading all pods costs the API server as much as scheduling a few
        last = bound(world)
    bound_s = time.monotonic() - began
    used = {name: _cpu_s(plane.services[name].pid) - before.get(name, 0) for name in MEASURED}
    return {
        "nodes": nodes,
        "pods": pods,
        "created_per_s": round(pods / created_s, 1),
        "bound_per_s": round((pods - first) / bound_s, 1),
        "cpu_ms_per_pod": {name: round(1000 * seconds / pods, 1) for name, seconds in used.items()},
        "rss_mb": {name: _rss_mb(plane.services[name].pid) for name in MEASURED},
        "load_average_1m": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def bound(world: World) -> int:
    return sum(1 for pod in world.pods() if pod["spec"].get("nodeName"))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _rss_mb(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000


if __name__ == "__main__":
    main()
