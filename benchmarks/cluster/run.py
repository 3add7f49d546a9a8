"""How many pods a second go through API server, webhook, kube-scheduler, extender and bind, on this machine.

``python -m benchmarks.cluster.run --nodes 1000 --pods 3000``; needs Go, as `make cluster-test` does. Nodes have eight
cards each and no kubelet; a pod asks for a share of one card. All pods are created first, with kube-scheduler stopped;
counted is from the first bound pod that is seen to the last. Everything shares this machine, this script included: the
CPU time of each component says more than the rate where other work goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.cluster.meters import Meters, peak_rss_mib, rss_mib
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import Installation, install
from tests.cluster.world import World, gpu_node

BUILD = Path(__file__).parents[2] / "tests" / "cluster" / "build.sh"
MODULES = BUILD.parent, BUILD.parents[1] / "chart"
ASKS = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 2000, "nvidia.com/gpucores": 5}
LOOK_EVERY_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=3000)
    asked = parser.parse_args()
    print(json.dumps(run(asked.nodes, asked.pods), indent=2))


def run(nodes: int, pods: int) -> dict[str, object]:
    """Bring a cluster up, measure, and take it down."""
    binaries, helm = (
        Path(subprocess.run([BUILD, module], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
        for module in MODULES
    )
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(binaries, Path(folder))
        meters = Meters(plane)
        try:
            plane.start()
            return measure(plane, install(plane, helm / "helm"), meters, nodes, pods)
        finally:
            meters.close()
            plane.stop()


def measure(
    plane: ControlPlane, installation: Installation, meters: Meters, nodes: int, pods: int
) -> dict[str, object]:
    world = World(plane, installation, "scale")
    kube_scheduler = plane.services["kube-scheduler"]
    kube_scheduler.stop()
    manifests = [world.pod(f"pod-{index:06d}", ASKS) for index in range(pods)]
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda index: world.add_node(gpu_node(f"node-{index:05d}", 8, 32768)), range(nodes)))
        before, began = meters.cpu(), time.monotonic()
        list(workers.map(plane.api.create, manifests))
        created_s = time.monotonic() - began
    creating = _spent(meters, before, pods)
    calls = meters.calls()
    kube_scheduler.start()
    kube_scheduler.wait_ready(meters.bound)
    first, before, began = meters.bound(), meters.cpu(), time.monotonic()
    last = first
    while last < pods:
        time.sleep(LOOK_EVERY_S)
        last = meters.bound()
    bound_s = time.monotonic() - began
    binding = _spent(meters, before, pods - first)
    return {
        "nodes": nodes,
        "pods": pods,
        "created_per_s": round(pods / created_s, 1),
        "bound_per_s": round((pods - first) / bound_s, 1),
        "cpu_ms_per_pod_created": creating,
        "cpu_ms_per_pod_bound": binding,
        "api_writes_per_pod_bound": meters.calls().since(calls).per_pod(pods),
        "rss_mib": {name: rss_mib(service.pid) for name, service in plane.services.items()},
        "peak_rss_mib": peak_rss_mib(installation.scheduler.pid),
        "load_average_1m": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def _spent(meters: Meters, before: Mapping[str, float], pods: int) -> dict[str, float]:
    """CPU milliseconds per pod by component since `before`, and their sum."""
    used = {name: 1000 * (now_s - before.get(name, 0)) / pods for name, now_s in meters.cpu().items()}
    return {name: round(ms, 2) for name, ms in {**used, "total": sum(used.values())}.items()}


if __name__ == "__main__":
    main()
