"""Who is at work on which device. Measured from what the library counts anyway, whether or not it limits anything."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from hami_core.monitor.workload import Share, Workload

RECENT_NS = 2_000_000_000
"""A launch counts as work for this long. More than the second that a yielding launch may wait, so that a container
that only waits still counts as one that wants to work."""


@attrs.frozen(kw_only=True)
class Reading:
    """One share since the last look: device time used as a part of the time that passed, and whether it is at work.

    `busy_ratio` is None at the first look. It may exceed 1 a little: work is booked when it ends.
    """

    busy_ratio: float | None
    active: bool


@attrs.frozen
class _Mark:
    at_ns: int
    busy_ns: int


class Activity:
    """Compares each look with the one before. What is gone is forgotten."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str], _Mark] = {}

    def update(self, workloads: Iterable[Workload], *, now_ns: int) -> dict[tuple[str, str], Reading]:
        """The readings by workload key and device.

        Args:
            workloads: as they are now.
            now_ns: the monotonic clock, as regions use it.
        """
        marks: dict[tuple[str, str], _Mark] = {}
        readings = {}
        for workload in workloads:
            for share in workload.shares():
                place = workload.key, share.limits.uuid
                busy_ns = 0 if share.device is None else share.device.busy_ns
                before = self._marks.get(place)
                marks[place] = _Mark(now_ns, busy_ns)
                ratio = None if before is None else _ratio(before, marks[place])
                readings[place] = Reading(busy_ratio=ratio, active=_launched(share, now_ns) or bool(ratio))
        self._marks = marks
        return readings


def _ratio(before: _Mark, now: _Mark) -> float:
    passed_ns, used_ns = now.at_ns - before.at_ns, now.busy_ns - before.busy_ns
    return used_ns / passed_ns if passed_ns > 0 and used_ns > 0 else 0.0


def _launched(share: Share, now_ns: int) -> bool:
    launched_ns = None if share.device is None else share.device.launched_ns
    # A launch in the future is no launch: damage must not make a container look busy for ever.
    return launched_ns is not None and abs(launched_ns - now_ns) <= RECENT_NS
