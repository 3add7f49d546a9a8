"""Periodic care: reservations that ended, allocations that never became a binding, orphan locks, and the books."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hami_core.errors import ApiFailed
from hami_core.family import NodeLock
from hami_core.inventory import read_holding
from hami_core.kube.api import pause
from hami_core.kube.locks import Locks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hami_core.kube.api import ApiServer
    from hami_core.kube.cache import Cache
    from hami_core.kube.settings import Settings

_EXPIRE_EVERY_S = 1.0
_REPAIR_EVERY_S = 15.0
_AUDIT_EVERY_S = 60.0
_STEP = 16
_log = logging.getLogger(__name__)


class Audit:
    """Does what has to be done again and again.

    Args:
        api: the server; None writes nothing.
        cache: the cluster; asked for anew each time, as a new configuration replaces it.
        settings: how the process was set up.
        leading: whether this process may write.
    """

    def __init__(
        self, api: ApiServer | None, cache: Callable[[], Cache], settings: Settings, *, leading: Callable[[], bool]
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._leading = leading
        self._locks = None if api is None else Locks(api, timeout_s=settings.lock_timeout_s)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(_EXPIRE_EVERY_S, self.expire))
            group.create_task(self._every(_REPAIR_EVERY_S, self.repair))
            group.create_task(self._every(_AUDIT_EVERY_S, self.check_books))

    async def expire(self) -> None:
        """Give back reservations that nobody bound."""
        for key in self._cache().expire():
            _log.info("the reservation of pod %s ended before it was bound", key)

    async def repair(self) -> None:
        """Give back stale allocations and orphan locks."""
        cache = self._cache()
        for label in cache.drop_stale(self._settings.stale_s):
            _log.warning("pod %s has devices by its annotations but was never bound; they are free again", label)
        if self._locks is None or not self._leading():
            return
        for node, held in sorted(cache.locks.items()):
            for key in sorted(held):
                try:
                    if await self._locks.clear_orphan(node, NodeLock(key)):
                        cache.counts.locks_cleared += 1
                        _log.warning("lock %s of node %s was nobody's any more and is free: %s", key, node, held[key])
                except ApiFailed as err:
                    _log.warning("lock %s of node %s: %s", key, node, err)

    async def check_books(self) -> None:
        """Compare what the fleet counts with what the pods' annotations say, and put right what differs."""
        cache = self._cache()
        for number, key in enumerate(list(cache.placed)):
            if number % _STEP == _STEP - 1:
                await pause()
            pod = cache.placed.get(key)
            if pod is None or key in cache.flights or key in cache.resizing:
                continue
            told = read_holding(pod, cache.registry)
            held = cache.fleet.holding(key)
            if told is None or (
                held is not None and held.placement == told.placement and held.init_done == told.init_done
            ):
                continue
            cache.counts.drift += 1
            _log.error("the books on pod %s were wrong and are put right", told.label)
            cache.book(pod)

    @staticmethod
    async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception:  # noqa: BLE001 - a fault in one round must not end the rounds
                _log.exception("periodic work failed")
