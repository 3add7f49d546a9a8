"""Watchers hear every change in order, or learn that they do not."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from tests.rpc.loop import in_loop

from hami_core.rpc.feed import Feed, FellBehind, Subscription


async def read(subscription: Subscription[int]) -> list[int]:
    return [item async for item in subscription.items()]


@in_loop
async def test_a_watcher_gets_what_is_published_while_it_watches_in_order() -> None:
    feed = Feed[int](limit=10)
    feed.publish(0)
    with feed.subscribe() as first:
        reading = asyncio.create_task(read(first))
        feed.publish(1)
        with feed.subscribe() as second:
            for number in (2, 3):
                feed.publish(number)
                await asyncio.sleep(0)
            feed.close()
            assert await read(second) == [2, 3]
        assert await reading == [1, 2, 3]


@in_loop
async def test_a_watcher_that_falls_behind_is_told_and_never_gets_a_stream_with_a_gap() -> None:
    feed = Feed[int](limit=3)
    with feed.subscribe() as slow, feed.subscribe() as keen:
        seen = []
        items = keen.items()
        for number in range(4):
            feed.publish(number)
            seen.append(await anext(items))
        assert seen == [0, 1, 2, 3]
        with pytest.raises(FellBehind, match="more than 3 changes behind; watch again"):
            await read(slow)


@in_loop
async def test_a_watcher_that_falls_behind_in_the_middle_gets_nothing_after_the_gap() -> None:
    feed = Feed[int](limit=2)
    with feed.subscribe() as subscription:
        items = subscription.items()
        feed.publish(0)
        assert await anext(items) == 0
        for number in range(1, 6):
            feed.publish(number)
        with pytest.raises(FellBehind):
            await anext(items)


@in_loop
async def test_what_waited_for_a_watcher_that_fell_behind_is_let_go_at_once() -> None:
    class Item:
        pass

    feed = Feed[Item](limit=2)
    with feed.subscribe():
        waiting = []
        for _ in range(5):
            item = Item()
            waiting.append(weakref.ref(item))
            feed.publish(item)
        del item
        gc.collect()
        assert [ref() for ref in waiting] == [None] * 5


@in_loop
async def test_who_leaves_is_forgotten_and_who_comes_after_the_end_gets_an_end() -> None:
    feed = Feed[int](limit=1)
    with feed.subscribe() as gone:
        pass
    feed.publish(1)
    feed.publish(2)
    feed.close()
    gone.close()
    assert await read(gone) == []
    with feed.subscribe() as late:
        assert await read(late) == []
