"""How fast `hami scheduler` starts, filters and binds in a large cluster, what it needs, and how long it ever stalls.

``python -m benchmarks.cluster.filter --nodes 5000 --pods 100000``. The cluster is a recorded one (see `recorded`), the
process is the real one, with its TLS, and is asked over HTTPS as kube-scheduler asks: one connection that stays open.
Filters run for more than a minute, so that every periodic job runs beside them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trustme
import yaml
from benchmarks.cluster.meters import cpu_s, peak_rss_mib, rss_mib
from benchmarks.cluster.recorded import node_name
from tests.cluster.processes import Service, free_port

START_TIMEOUT_S = 300.0
ASKS = (
    {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "10000", "nvidia.com/gpucores": "10"},
    {"nvidia.com/gpu": "4", "nvidia.com/gpumem": "10000", "nvidia.com/gpucores": "30"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=75.0)
    asked = parser.parse_args()
    print(json.dumps(run(asked.nodes, asked.pods, asked.seconds), indent=2))


def run(nodes: int, pods: int, seconds: float) -> dict[str, Any]:
    """Start, ask for so many seconds, and stop. With no seconds only the start is measured."""
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), nodes, pods) as scheduler:
        began_s = time.monotonic()
        scheduler.service.start()
        scheduler.wait_ready()
        ready_s = time.monotonic() - began_s
        pid = scheduler.service.pid
        report: dict[str, Any] = {
            "nodes": nodes,
            "pods": pods,
            "ready_s": round(ready_s, 1),
            "ready_cpu_s": round(cpu_s(pid), 1),
            "ready_rss_mib": rss_mib(pid),
        }
        if seconds:
            report |= ask(scheduler, [node_name(index) for index in range(nodes)], seconds)
        report["peak_rss_mib"] = peak_rss_mib(pid)
        report["load_average_1m"] = round(os.getloadavg()[0], 2)
        report["cores"] = os.cpu_count()
        return report


def ask(scheduler: Scheduler, names: Sequence[str], seconds: float) -> dict[str, Any]:
    """Filter and bind pod after pod."""
    pid = scheduler.service.pid
    filters_ms, binds_ms, filter_cpu_s = [], [], 0.0
    since, connection = int(time.monotonic()) + 1, scheduler.connect()
    end_s, count, began_cpu_s = time.monotonic() + seconds, 0, cpu_s(pid)
    while time.monotonic() < end_s:
        pod = waiting_pod(count)
        body = json.dumps({"Pod": pod, "NodeNames": names}).encode()
        before_s = cpu_s(pid)
        took_ms, answer = post(connection, "/filter", body)
        filter_cpu_s += cpu_s(pid) - before_s
        filters_ms.append(took_ms)
        if not answer["NodeNames"]:
            raise SystemExit(f"the cluster is full after {count} pods: ask for more nodes or fewer seconds")
        (node,) = answer["NodeNames"]
        metadata = pod["metadata"]
        bind = {"PodName": metadata["name"], "PodNamespace": "team", "PodUID": metadata["uid"], "Node": node}
        took_ms, answer = post(connection, "/bind", json.dumps(bind).encode())
        assert not answer.get("Error"), answer
        binds_ms.append(took_ms)
        count += 1
    used_s = cpu_s(pid) - began_cpu_s
    connection.close()
    stalls = scheduler.stalls(since)
    worst = max(stalls, key=lambda stall: stall["cpu_ms"])
    return {
        "filters": count,
        "filter_ms": spread(filters_ms),
        "filter_cpu_ms_mean": round(1000 * filter_cpu_s / count, 2),
        "bind_ms": spread(binds_ms),
        "pod_cpu_ms_mean": round(1000 * used_s / count, 2),
        "stall_cpu_ms": spread([stall["cpu_ms"] for stall in stalls]),
        "stall_wall_ms": spread([stall["wall_ms"] for stall in stalls]),
        "worst_stall_after_s": worst["second"] - since,
    }


def waiting_pod(number: int) -> dict[str, Any]:
    name = f"waiting-{number:06d}"
    limits = ASKS[number % len(ASKS)]
    container = {"name": "main", "image": "registry.example/team/trainer:1", "resources": {"limits": limits}}
    return {
        "metadata": {"namespace": "team", "name": name, "uid": f"uid-{name}", "resourceVersion": "1"},
        "spec": {"schedulerName": "hami-scheduler", "containers": [container]},
        "status": {"phase": "Pending"},
    }


def post(connection: http.client.HTTPSConnection, path: str, body: bytes) -> tuple[float, dict[str, Any]]:
    began_s = time.perf_counter()
    connection.request("POST", path, body, {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    took_ms = 1000 * (time.perf_counter() - began_s)
    assert response.status == http.client.OK, content
    return took_ms, json.loads(content)


def spread(figures: Sequence[float]) -> dict[str, float]:
    ordered = sorted(figures)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 2),
        "max": round(ordered[-1], 2),
    }


@attrs.frozen(kw_only=True)
class Scheduler:
    """`hami scheduler` under its watchdog, and a way to ask it."""

    service: Service
    port: int
    tls: ssl.SSLContext
    stalls_file: Path

    def connect(self) -> http.client.HTTPSConnection:
        """A connection that stays open."""
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=60)

    def wait_ready(self) -> None:
        """Wait until it answers a filter: it has read the cluster then."""

        def look() -> bool:
            connection = self.connect()
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK

        self.service.wait_ready(look, timeout_s=START_TIMEOUT_S)

    def stalls(self, since: int) -> list[dict[str, float]]:
        """The watchdog's lines from a second on."""
        lines = [json.loads(line) for line in self.stalls_file.read_text().splitlines()]
        return [line for line in lines if line["second"] >= since]


@contextmanager
def cluster(folder: Path, nodes: int, pods: int) -> Iterator[Scheduler]:
    """The recorded cluster, serving, and the scheduler, not started yet."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    cert, key = folder / "tls.crt", folder / "tls.key"
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    server_port, port = free_port(), free_port()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "bench",
                "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{server_port}"}}],
                "users": [{"name": "bench", "user": {"token": "bench"}}],
                "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            }
        )
    )
    python = (sys.executable, "-m")
    recorded = Service(
        "recorded",
        [*python, "benchmarks.cluster.recorded", f"--port={server_port}", f"--nodes={nodes}", f"--pods={pods}"],
        folder / "recorded.log",
        {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    stalls = folder / "stalls"
    flags = (
        f"--kubeconfig={kubeconfig}",
        f"--http_bind=127.0.0.1:{port}",
        "--metrics-bind-address=127.0.0.1:0",
        f"--cert_file={cert}",
        f"--key_file={key}",
        "--log-format=json",
    )
    scheduler = Service(
        "hami-scheduler",
        [*python, "benchmarks.cluster.watched", str(stalls), "scheduler", *flags],
        folder / "hami.log",
        {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    try:
        recorded.start()
        look = ["curl", "-fs", "-o", os.devnull, f"http://127.0.0.1:{server_port}/version"]
        recorded.wait_ready(lambda: subprocess.run(look, check=False).returncode == 0, timeout_s=START_TIMEOUT_S)
        yield Scheduler(service=scheduler, port=port, tls=tls, stalls_file=stalls)
    finally:
        scheduler.stop()
        recorded.stop()


if __name__ == "__main__":
    main()
