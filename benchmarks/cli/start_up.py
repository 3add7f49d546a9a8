"""How long `hami` keeps a person waiting: the help, and a decision over 100 nodes, as whole processes.

    python benchmarks/cli/start_up.py [ROUNDS]

Each round runs the bare interpreter and both commands one after the other, so that a busy machine slows all of them;
the ratio to the interpreter is what to compare between machines. The first round only fills the cache of compiled
modules, as a person's first command does. Exit code 1 when a median is over its target.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hami_core.model import Device
from hami_core.wire.register import encode_json

NODES, CARDS, PODS = 100, 8, 400
HAMI = str(Path(sys.executable).with_name("hami"))
TARGET_MS = {"hami --help": 300, "hami schedule, 100 nodes": 1000}


def main(rounds: int) -> int:
    """Measure, print, and say whether the targets hold."""
    with tempfile.TemporaryDirectory() as folder:
        cluster, pod = Path(folder) / "cluster.json", Path(folder) / "pod.json"
        cluster.write_text(json.dumps({"kind": "List", "items": [*map(node, range(NODES)), *map(held, range(PODS))]}))
        pod.write_text(json.dumps(pending()))
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "hami --help": [HAMI, "--help"],
            "hami schedule, 100 nodes": [HAMI, "schedule", "--cluster", str(cluster), "-f", str(pod)],
        }
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder) / "compiled")}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        taken_ms: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                once_ms = run_ms(command, environ)
                if number > 0:
                    taken_ms[name].append(once_ms)
    median_ms = {name: statistics.median(times) for name, times in taken_ms.items()}
    bare_ms = median_ms["python -c pass"]
    print(f"{'command':26} {'median ms':>9} {'spread ms':>9} {'x bare python':>13} {'target ms':>9}")
    for name, times in taken_ms.items():
        spread_ms = max(times) - min(times)
        target = TARGET_MS.get(name, "")
        print(f"{name:26} {median_ms[name]:9.0f} {spread_ms:9.0f} {median_ms[name] / bare_ms:13.1f} {target:>9}")
    return int(any(median_ms[name] > target_ms for name, target_ms in TARGET_MS.items()))


def run_ms(command: list[str], environ: dict[str, str]) -> float:
    """Wall time of a command from start to end."""
    start_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return (time.perf_counter() - start_s) * 1000


def uuid(node_index: int, card: int) -> str:
    """UUID of a card of the synthetic cluster."""
    return f"GPU-{node_index:04}-{card}"


def node(index: int) -> dict[str, object]:
    """A node with eight A40."""
    cards = [
        Device(
            uuid=uuid(index, card), family="NVIDIA", model="NVIDIA-NVIDIA A40", index=card, memory_mib=46068, slots=10
        )
        for card in range(CARDS)
    ]
    annotations = {"hami.io/node-nvidia-register": encode_json(cards)}
    return {"kind": "Node", "metadata": {"name": f"node-{index:04}", "annotations": annotations}, "status": {}}


def held(index: int) -> dict[str, object]:
    """A placed pod that holds a part of one card."""
    where = index % NODES
    annotations = {
        "hami.io/vgpu-node": f"node-{where:04}",
        "hami.io/vgpu-devices-allocated": f"{uuid(where, index // NODES)},NVIDIA,{20000 + index},30:;",
    }
    metadata = {"name": f"pod-{index}", "uid": f"uid-{index}", "annotations": annotations}
    spec = {"nodeName": f"node-{where:04}", "containers": [{"name": "main"}]}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def pending() -> dict[str, object]:
    """The pod to place: two cards, half of each."""
    limits = {"nvidia.com/gpu": 2, "nvidia.com/gpumem-percentage": 50, "nvidia.com/gpucores": 30}
    containers = [{"name": "main", "resources": {"limits": limits}}]
    return {"kind": "Pod", "metadata": {"name": "pending"}, "spec": {"containers": containers}}


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
