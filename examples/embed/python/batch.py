"""A batch queue that leaves the choice of cards to HAMi's fit engine: one library, no server, no Kubernetes.

    python examples/embed/python/batch.py

Jobs ask for a share of a card. Those that fit start at once; the others wait, each with the reason, until one ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs

from hami_core import ContainerRequest, Device, DeviceRequest, Fleet, NodeFacts, Placement, PodRequest

HOLD_S = 10.0  # a start that takes longer than this gives its share back


@attrs.frozen(kw_only=True)
class Job:
    """What a user submits."""

    name: str
    memory_mib: int
    core_percent: int = 0

    @property
    def request(self) -> PodRequest:
        """The job in the engine's words: a pod of one container."""
        asked = DeviceRequest(family="NVIDIA", count=1, memory_mib=self.memory_mib, core_units=self.core_percent)
        return PodRequest(
            namespace="batch", name=self.name, containers=(ContainerRequest(name="job", devices=(asked,)),)
        )


class Queue:
    """Starts jobs where they fit and keeps the rest in order.

    Args:
        fleet: knows the machines.
        start: starts a job where it was placed; what it raises gives the share back.
    """

    def __init__(self, fleet: Fleet, start: Callable[[Job, Placement], None]) -> None:
        self._fleet = fleet
        self._start = start
        self.waiting: list[Job] = []

    def submit(self, job: Job) -> None:
        """Start a job now, or queue it."""
        self.waiting.append(job)
        self._pump()

    def ended(self, job: Job) -> None:
        """Free what a job held, and start what fits now."""
        self._fleet.remove_pod(job.request.key)
        self._pump()

    def why_waiting(self, job: Job) -> Iterable[str]:
        """One line a machine: why the job is not there."""
        return [f"{node}: {verdict}" for node, verdict in self._fleet.decide(job.request).verdicts().items()]

    def _pump(self) -> None:
        self.waiting = [job for job in self.waiting if not self._try(job)]

    def _try(self, job: Job) -> bool:
        # reserve() decides and takes in one step, so several queues may share one fleet.
        _, reservation = self._fleet.reserve(job.request, now_s=time.monotonic(), hold_s=HOLD_S)
        if reservation is None:
            return False
        try:
            self._start(job, reservation.best.placement)
        except Exception:
            self._fleet.release(reservation.key)
            raise
        self._fleet.confirm(reservation.key)
        return True


def main() -> None:
    """Two cards, four jobs."""
    fleet = Fleet()
    cards = [
        Device(uuid=f"GPU-{index}", family="NVIDIA", model="NVIDIA A40", index=index, memory_mib=46_068, slots=10)
        for index in range(2)
    ]
    fleet.upsert_node(NodeFacts(name="machine-1"), cards)

    def start(job: Job, placement: Placement) -> None:
        ((share,),) = placement.shares_of("NVIDIA")
        print(f"{job.name}: started on {share.uuid} with {share.memory_mib} MiB")

    queue = Queue(fleet, start)
    train, tune, serve, probe = (
        Job(name="train", memory_mib=40_000),
        Job(name="tune", memory_mib=30_000, core_percent=50),
        Job(name="serve", memory_mib=20_000),
        Job(name="probe", memory_mib=2_000),
    )
    for job in (train, tune, serve, probe):
        queue.submit(job)
    for job in queue.waiting:
        print(f"{job.name}: waits; {'; '.join(queue.why_waiting(job))}")
    print("train: ended")
    queue.ended(train)


if __name__ == "__main__":
    main()
