"""A machine as the Kubernetes node it would be, so that `hami schedule` can be tried without a cluster."""

from __future__ import annotations

from typing import Any

import attrs

from hami_core.family import Family, RegisterForm
from hami_core.local.sight import Sight
from hami_core.machine_file import read_machine
from hami_core.model import Device
from hami_core.objects import NodeFacts
from hami_core.registry import Registry
from hami_core.wire.cordon import CORDON, encode_cordon
from hami_core.wire.register import encode_csv, encode_json


def as_node(sight: Sight, registry: Registry) -> dict[str, Any]:
    """The Node object: what a simulated machine's file says of it, else what its cards are.

    That is each family's register annotation, and its slots as the capacity of its count resource.
    """
    said = None if sight.machine.file is None else read_machine(sight.machine.file).node
    if said is not None:
        return _node(said)
    annotations: dict[str, str] = {}
    if sight.cordoned:
        annotations[CORDON] = encode_cordon(sorted(sight.cordoned))
    capacity: dict[str, str] = {}
    for name in sorted({card.device.family for card in sight.cards}):
        family = registry.family(name).family
        devices = [_registered(card.device, family) for card in sight.cards if card.device.family == name]
        capacity[family.resources.count] = str(sum(device.slots for device in devices))
        if family.wire.register is not None:
            encode = encode_csv if family.wire.register_form is RegisterForm.CSV else encode_json
            annotations[family.wire.register] = encode(devices)
    return _node(NodeFacts(name=sight.machine.name, annotations=annotations, capacity=capacity, allocatable=capacity))


def _node(facts: NodeFacts) -> dict[str, Any]:
    labels = {"labels": dict(facts.labels)} if facts.labels else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": facts.name, "annotations": dict(facts.annotations), **labels},
        "status": {"capacity": dict(facts.capacity), "allocatable": dict(facts.allocatable)},
    }


def _registered(device: Device, family: Family) -> Device:
    """The device with its model as HAMi's device plugins write it."""
    return attrs.evolve(device, model=family.registered_model(device.model))
