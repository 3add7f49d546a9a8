"""Hardware partitions of containers: made when their assignment asks for them, removed when their pod is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import msgspec

from hami_core.behaviour import MadeInstance, PartitionAnswer, PartitionOrder, WantedInstance
from hami_core.errors import ApiFailed, HamiError, ProbeFailed
from hami_core.kube.api import pod_path
from hami_core.kube.records import Meta
from hami_core.model import PartitionPlacement
from hami_core.node.assignment import Assignment, Refused
from hami_core.node.child import child
from hami_core.node.partition_child import Outcome
from hami_core.probing import importable_name
from hami_core.wire.partitions import PARTITIONS, MadePartition, decode_partitions, encode_partitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hami_core.kube.api import ApiServer
    from hami_core.node.files import Record
    from hami_core.registry import Registry

Place = tuple[str, PartitionPlacement]
"""A card's uuid, and a place on it."""

_DEADLINE_S = 60.0  # cutting a card takes seconds
_CONFLICT = 409
_TRIES = 5


class PartitionFailed(HamiError):
    """The driver, or the process that asks it, did not do what was asked; it can be asked again."""


class _Pod(msgspec.Struct, kw_only=True):
    metadata: Meta


class Partitions:
    """Makes and removes, one order at a time.

    Args:
        registry: the vendors.
        environ: of the children; None means this process's.
    """

    def __init__(self, registry: Registry, *, environ: Mapping[str, str] | None = None) -> None:
        self._registry = registry
        self._environ = environ
        self._one = asyncio.Lock()
        self._asked: set[Place] = set()

    def ours(self, records: Iterable[Record]) -> frozenset[Place]:
        """Where partitions of our containers lie: by their records, and those being made that have none yet."""
        records = tuple(records)
        recorded = {_place(made) for record in records for made in record.partitions}
        wanted = {_place(each) for record in records for each in record.wanted}
        return frozenset(recorded | wanted | self._asked)

    async def make(self, assignment: Assignment, records: Iterable[Record]) -> tuple[MadeInstance, ...]:
        """The partitions of a container, made or found; empty for one that has none.

        Raises:
            Refused: some of its cards are whole and some cut, or the vendor's plugin makes no partitions.
            PartitionFailed: the driver does not make them.
        """
        wanted = wanted_of(assignment)
        if not wanted:
            return ()
        vendor = self._registry.family(assignment.family).family.vendor
        taken = _taken(records, besides=(assignment.pod.uid, assignment.container.name))
        self._asked |= {_place(each) for each in wanted}
        answer = await self._order(vendor, PartitionOrder(make=wanted, taken=taken))
        return answer.made

    async def drop(self, family: str, made: tuple[MadeInstance, ...]) -> bool:
        """Remove partitions; False where one of them is in use still. Raises PartitionFailed."""
        if not made:
            return True
        vendor = self._registry.family(family).family.vendor
        answer = await self._order(vendor, PartitionOrder(drop=made))
        self._asked -= {_place(each) for each in made if each not in answer.kept}
        return not answer.kept

    async def reclaim(self, record: Record, records: Iterable[Record]) -> bool:
        """Remove what may have been made for a container before its record said so; False where it is in use.

        Raises:
            PartitionFailed: the driver does not do it now.
        """
        if not record.wanted:
            return True
        vendor = self._registry.family(record.family).family.vendor
        taken = _taken(records, besides=(record.uid, record.container))
        answer = await self._order(vendor, PartitionOrder(reclaim=record.wanted, taken=taken))
        return not answer.unreclaimed

    async def _order(self, vendor: str, order: PartitionOrder) -> PartitionAnswer:
        target = self._tool(vendor)
        async with self._one:
            outcome = await _carry_out(target, order, self._environ)
        if outcome.answer is None:
            raise PartitionFailed(f"partitions of {vendor}: {outcome.error or 'no answer'}")
        return outcome.answer

    def _tool(self, vendor: str) -> str:
        source = self._registry.vendors[vendor]
        for plugin in self._registry.manager.plugins:
            if plugin.source != source or plugin.module is None:
                continue
            try:
                found = self._registry.manager.ask(plugin, "hami_partition", vendor=vendor)
                if found is not None:
                    return importable_name(found, what=f"partitions of {vendor}")
            except ProbeFailed as err:
                raise Refused(str(err)) from err
        raise Refused(f"the plugin of {vendor} makes no hardware partitions")


def wanted_of(assignment: Assignment) -> tuple[WantedInstance, ...]:
    """The partitions that a container was assigned; empty for one of whole cards or shares of them.

    Raises:
        Refused: it has both kinds.
    """
    wanted = tuple(
        WantedInstance(device_uuid=share.uuid, partition=share.partition)
        for share in assignment.shares
        if share.partition is not None
    )
    if wanted and len(wanted) != len(assignment.shares):
        raise Refused(f"{assignment.where}: has whole cards and partitions; one container may have one kind")
    return wanted


def as_cards(assignment: Assignment, made: tuple[MadeInstance, ...]) -> Assignment:
    """The assignment with partitions in the place of the cards they lie on: what the container sees."""
    shares = tuple(attrs.evolve(share, uuid=each.uuid) for share, each in zip(assignment.shares, made, strict=True))
    return attrs.evolve(assignment, shares=shares)


async def write_made(api: ApiServer, assignment: Assignment, made: tuple[MadeInstance, ...]) -> None:
    """Write on the pod which partitions its container got, for those who look on.

    Raises:
        ApiFailed: the pod cannot be read or written.
        BadWire: its annotation is malformed.
    """
    path = pod_path(assignment.pod.namespace, assignment.pod.name)
    for last in (*[False] * (_TRIES - 1), True):
        meta = msgspec.json.decode(await api.get(path), type=_Pod).metadata
        text = (meta.annotations or {}).get(PARTITIONS, "[]")
        entries = decode_partitions(text, what=f"{assignment.pod.where}: annotation {PARTITIONS}")
        after = encode_partitions(
            [
                attrs.evolve(entry, made=_made(made[entry.device_index]))
                if entry.container_index == assignment.position and entry.device_index < len(made)
                else entry
                for entry in entries
            ]
        )
        if after == text:
            return
        metadata = {"resourceVersion": meta.resource_version, "annotations": {PARTITIONS: after}}
        try:
            await api.patch(path, {"metadata": metadata})
        except ApiFailed as err:
            if err.status != _CONFLICT or last:
                raise
        else:
            return


def _place(each: MadeInstance | WantedInstance) -> Place:
    return each.device_uuid, each.partition.placement


def _taken(records: Iterable[Record], *, besides: tuple[str, str]) -> frozenset[str]:
    """Uuids of the partitions of all containers but one, which pod uid and name say."""
    others = (record for record in records if (record.uid, record.container) != besides)
    return frozenset(made.uuid for record in others for made in record.partitions)


def _made(each: MadeInstance) -> MadePartition:
    return MadePartition(uuid=each.uuid, gpu_instance=each.gpu_instance, compute_instance=each.compute_instance)


async def _carry_out(target: str, order: PartitionOrder, environ: Mapping[str, str] | None) -> Outcome:
    """Have a child do it; one that hangs is killed."""
    async with child("hami_core.node.partition_child", target, environ) as (process, answers):
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await process.communicate(msgspec.json.encode(order))
                return msgspec.json.decode(await answers.read(), type=Outcome)
        except TimeoutError:
            return Outcome(error=f"no answer within {_DEADLINE_S:g} s, so the driver may hang")
        except msgspec.DecodeError:
            return Outcome(error=f"the process ended with code {process.returncode} and no answer")
