"""What a node says of the health of its cards: events when it changes, a condition and perhaps a taint for as long.

Conditions and taints carry the family's name, so that agents of several vendors on one node keep to their own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import msgspec

from hami_core.errors import ApiFailed
from hami_core.kube.api import STRATEGIC_PATCH, node_path, path_of
from hami_core.kube.events import NodeRef
from hami_core.kube.records import Meta
from hami_core.node.health import OUT_OF_ORDER, Condition, Health
from hami_core.node.settings import TaintWhen

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.kube.events import Events
    from hami_core.model import Device
    from hami_core.node.discovery import Change

_CONFLICT = 409
_TRIES = 5
_MOST_SHOWN = 900  # characters of a condition's message
_log = logging.getLogger(__name__)


class _Spec(msgspec.Struct, kw_only=True):
    taints: list[dict[str, object]] | None = None


class _NodeCondition(msgspec.Struct, kw_only=True, rename="camel"):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class _Status(msgspec.Struct, kw_only=True):
    conditions: list[_NodeCondition] | None = None


class _Node(msgspec.Struct, kw_only=True):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@attrs.frozen(kw_only=True)
class Verdict:
    """The condition of one family on a node, as it is shown: True, False or Unknown, and why."""

    status: str
    reason: str
    message: str


def condition_type(family: str) -> str:
    """The type of the node condition of a family."""
    return f"hami.io/{family}-healthy"


def taint_key(family: str) -> str:
    """The key of the taint of a family."""
    return f"hami.io/{family}-unhealthy"


def verdict(cards: Sequence[Device], health: Mapping[str, Health]) -> Verdict:
    """What the cards of one family amount to. A cordon is an operator's own doing and no complaint."""
    under = [(card.uuid, health.get(card.uuid, Health())) for card in cards]
    sick = [(uuid, each) for uuid, each in under if each.under in OUT_OF_ORDER]
    doubtful = [(uuid, each) for uuid, each in under if each.under is Condition.SUSPECT]
    if sick:
        return Verdict(status="False", reason="CardsUnhealthy", message=_listed(sick))
    if doubtful:
        return Verdict(status="Unknown", reason="DriverSilent", message=_listed(doubtful))
    cordoned = sum(each.cordoned for _, each in under)
    told = f"{len(cards)} cards are well" + (f", {cordoned} of them cordoned" if cordoned else "")
    return Verdict(status="True", reason="CardsHealthy", message=told)


def wants_taint(when: TaintWhen, cards: Sequence[Device], health: Mapping[str, Health]) -> bool:
    """Whether nothing new shall come to a node with these cards of one family."""
    sick = [health.get(card.uuid, Health()).under in OUT_OF_ORDER for card in cards]
    match when:
        case TaintWhen.NEVER:
            return False
        case TaintWhen.ANY:
            return any(sick)
        case TaintWhen.ALL:
            return bool(sick) and all(sick)


class Telling:
    """Says of one node how its cards are.

    Args:
        api: the server.
        events: where events are written.
        node: the node's name.
        taint: when the node is tainted.
    """

    def __init__(self, api: ApiServer, events: Events, node: str, *, taint: TaintWhen) -> None:
        self._api = api
        self._events = events
        self._node = node
        self._taint = taint
        self._told: dict[str, Verdict] = {}
        self._tainted: dict[str, bool] = {}

    def changed(self, changes: Iterable[Change]) -> None:
        """Write an event for each card whose health is another one now."""
        about = NodeRef(name=self._node)
        for change in changes:
            health = change.health
            note = f": {health.note}" if health.note else ""
            text = f"card {change.uuid} is {health.condition}, was {change.before}{note}"
            bad = health.condition in (Condition.UNHEALTHY, Condition.SUSPECT)
            self._events.say(about, f"Card{health.condition.capitalize()}", text, warning=bad, again=True)

    async def show(self, devices: Iterable[Device], health: Mapping[str, Health]) -> None:
        """Make condition and taint of every family true; what is known to be there is not written again.

        Raises:
            ApiFailed: the node cannot be read or written.
        """
        families: dict[str, list[Device]] = {}
        for device in devices:
            families.setdefault(device.family, []).append(device)
        for family, cards in sorted(families.items()):
            now = verdict(cards, health)
            if self._told.get(family) != now:
                await self._write_condition(family, now)
                self._told[family] = now
            if self._taint is not TaintWhen.NEVER or family not in self._tainted:
                tainted = wants_taint(self._taint, cards, health)
                await self._write_taint(taint_key(family), wanted=tainted)
                self._tainted[family] = tainted

    async def _write_condition(self, family: str, now: Verdict) -> None:
        node = await self._read()
        kind = condition_type(family)
        earlier = next((each for each in node.status.conditions or () if each.type == kind), None)
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        since = earlier.last_transition_time if earlier is not None and earlier.status == now.status else None
        condition = {
            "type": kind,
            "status": now.status,
            "reason": now.reason,
            "message": now.message,
            "lastHeartbeatTime": time,
            "lastTransitionTime": since or time,
        }
        path = path_of("api", "v1", "nodes", self._node, "status")
        await self._api.patch(path, {"status": {"conditions": [condition]}}, form=STRATEGIC_PATCH)

    async def _write_taint(self, key: str, *, wanted: bool) -> None:
        """Put the taint on, or take it off. Taints are one list, so each write names the version it was made from."""
        for last in (*[False] * (_TRIES - 1), True):
            node = await self._read()
            taints = list(node.spec.taints or ())
            others = [taint for taint in taints if taint.get("key") != key]
            if wanted == (len(others) < len(taints)):
                return
            changed = [*others, {"key": key, "effect": "NoSchedule"}] if wanted else others
            patch = {"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": changed}}
            try:
                await self._api.patch(node_path(self._node), patch)
            except ApiFailed as err:
                if err.status != _CONFLICT or last:
                    raise
            else:
                _log.warning("node %s: taint %s is %s", self._node, key, "on" if wanted else "off")
                return

    async def _read(self) -> _Node:
        return msgspec.json.decode(await self._api.get(node_path(self._node)), type=_Node)


def _listed(cards: Iterable[tuple[str, Health]]) -> str:
    text = "; ".join(f"{uuid} {each.under}" + (f": {each.note}" if each.note else "") for uuid, each in cards)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
