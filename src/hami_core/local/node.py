"""A machine as the Kubernetes node it would be, so that `hami schedule` can be tried without a cluster."""

from __future__ import annotations

from typing import Any

import attrs

from hami_core.family import Family, RegisterForm
from hami_core.local.sight import Sight
from hami_core.model import Device
from hami_core.registry import Registry
from hami_core.wire.register import encode_csv, encode_json


def as_node(sight: Sight, registry: Registry) -> dict[str, Any]:
    """The Node object: each family's register annotation, and its slots as the capacity of its count resource."""
    annotations: dict[str, str] = {}
    capacity: dict[str, str] = {}
    for name in sorted({card.device.family for card in sight.cards}):
        family = registry.family(name).family
        devices = [_registered(card.device, family) for card in sight.cards if card.device.family == name]
        capacity[family.resources.count] = str(sum(device.slots for device in devices))
        if family.wire.register is not None:
            encode = encode_csv if family.wire.register_form is RegisterForm.CSV else encode_json
            annotations[family.wire.register] = encode(devices)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": sight.machine.name, "annotations": annotations},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def _registered(device: Device, family: Family) -> Device:
    """The device with its model as HAMi's device plugins write it: the family's word before the driver's name."""
    return attrs.evolve(device, model=f"{family.name}-{device.model}")
