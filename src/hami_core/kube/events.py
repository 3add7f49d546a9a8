"""Events on pods and nodes: written in the background, never in a decision's way, and dropped before they pile up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

import attrs

from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer, path_of

_WAITING = 1000
# Events of success beyond this rate are left out: while many pods are placed, the API server has more urgent writes.
_GOOD_PER_S = 10.0
_GOOD_BURST = 50.0
_REMEMBERED = 2000
_WRITERS = 4
_LONGEST = 1024  # the API server refuses longer messages
_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class PodRef:
    """Which pod an event is about."""

    namespace: str
    name: str
    uid: str = ""


@attrs.frozen(kw_only=True)
class NodeRef:
    """Which node an event is about. Tools look for a node's events by its name in the place of the uid."""

    name: str

    @property
    def uid(self) -> str:
        """What `kubectl describe node` looks for; kubelet writes the same."""
        return self.name

    @property
    def namespace(self) -> str:
        """Where events of what has no namespace are kept."""
        return "default"


@attrs.frozen(kw_only=True)
class _Event:
    about: PodRef | NodeRef
    reason: str
    message: str
    warning: bool


class Events:
    """Writes events.

    Args:
        api: the server; None writes nothing.
        component: who says it.
        clock: seconds that never go back.
    """

    def __init__(self, api: ApiServer | None, *, component: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._component = component
        self._queue: asyncio.Queue[_Event] = asyncio.Queue(_WAITING)
        self._said: OrderedDict[tuple[str, str], str] = OrderedDict()
        self.dropped = 0
        self._clock = clock
        self._good, self._good_s = _GOOD_BURST, clock()

    def say(
        self,
        about: PodRef | NodeRef,
        reason: str,
        message: str,
        *,
        decision: str = "",
        warning: bool = False,
        again: bool = False,
    ) -> None:
        """Queue an event. A complaint that was the last one with this reason is not made again, unless `again`."""
        if self._api is None or not about.uid:
            return
        place = about.uid, reason
        if warning and not again and self._said.get(place) == message:
            return
        self._said[place] = message
        self._said.move_to_end(place)
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        if self._queue.full() or not (warning or self._may_say_good()):
            self.dropped += 1
            return
        mark = f" [{decision}]" if decision else ""
        text = message[: _LONGEST - len(mark)] + mark
        self._queue.put_nowait(_Event(about=about, reason=reason, message=text, warning=warning))

    def _may_say_good(self) -> bool:
        now_s = self._clock()
        self._good = min(_GOOD_BURST, self._good + (now_s - self._good_s) * _GOOD_PER_S)
        self._good_s = now_s
        if self._good < 1:
            return False
        self._good -= 1
        return True

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WRITERS):
                group.create_task(self._write())

    async def _write(self) -> None:
        assert self._api is not None
        while True:
            event = await self._queue.get()
            try:
                await self._api.post(
                    path_of("api", "v1", "namespaces", event.about.namespace, "events"), self._body(event)
                )
            except ApiFailed as err:
                # 404: the namespace is gone with its pods. Nobody misses the event.
                _log.log(logging.DEBUG if err.status else logging.WARNING, "an event was not written: %s", err)

    def _body(self, event: _Event) -> dict[str, object]:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        about = event.about
        involved = {"apiVersion": "v1", "kind": "Node", "name": about.name, "uid": about.uid}
        if isinstance(about, PodRef):
            involved |= {"kind": "Pod", "namespace": about.namespace}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{about.name[:200]}.", "namespace": about.namespace},
            "involvedObject": involved,
            "reason": event.reason,
            "message": event.message,
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
