"""The pods of one node, as the API server has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hami_core.errors import BadWire
from hami_core.kube.api import path_of
from hami_core.kube.records import decode_pod

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.objects import PodFacts

_PODS = path_of("api", "v1", "pods")
_PAGE = "500"


class _ListMeta(msgspec.Struct, kw_only=True, frozen=True, rename={"next": "continue"}):
    next: str = ""


class _Page(msgspec.Struct, kw_only=True):
    metadata: _ListMeta = _ListMeta()
    items: list[msgspec.Raw] | None = None


async def pods_of(api: ApiServer, node: str) -> tuple[PodFacts, ...]:
    """Every pod of a node that still exists; one that cannot be read at all is left out.

    Raises:
        ApiFailed: the API server does not answer.
    """
    params = {"fieldSelector": f"spec.nodeName={node}", "limit": _PAGE}
    found: list[PodFacts] = []
    while True:
        page = msgspec.json.decode(await api.get(_PODS, params), type=_Page)
        for raw in page.items or ():
            try:
                found.append(decode_pod(raw))
            except BadWire:
                continue  # an object without a name is no pod of anybody's
        if not page.metadata.next:
            return tuple(found)
        params = params | {"continue": page.metadata.next}
