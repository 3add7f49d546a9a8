"""``hami.io/vgpu-mig-allocations``: which hardware partition each share of a pod has reserved, or got.

The scheduler writes where a partition shall lie; the node adds the three runtime fields once it has made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from hami_core.errors import BadWire
from hami_core.model import Partition
from hami_core.values import text, whole
from hami_core.wire.fields import Fields, json_list, json_placement

PARTITIONS = "hami.io/vgpu-mig-allocations"


@attrs.frozen(kw_only=True)
class MadePartition:
    """What the driver calls a partition that exists."""

    uuid: str = attrs.field(validator=text)
    gpu_instance: int = attrs.field(validator=whole(0))
    compute_instance: int = attrs.field(validator=whole(0))


@attrs.frozen(kw_only=True)
class PartitionEntry:
    """One share's partition: the share's place in the pod, the card, and the partition on it."""

    container_index: int = attrs.field(validator=whole(0))
    device_index: int = attrs.field(validator=whole(0))
    device_uuid: str = attrs.field(validator=text)
    partition: Partition
    made: MadePartition | None = None


def decode_partitions(annotation: str, *, what: str) -> tuple[PartitionEntry, ...]:
    """Decode the annotation.

    Raises:
        BadWire: not a JSON array of complete entries, one share twice, or only some of the runtime fields.
    """
    entries = json_list(annotation, what)
    found = tuple(_entry(Fields.of(raw, what, f"entry {number}")) for number, raw in enumerate(entries))
    seen: set[tuple[int, int]] = set()
    for number, entry in enumerate(found):
        place = (entry.container_index, entry.device_index)
        if place in seen:
            problem = f"container {place[0]}, card {place[1]} is there twice"
            raise BadWire(what=what, position=f"entry {number}", problem=problem)
        seen.add(place)
    return found


def encode_partitions(entries: Sequence[PartitionEntry]) -> str:
    """Encode the annotation, runtime fields only where the partition is made."""
    return msgspec.json.encode([_raw(entry) for entry in entries]).decode()


def _entry(fields: Fields) -> PartitionEntry:
    placements = fields.inner("placement")
    return PartitionEntry(
        container_index=fields.whole("containerIndex"),
        device_index=fields.whole("deviceIndex"),
        device_uuid=fields.text("gpuUUID", needed=True),
        partition=Partition(profile=fields.text("profile", needed=True), placement=json_placement(placements)),
        made=_made(fields),
    )


def _made(fields: Fields) -> MadePartition | None:
    names = ("migUUID", "gpuInstanceID", "computeInstanceID")
    present = [name for name in names if fields.has(name)]
    if not present:
        return None
    if len(present) != len(names):
        problem = f"has {', '.join(present)} but not all of {', '.join(names)}"
        raise BadWire(what=fields.what, position=fields.at, problem=problem)
    # 0 is a legal instance id, so presence is what counts.
    return MadePartition(
        uuid=fields.text("migUUID", needed=True),
        gpu_instance=fields.whole("gpuInstanceID"),
        compute_instance=fields.whole("computeInstanceID"),
    )


def _raw(entry: PartitionEntry) -> dict[str, Any]:
    place = entry.partition.placement
    raw: dict[str, Any] = {
        "containerIndex": entry.container_index,
        "deviceIndex": entry.device_index,
        "gpuUUID": entry.device_uuid,
        "profile": entry.partition.profile,
        "placement": {"start": place.start, "size": place.size},
    }
    if entry.made is not None:
        raw["migUUID"] = entry.made.uuid
        raw["gpuInstanceID"] = entry.made.gpu_instance
        raw["computeInstanceID"] = entry.made.compute_instance
    return raw
