"""Who is held and who waits, for any tasks."""

from __future__ import annotations

from random import Random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hami_core.monitor.decision import HIGH, LOW, Task, Words, decide

UUIDS = ("GPU-0", "GPU-1", "GPU-2")


@st.composite
def worlds(draw: st.DrawFn) -> list[Task]:
    count = draw(st.integers(1, 6))
    return [
        Task(
            key=str(number),
            host=draw(st.sampled_from(["a", "b"])),
            priority=draw(st.sampled_from([None, HIGH, LOW])),
            working=draw(st.dictionaries(st.sampled_from(UUIDS), st.booleans())),
        )
        for number in range(count)
    ]


def others_at_work(task: Task, tasks: list[Task], uuid: str) -> list[Task]:
    return [each for each in tasks if each.key != task.key and each.host == task.host and each.working.get(uuid)]


@given(worlds())
def test_high_priority_is_held_only_beside_another_of_high_priority_at_work(tasks: list[Task]) -> None:
    decided = decide(tasks)
    for task in filter(lambda each: each.high, tasks):
        for uuid in task.working:
            beside = any(other.high for other in others_at_work(task, tasks, uuid))
            assert decided[task.key][uuid] == Words(contended=beside, yields=False)


@given(worlds())
def test_low_priority_is_held_while_others_work_and_yields_while_high_priority_does(tasks: list[Task]) -> None:
    decided = decide(tasks)
    for task in filter(lambda each: not each.high, tasks):
        for uuid in task.working:
            others = others_at_work(task, tasks, uuid)
            words = decided[task.key][uuid]
            assert words.contended == bool(others)
            assert words.yields == any(other.high for other in others)


@given(worlds(), st.data())
def test_what_a_task_does_itself_never_matters_to_itself(tasks: list[Task], data: st.DataObject) -> None:
    chosen = data.draw(st.integers(0, len(tasks) - 1))
    other_way = attrs.evolve(tasks[chosen], working={uuid: not busy for uuid, busy in tasks[chosen].working.items()})
    changed = [*tasks[:chosen], other_way, *tasks[chosen + 1 :]]
    assert decide(tasks)[tasks[chosen].key] == decide(changed)[tasks[chosen].key]


@given(worlds())
def test_nobody_is_held_or_waits_when_nobody_works(tasks: list[Task]) -> None:
    idle = [attrs.evolve(task, working=dict.fromkeys(task.working, False)) for task in tasks]
    assert {words for each in decide(idle).values() for words in each.values()} <= {
        Words(contended=False, yields=False)
    }


@given(worlds(), st.randoms())
def test_the_order_of_tasks_does_not_matter(tasks: list[Task], random: Random) -> None:
    shuffled = list(tasks)
    random.shuffle(shuffled)
    assert decide(shuffled) == decide(tasks)


@given(worlds())
def test_somebody_at_work_on_each_device_never_waits(tasks: list[Task]) -> None:
    decided = decide(tasks)
    for host in ("a", "b"):
        for uuid in UUIDS:
            at_work = [task for task in tasks if task.host == host and task.working.get(uuid)]
            assert not at_work or any(not decided[task.key][uuid].yields for task in at_work)
