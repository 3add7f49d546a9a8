"""Taking back what containers had, when their pod is gone and never before."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hami_core.errors import HamiError
from hami_core.node import cdi
from hami_core.node.holder import read_holders
from hami_core.node.pods import pods_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hami_core.kube.api import ApiServer
    from hami_core.node.files import NodeFiles, Record
    from hami_core.node.partitioning import Partitions
    from hami_core.node.settings import NodePaths

_log = logging.getLogger(__name__)


async def pods_on(api: ApiServer, node: str) -> dict[str, tuple[str, str]]:
    """Namespace and name of every pod of a node that still exists, by uid. Raises ApiFailed."""
    return {pod.uid: (pod.namespace, pod.name) for pod in await pods_of(api, node)}


async def clean(
    api: ApiServer,
    files: NodeFiles,
    paths: NodePaths,
    node: str,
    *,
    keep: Collection[str],
    partitions: Partitions,
) -> int:
    """Remove the files of pods that neither the API server nor kubelet knows any more; how many folders went.

    Both must have answered: a container can outlive its pod object while kubelet ends it. Folders are listed first,
    so one that is made meanwhile, for a pod that the lists do not have yet, is not looked at.

    Args:
        api: the server.
        files: what there is.
        paths: where kubelet answers, and where specs are.
        node: this node.
        keep: library versions to keep even if nobody uses them.
        partitions: who removes those of containers that are gone; one in use waits for the next round.

    Raises:
        ApiFailed: the API server does not answer; nothing was removed.
        KubeletSilent: kubelet does not answer; nothing was removed.
    """
    records = list(files.records())
    living = await pods_on(api, node)
    running = {(holder.namespace, holder.pod) for holder in await read_holders(paths.pod_resources)}
    names = set(living.values())
    gone = [
        record
        for record in records
        if record.uid not in living
        # A pod of the same name that the API server does know is another one: then kubelet means that.
        and ((record.namespace, record.pod) not in running or (record.namespace, record.pod) in names)
    ]
    removed = 0
    for record in gone:
        if record.cdi_device:
            cdi.withdraw(paths.cdi, record.cdi_device, pod_uid=record.uid)
        if not await _dropped(record, records, partitions):
            continue
        await asyncio.to_thread(files.remove, record)
        removed += 1
        _log.info(
            "pod %s/%s is gone; removed what its container %s had", record.namespace, record.pod, record.container
        )
    for version in await asyncio.to_thread(files.prune, keep):
        _log.info("removed %s, which no container uses any more", version)
    return removed


async def _dropped(record: Record, records: Iterable[Record], partitions: Partitions) -> bool:
    """Remove a container's partitions, but those that another container was given since."""
    records = tuple(records)
    theirs = {made.uuid for other in records if other is not record for made in other.partitions}
    mine = tuple(made for made in record.partitions if made.uuid not in theirs)
    try:
        return await partitions.reclaim(record, records) and await partitions.drop(record.family, mine)
    except HamiError as err:
        _log.warning("pod %s/%s is gone and its partitions stay for now: %s", record.namespace, record.pod, err)
        return False
