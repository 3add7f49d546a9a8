"""Who is held to its share, and who waits: a function of who is at work now, and of nothing else.

High priority is held to its share of cores only while another of high priority works on the device. Low priority is
held while anyone else works on it, and yields while high priority does. So a device is never idle because of a limit
that protects nobody. What was decided before is not asked, and a task's own activity never matters to itself: nobody
stays held because it was held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

HIGH = 0
LOW = 1


@attrs.frozen(kw_only=True)
class Task:
    """A workload: the devices that it may use, and on which of them it is at work.

    `host` names the machine: equal UUIDs on different (simulated) machines are different devices. Without a priority
    a task is of low priority, as in HAMi.
    """

    key: str
    host: str = ""
    priority: int | None = None
    working: Mapping[str, bool] = attrs.field(hash=False)

    @property
    def high(self) -> bool:
        """Whether others make way for it."""
        return self.priority == HIGH


@attrs.frozen(kw_only=True)
class Words:
    """What a limits file tells of one device: whether others work on it, and whether launches wait for them."""

    contended: bool
    yields: bool


def decide(tasks: Iterable[Task]) -> dict[str, dict[str, Words]]:
    """The words for every device of every task, by key and device."""
    tasks = tuple(tasks)
    at_work: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        for uuid, working in task.working.items():
            if working:
                at_work.setdefault((task.host, uuid), []).append(task)
    return {
        task.key: {uuid: _words(task, at_work.get((task.host, uuid), [])) for uuid in task.working} for task in tasks
    }


def _words(task: Task, at_work: list[Task]) -> Words:
    others = [other for other in at_work if other.key != task.key]
    high_others = any(other.high for other in others)
    if task.high:
        return Words(contended=high_others, yields=False)
    return Words(contended=bool(others), yields=high_others)
