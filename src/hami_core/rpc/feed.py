"""Changes to many watchers, each with a bounded queue. A watcher that falls behind is dropped, nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from hami_core.errors import HamiError

Item = TypeVar("Item")


class FellBehind(HamiError):
    """A watcher read more slowly than things changed, and its queue is full."""

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(limit)

    def __str__(self) -> str:
        return (
            f"the watcher fell more than {self.limit} changes behind; watch again, which begins with the present state"
        )


class Subscription(Generic[Item]):
    """One watcher's queue. For one event loop: `put` is called on it, between the reader's awaits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Item] = deque()
        self._changed = asyncio.Event()
        self._fell_behind = False
        self._closed = False

    def put(self, item: Item) -> None:
        """Queue one item, or give the watcher up: nobody needs a stream with a gap."""
        if len(self._waiting) >= self._limit:
            self._fell_behind = True
            self._waiting.clear()
        if not self._fell_behind:
            self._waiting.append(item)
        self._changed.set()

    def close(self) -> None:
        """Let the reader end once it has read what is queued."""
        self._closed = True
        self._changed.set()

    async def items(self) -> AsyncIterator[Item]:
        """Items in order, until the feed closes.

        Raises:
            FellBehind: the queue was full.
        """
        while True:
            if self._fell_behind:
                raise FellBehind(limit=self._limit)
            if self._waiting:
                yield self._waiting.popleft()
            elif self._closed:
                return
            else:
                self._changed.clear()
                await self._changed.wait()


class Feed(Generic[Item]):
    """The subscriptions that see every published item."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._subscriptions: list[Subscription[Item]] = []
        self._closed = False

    def publish(self, item: Item) -> None:
        """Hand an item to every subscription."""
        for subscription in self._subscriptions:
            subscription.put(item)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription[Item]]:
        """Take part from now on, until the block is left."""
        subscription = Subscription[Item](self._limit)
        self._subscriptions.append(subscription)
        if self._closed:
            subscription.close()
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End every subscription, and so every stream, also those that come later."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
