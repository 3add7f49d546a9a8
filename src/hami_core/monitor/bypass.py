"""Tells the node agent which pods use a device past the isolation library, so that it says so in an event."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from hami_core.node.findings import Bypassed, Findings, Stranger, write_findings

if TYPE_CHECKING:
    from hami_core.monitor.devices import Devices
    from hami_core.monitor.picture import Picture

_log = logging.getLogger(__name__)
_MOST_NAMED = 10  # processes of one pod; an event has room for not many more


class BypassReport:
    """Writes what was found at two looks at the driver in a row: a process that only just starts or ends is no case.

    Args:
        folder: where the agent looks for it.
        proc: the process file system.
    """

    def __init__(self, folder: Path, *, proc: Path = Path("/proc")) -> None:
        self._folder = folder
        self._proc = proc
        self._devices: Devices | None = None
        self._before: frozenset[tuple[str, int]] = frozenset()
        self._written: Findings | None = None

    def wants(self, devices: Devices) -> bool:
        """Whether these devices were looked at since the last report."""
        return devices is not self._devices

    def apply(self, picture: Picture) -> None:
        """Compare with the last look, and write what changed."""
        self._devices = picture.devices
        found = [(bypass.workload, pid) for bypass in picture.bypasses() for pid in bypass.pids]
        now = frozenset((workload.pod_uid or "", pid) for workload, pid in found)
        pods: dict[str, Bypassed] = {}
        for workload, pid in found:
            uid = workload.pod_uid or ""
            if (uid, pid) not in self._before:
                continue
            owner, known = workload.owner, pods.get(uid)
            processes = () if known is None else known.processes
            if len(processes) < _MOST_NAMED:
                named = (*processes, Stranger(pid=pid, command=self._command(pid)))
                pods[uid] = Bypassed(namespace=owner.namespace, pod=owner.pod, uid=uid, processes=named)
        self._before = now
        self._write(Findings(bypassed=tuple(pods.values())))

    def _write(self, findings: Findings) -> None:
        if findings == self._written:
            return
        try:
            write_findings(self._folder, findings)
        except OSError as err:
            _log.warning("cannot tell the node agent what was found: %s", err)
            return
        self._written = findings
        for each in findings.bypassed:
            _log.warning("pod %s/%s: %s", each.namespace, each.pod, each.message)

    def _command(self, pid: int) -> str:
        """What a process calls itself: its own word, so only what can be printed of it."""
        try:
            name = (self._proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""
        return "".join(letter if letter.isprintable() else "?" for letter in name)
