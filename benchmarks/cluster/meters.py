"""What the benchmarks read while components run: CPU time, memory, and the counters that the components keep."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import attrs
import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.cluster.control_plane import ADMIN_TOKEN, ControlPlane

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, its threads and system calls included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mib(pid: int) -> int:
    """Memory that a process has now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[21]) * PAGE_BYTES // 2**20


def peak_rss_mib(pid: int) -> int:
    """The most memory that a process had so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


@attrs.frozen(kw_only=True)
class Calls:
    """Requests that the API server has answered: by verb, and resource with its sub-resource."""

    by_kind: Mapping[tuple[str, str], int]

    def since(self, before: Calls) -> Calls:
        """Those that `before` did not have."""
        rest = {kind: count - before.by_kind.get(kind, 0) for kind, count in self.by_kind.items()}
        return Calls(by_kind={kind: count for kind, count in rest.items() if count})

    def per_pod(self, pods: int) -> dict[str, float]:
        """Writes of core resources per pod, the most frequent first; what few pods have is noise and left out."""
        shares = {
            f"{verb} {what}": round(count / pods, 3)
            for (verb, what), count in self.by_kind.items()
            if verb in WRITES and what.partition("/")[0] in ("pods", "nodes", "events")
        }
        return {name: share for name, share in sorted(shares.items(), key=lambda entry: -entry[1]) if share >= 0.005}


class Meters:
    """Reads one control plane and the processes beside it."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._bound = self._read_bytes = 0
        self._http = httpx.Client(
            verify=False, trust_env=False, timeout=30, headers={"authorization": f"Bearer {ADMIN_TOKEN}"}
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def cpu(self) -> dict[str, float]:
        """CPU seconds by component, of those that run."""
        return {name: cpu_s(service.pid) for name, service in self._plane.services.items() if service.running}

    def calls(self) -> Calls:
        """What the API server has answered so far."""
        found: Counter[tuple[str, str]] = Counter()
        lines = self._metrics(self._plane.url).splitlines()
        text = "\n".join(line for line in lines if line.startswith("apiserver_request_total{"))
        for family in text_string_to_metric_families(f"# TYPE apiserver_request counter\n{text}\n"):
            for sample in family.samples:
                labels = sample.labels
                if labels["dry_run"]:
                    continue
                what = "/".join(filter(None, (labels["resource"], labels["subresource"])))
                found[labels["verb"], what] += int(sample.value)
        return Calls(by_kind=found)

    def bound(self) -> int:
        """Pods that kube-scheduler has bound, by its log: asking the API server would be load of its own."""
        with self._plane.services["kube-scheduler"].log.open("rb") as log:
            log.seek(self._read_bytes)
            lines = log.read()
        self._read_bytes += len(lines)
        self._bound += lines.count(b"Successfully bound pod to node")
        return self._bound

    def _metrics(self, url: str) -> str:
        answer = self._http.get(f"{url}/metrics")
        answer.raise_for_status()
        return answer.text
