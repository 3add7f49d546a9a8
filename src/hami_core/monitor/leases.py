"""Workloads without Kubernetes: the leases of `hami run` on this host and on its simulated machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

from hami_core.local.lease import Lease
from hami_core.local.leases import Leases
from hami_core.local.machine import Machine
from hami_core.local.usage import region_in_use
from hami_core.monitor.workload import Owner, Workload, read_workload

NAMESPACE = "local"
"""Stands where a pod has its namespace."""


class LocalLeases:
    """The leases of some machines.

    Args:
        machines: the machines to look at, asked each time: another may have its first lease meanwhile.
    """

    def __init__(self, machines: Callable[[], Iterable[Machine]]) -> None:
        self._machines = machines

    def look(self) -> Sequence[Workload]:
        """The leases that are out, by machine, oldest first.

        Raises:
            LeaseBooksUnusable: the books of a machine cannot be read.
        """
        return [workload for machine in self._machines() for workload in _leases_of(machine)]


def _leases_of(machine: Machine) -> list[Workload]:
    if not (machine.folder / "leases.db").is_file():
        return []  # looking leaves nothing behind
    leases = Leases(machine.folder, in_use=region_in_use)
    try:
        found = [(lease, leases.folder_of(lease.id)) for lease in leases.look()]
    finally:
        leases.close()
    # A lease is in the books before its folder is made; there is nothing to say of it until then.
    return [
        read_workload(f"{machine.folder.name}/{lease.key}", _owner(machine, lease), folder)
        for lease, folder in found
        if folder.is_dir()
    ]


def _owner(machine: Machine, lease: Lease) -> Owner:
    program = PurePath(lease.command[0]).name.encode("utf-8", "replace").decode() if lease.command else ""
    return Owner(node=machine.name, namespace=NAMESPACE, pod=lease.id, container=program)
