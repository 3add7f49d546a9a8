from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.kube.fake_api import FakeApi, fake_api, until
from tests.kube.loop import in_loop
from tests.kube.world import Clock

from hami_core.kube.events import Events, PodRef

POD = PodRef(namespace="team", name="a", uid="uid-a")


def messages(fake: FakeApi) -> list[str]:
    return [event["message"] for event in fake.events]


@in_loop
async def test_a_complaint_is_made_once_until_it_changes() -> None:
    async with fake_api() as (fake, api):
        events = Events(api, component="hami-scheduler")
        task = asyncio.create_task(events.run())
        for decision in ("1", "2"):
            events.say(POD, "FilteringFailed", "no room", decision=decision, warning=True)
        events.say(POD, "FilteringFailed", "no memory", decision="3", warning=True)
        await until(lambda: len(fake.events) == 2)
        assert sorted(messages(fake)) == ["no memory [3]", "no room [1]"]
        assert fake.events[0]["involvedObject"]["uid"] == "uid-a"
        assert fake.events[0]["source"] == {"component": "hami-scheduler"}
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@in_loop
async def test_under_load_good_news_is_left_out_and_bad_news_is_not() -> None:
    async with fake_api() as (fake, api):
        clock = Clock()
        events = Events(api, component="c", clock=clock)
        for number in range(200):
            pod = PodRef(namespace="team", name=f"p{number}", uid=f"uid-{number}")
            events.say(pod, "BindingSucceed", "bound", decision=str(number))
            events.say(pod, "BindingFailed", "not bound", decision=str(number), warning=True)
        assert events.dropped == 150
        clock.now_s += 1
        events.say(POD, "BindingSucceed", "bound", decision="late")
        assert events.dropped == 150
        task = asyncio.create_task(events.run())
        await until(lambda: len(fake.events) == 251)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@in_loop
async def test_a_long_message_is_cut_and_keeps_the_decision() -> None:
    async with fake_api() as (fake, api):
        events = Events(api, component="c")
        events.say(POD, "FilteringFailed", "x" * 5000, decision="d1", warning=True)
        task = asyncio.create_task(events.run())
        await until(lambda: len(fake.events) == 1)
        assert len(messages(fake)[0]) == 1024
        assert messages(fake)[0].endswith(" [d1]")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
