"""Partitions of a driver that is asked through a command of its own."""

from __future__ import annotations

import json
import subprocess

from hami_core import hookimpl
from hami_core.behaviour import MadeInstance, PartitionAnswer, PartitionOrder, PartitionTool, WantedInstance

TOOL = "/usr/bin/acme-cut"


def partition(order: PartitionOrder) -> PartitionAnswer:
    """Have the command remove and make; it makes all that one call names, or fails."""
    kept = tuple(made for made in order.drop if _asked("drop", made.uuid) == "busy")
    made = tuple(_made(wanted) for wanted in order.make)
    return PartitionAnswer(made=made, kept=kept)


def _made(wanted: WantedInstance) -> MadeInstance:
    part = wanted.partition
    place = f"{part.placement.start}+{part.placement.size}"
    told = json.loads(_asked("make", wanted.device_uuid, part.profile, place))
    return MadeInstance(
        uuid=told["uuid"], device_uuid=wanted.device_uuid, gpu_instance=told["id"], compute_instance=0, partition=part
    )


def _asked(*words: str) -> str:
    command = [TOOL, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()  # noqa: S603 - a fixed program


@hookimpl
def hami_partition(vendor: str) -> PartitionTool | None:
    """For the one vendor of this plugin."""
    return partition if vendor == "acme" else None
