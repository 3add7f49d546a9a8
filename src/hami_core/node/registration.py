"""The node's annotations: what the scheduler learns of this node's cards. Written when they differ, and only then."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import attrs
import msgspec

from hami_core.errors import ApiFailed
from hami_core.family import RegisterForm
from hami_core.inventory import read_inventory
from hami_core.kube.api import node_path
from hami_core.kube.locks import BINDING, LATE
from hami_core.kube.records import Meta, decode_node
from hami_core.wire.handshake import decode_handshake, encode_answer
from hami_core.wire.register import encode_csv, encode_json

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.model import Device
    from hami_core.objects import NodeFacts
    from hami_core.registry import Registry

_CONFLICT = 409
_TRIES = 5
_log = logging.getLogger(__name__)


class _Node(msgspec.Struct, kw_only=True):
    metadata: Meta


def wanted_annotations(
    devices: Iterable[Device], node: NodeFacts, registry: Registry, *, late: bool, now: datetime
) -> dict[str, str | None]:
    """What must be written on `node`, None for a key that must go; empty where all is as it should be.

    Only keys of families in `devices`, and the one that says how binds are done here, are ever named: what agents and
    plugins of other vendors wrote stays theirs.
    """
    mine: dict[str, list[Device]] = {}
    for device in devices:
        mine.setdefault(device.family, []).append(device)
    written: dict[str, str | None] = {}
    for name, cards in sorted(mine.items()):
        wire = registry.family(name).family.wire
        if wire.register is not None:
            encode = encode_csv if wire.register_form is RegisterForm.CSV else partial(encode_json, custom=True)
            written[wire.register] = encode([_told(card, wire.custom) for card in cards])
        written.update(wire.node)
        if wire.handshake is not None and decode_handshake(node.annotations.get(wire.handshake, "")).asking:
            written[wire.handshake] = encode_answer(now)
    others = {device.family for device in read_inventory(node, registry).devices} - mine.keys()
    # Cards that somebody else allocates need the lock, and the annotation speaks for the whole node.
    written[BINDING] = LATE if late and mine and not others else None
    return {key: value for key, value in written.items() if node.annotations.get(key) != value}


def _told(card: Device, facts: Iterable[str]) -> Device:
    """The card with those of its own facts that others may read."""
    return attrs.evolve(card, custom={name: card.custom[name] for name in facts if name in card.custom})


class Registration:
    """Writes the annotations of one node.

    Args:
        api: the server.
        node: the node's name.
        registry: the families.
        late: whether this agent binds late.
    """

    def __init__(self, api: ApiServer, node: str, registry: Registry, *, late: bool) -> None:
        self._api = api
        self._node = node
        self._registry = registry
        self._late = late

    async def sync(self, devices: Iterable[Device]) -> NodeFacts:
        """Make the node say what `devices` are; returns the node as it was read.

        Every write names the version that it was made from, so a writer that came in between is never undone.

        Raises:
            ApiFailed: the node cannot be read or written.
        """
        devices = tuple(devices)
        for last in (*[False] * (_TRIES - 1), True):
            data = await self._api.get(node_path(self._node))
            facts = decode_node(data)
            changed = wanted_annotations(devices, facts, self._registry, late=self._late, now=datetime.now(UTC))
            if not changed:
                return facts
            version = msgspec.json.decode(data, type=_Node).metadata.resource_version
            patch = {"metadata": {"resourceVersion": version, "annotations": changed}}
            try:
                await self._api.patch(node_path(self._node), patch)
            except ApiFailed as err:
                if err.status != _CONFLICT or last:
                    raise
            else:
                _log.info("node %s: wrote %s", self._node, ", ".join(sorted(changed)))
                return facts
        raise AssertionError("the last try returns or raises")
