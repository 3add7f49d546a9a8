"""Taking cards of a node out of service, and putting them back: the node's annotation is where everybody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hami_core.errors import ApiFailed, UnknownName
from hami_core.inventory import read_inventory
from hami_core.kube.api import node_path
from hami_core.kube.records import Meta, decode_node
from hami_core.uuids import complete_uuid
from hami_core.wire.cordon import CORDON, decode_cordon, encode_cordon

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.registry import Registry

_CONFLICT = 409
_NOT_FOUND = 404
_TRIES = 5


class _Node(msgspec.Struct, kw_only=True):
    metadata: Meta


def changed_cordon(before: str, uuid: str, *, on: bool) -> str:
    """The text of the annotation with `uuid` in it, or out of it; everything else stays in its place."""
    uuids = [each for each in decode_cordon(before) if each != uuid]
    return encode_cordon([*uuids, uuid] if on else uuids)


async def set_cordon(api: ApiServer, node: str, start: str, registry: Registry, *, on: bool) -> tuple[str, bool]:
    """Cordon a card of a node, or end its cordon.

    Returns:
        The card's UUID, and whether anything had to be changed.

    Raises:
        UnknownName: there is no such node, or not one card that `start` names.
        ApiFailed: the node cannot be read or written.
    """
    for last in (*[False] * (_TRIES - 1), True):
        try:
            data = await api.get(node_path(node))
        except ApiFailed as err:
            if err.status == _NOT_FOUND:
                raise UnknownName(kind="node", name=node) from err
            raise
        facts = decode_node(data)
        before = facts.annotations.get(CORDON, "")
        named = set(decode_cordon(before))
        here = {device.uuid for device in read_inventory(facts, registry).devices}
        # A card that was pulled out is not registered any more, but its cordon may be lifted.
        uuid = complete_uuid(here if on else here | named, start, where=f"node {node}")
        if on == (uuid in named):
            return uuid, False
        after = changed_cordon(before, uuid, on=on)
        metadata = {
            "resourceVersion": msgspec.json.decode(data, type=_Node).metadata.resource_version,
            "annotations": {CORDON: after or None},
        }
        try:
            await api.patch(node_path(node), {"metadata": metadata})
        except ApiFailed as err:
            if err.status != _CONFLICT or last:
                raise
        else:
            return uuid, True
    raise AssertionError("the last try returns or raises")
