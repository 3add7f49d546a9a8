"""The asking side of ``hami.io/resize``: write the wish on the pod, wait for the word of scheduler and node."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import attrs
import msgspec

from hami_core.errors import ApiFailed, UnknownName
from hami_core.kube.api import pod_path
from hami_core.kube.records import Meta
from hami_core.wire.resize import (
    APPLIED,
    RESIZE,
    RESIZED,
    ResizeApplied,
    ResizeRequest,
    ResizeStatus,
    decode_applied,
    decode_status,
    encode,
)

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer

_LOOK_EVERY_S = 0.3
_NOT_FOUND = 404


class _Pod(msgspec.Struct, kw_only=True):
    metadata: Meta


@attrs.frozen(kw_only=True)
class Answer:
    """What came in time: the scheduler's word, and the node's."""

    status: ResizeStatus | None = None
    applied: ResizeApplied | None = None


async def wish(api: ApiServer, namespace: str, name: str, request: ResizeRequest, *, patience_s: float) -> Answer:
    """Ask for another size of a pod's shares.

    Raises:
        UnknownName: there is no such pod.
        ApiFailed: the API server does not answer, or does not let us.
    """
    path = pod_path(namespace, name)
    until_s = time.monotonic() + patience_s
    try:
        data = await api.patch(path, {"metadata": {"annotations": {RESIZE: encode(request)}}})
        while True:
            annotations = msgspec.json.decode(data, type=_Pod).metadata.annotations or {}
            status = decode_status(annotations.get(RESIZED, ""))
            applied = decode_applied(annotations.get(APPLIED, ""))
            answer = Answer(
                status=status if status is not None and status.id == request.id else None,
                applied=applied if applied is not None and applied.id == request.id else None,
            )
            refused = answer.status is not None and answer.status.outcome == "refused"
            if refused or answer.applied is not None or time.monotonic() >= until_s:
                return answer
            await asyncio.sleep(_LOOK_EVERY_S)
            data = await api.get(path)
    except ApiFailed as err:
        if err.status == _NOT_FOUND:
            raise UnknownName(kind="pod", name=f"{namespace}/{name}") from err
        raise
