"""One look at everything that metrics and `hami top` show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from hami_core.isolation.processes import ProcessTable, cgroup_of, in_pod
from hami_core.monitor.activity import Reading
from hami_core.monitor.devices import Devices, HostDevice
from hami_core.monitor.workload import Share, Workload
from hami_core.units import MIB


@attrs.frozen(kw_only=True)
class ShareUse:
    """A share with what is used of it.

    `driver_bytes` is what the driver counts for the same processes; None where it does not tell.
    """

    workload: Workload
    share: Share
    device: HostDevice | None
    reading: Reading | None
    used_bytes: int
    class_bytes: Mapping[str, int] = attrs.field(hash=False)
    driver_bytes: int | None


@attrs.frozen(kw_only=True)
class Bypass:
    """Device memory that processes of a pod hold without the isolation library, by one of the pod's workloads."""

    workload: Workload
    memory_bytes: int
    pids: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class Picture:
    """Workloads, devices and processes at one moment, or nearly.

    `now_ns` is the monotonic clock. `cgroup` tells the control groups of a pid.
    """

    now_ns: int
    workloads: tuple[Workload, ...]
    devices: Devices
    processes: ProcessTable
    readings: Mapping[tuple[str, str], Reading] = attrs.field(factory=dict, hash=False)
    cgroup: Callable[[int], str] = cgroup_of

    def pids(self, workload: Workload) -> tuple[int, ...]:
        """The host's pids of the processes that use the isolation library."""
        held = () if workload.region is None else workload.region.processes
        return tuple(sorted({pid for process in held if (pid := self.processes.host_pid(process)) is not None}))

    def isolated(self, workload: Workload) -> bool:
        """Whether the isolation library is at work: a living process has a place in the region."""
        return workload.region is not None and any(map(self.processes.alive, workload.region.processes))

    def uses(self) -> tuple[ShareUse, ...]:
        """All shares, in the order of the workloads."""
        devices = {(each.node, each.card.device.uuid): each for each in self.devices.devices}
        made = []
        for workload in self.workloads:
            pids = self.pids(workload)
            for share in workload.shares():
                uuid = share.limits.uuid
                device = devices.get((workload.owner.node, uuid))
                used, by_class = self._held(workload, share)
                made.append(
                    ShareUse(
                        workload=workload,
                        share=share,
                        device=device,
                        reading=self.readings.get((workload.key, uuid)),
                        used_bytes=used,
                        class_bytes=by_class,
                        driver_bytes=_driver_bytes(device, pids),
                    )
                )
        return tuple(made)

    def bypasses(self) -> tuple[Bypass, ...]:
        """For every pod that is to be isolated as a whole, what its processes hold past the library."""
        pods: dict[str, list[Workload]] = {}
        for workload in self.workloads:
            if workload.pod_uid is not None:
                pods.setdefault(workload.pod_uid, []).append(workload)
        told = [device.card.probed.process_memory_mib for device in self.devices.devices]
        groups = {pid: self.cgroup(pid) for pid in sorted({pid for by_pid in told for pid in by_pid})} if pods else {}
        made = []
        for uid, workloads in pods.items():
            if not all(workload.library for workload in workloads):
                continue  # which container a process is of, its group does not say
            inside = {pid for workload in workloads for pid in self.pids(workload)}
            outside = {pid for pid, group in groups.items() if pid not in inside and in_pod(group, uid)}
            memory_mib = sum(by_pid.get(pid, 0) for by_pid in told for pid in outside)
            made.append(Bypass(workload=workloads[0], memory_bytes=memory_mib * MIB, pids=tuple(sorted(outside))))
        return tuple(made)

    def _held(self, workload: Workload, share: Share) -> tuple[int, Mapping[str, int]]:
        if workload.region is None or share.in_region is None:
            return 0, {}
        alive = self.processes.alive
        used = workload.region.used_bytes(share.in_region, alive=alive)
        return used, workload.region.used_bytes_by_class(share.in_region, alive=alive)


def _driver_bytes(device: HostDevice | None, pids: tuple[int, ...]) -> int | None:
    told = {} if device is None else device.card.probed.process_memory_mib
    known = [told[pid] for pid in pids if pid in told]
    return sum(known) * MIB if known else None
