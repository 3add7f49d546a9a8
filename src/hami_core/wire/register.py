"""The node register: how a node's cards are written into an annotation, in HAMi's JSON and CSV forms.

Both directions of both forms. A malformed entry fails the whole annotation, as in HAMi, because half an inventory
would look like cards that vanished; the error says which device and which field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from hami_core.behaviour import NodeCodec
from hami_core.errors import BadWire, shown
from hami_core.family import Family, RegisterForm
from hami_core.model import Device, PartitionProfile
from hami_core.objects import NodeFacts
from hami_core.units import INT32_MAX
from hami_core.wire.capacity import capacity_codec
from hami_core.wire.fields import Fields, bad_field, json_list, json_placement, parse_bool

_CSV_OLD, _CSV_NEW = 7, 9  # fields of a device; the old form lacks index and mode
_CSV_MODE = "hami-core"  # what the old CSV form means by leaving the mode out
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


def decode_csv(text: str, *, family: str, what: str) -> tuple[Device, ...]:
    """Decode ``id,count,devmem,devcore,type,numa,health[,index,mode]:`` per device.

    Args:
        text: the annotation's value.
        family: the family the devices belong to.
        what: the annotation and its node, for messages.

    Raises:
        BadWire: no colon at all, or any malformed device.
    """
    if ":" not in text:
        raise BadWire(what=what, problem=f"has no ':' after a device; got {shown(text)}")
    segments = [segment for segment in text.split(":") if segment]
    devices = tuple(_csv_device(segment, family, what, number) for number, segment in enumerate(segments, start=1))
    return _distinct(devices, what)


def encode_csv(devices: Sequence[Device]) -> str:
    """Encode devices in the form of nine fields.

    Raises:
        BadWire: a text holds ``,`` or ``:``, which the form cannot carry.
    """
    return "".join(f"{_csv_fields(device)}:" for device in devices)


def _csv_device(segment: str, family: str, what: str, number: int) -> Device:
    fields = segment.split(",")
    at = f"device {number}"
    if len(fields) not in (_CSV_OLD, _CSV_NEW):
        problem = f"has {len(fields)} fields, not {_CSV_OLD} or {_CSV_NEW}; got {shown(segment)}"
        raise BadWire(what=what, position=at, problem=problem)

    def number_of(index: int, name: str, low: int = 0) -> int:
        if _WHOLE.fullmatch(fields[index]) is None or not low <= int(fields[index]) <= INT32_MAX:
            raise bad_field(what, at, name, f"must be a whole number, {low} to {INT32_MAX}", fields[index])
        return int(fields[index])

    if not fields[0]:
        raise bad_field(what, at, "id", "must not be empty", fields[0])
    healthy = parse_bool(fields[6])
    if healthy is None:
        raise bad_field(what, at, "health", "must be true or false", fields[6])
    new = len(fields) == _CSV_NEW
    return Device(
        uuid=fields[0],
        family=family,
        model=fields[4],
        index=number_of(7, "index") if new else 0,
        memory_mib=number_of(2, "devmem"),
        core_units=number_of(3, "devcore"),
        slots=number_of(1, "count"),
        numa=number_of(5, "numa", low=-INT32_MAX),
        healthy=healthy,
        mode=fields[8] if new else _CSV_MODE,
    )


def _csv_fields(device: Device) -> str:
    for name, value in (("id", device.uuid), ("type", device.model), ("mode", device.mode)):
        if "," in value or ":" in value:
            raise bad_field("CSV register", f"device {device.uuid}", name, "must not contain ',' or ':'", value)
    health = "true" if device.healthy else "false"
    numbers = f"{device.slots},{device.memory_mib},{device.core_units}"
    return f"{device.uuid},{numbers},{device.model},{device.numa},{health},{device.index},{device.mode}"


def decode_json(text: str, *, family: str, what: str) -> tuple[Device, ...]:
    """Decode a JSON array of devices. Absent keys mean zero, empty or false; unknown keys are ignored.

    Raises:
        BadWire: not a JSON array of objects, or a field of the wrong type or range.
    """
    return _distinct(
        tuple(
            _json_device(Fields.of(entry, what, f"device {number}"), family)
            for number, entry in enumerate(json_list(text, what), start=1)
        ),
        what,
    )


def encode_json(devices: Sequence[Device], *, custom: bool = False) -> str:
    """Encode devices as HAMi's plugins do: zero, empty and false are left out; `custom` adds ``custominfo``."""
    return msgspec.json.encode([_json_entry(device, custom=custom) for device in devices]).decode()


def _json_device(fields: Fields, family: str) -> Device:
    return Device(
        uuid=fields.text("id", needed=True),
        family=family,
        model=fields.text("type"),
        index=fields.whole("index"),
        memory_mib=fields.whole("devmem"),
        core_units=fields.whole("devcore"),
        slots=fields.whole("count"),
        numa=fields.whole("numa", low=-INT32_MAX),
        healthy=fields.flag("health"),
        mode=fields.text("mode"),
        profiles=tuple(_json_profile(entry) for entry in fields.entries("migProfiles")),
        custom=fields.mapping("custominfo"),
    )


def _json_profile(fields: Fields) -> PartitionProfile:
    return PartitionProfile(
        name=fields.text("name", needed=True),
        memory_mib=fields.positive("memoryMB"),
        core_units=fields.whole("core"),
        slice_count=fields.whole("sliceCount"),
        placements=tuple(json_placement(entry) for entry in fields.entries("placements")),
    )


def _json_entry(device: Device, *, custom: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": device.uuid,
        "index": device.index,
        "count": device.slots,
        "devmem": device.memory_mib,
        "devcore": device.core_units,
        "type": device.model,
        "numa": device.numa,
        "mode": device.mode,
        "health": device.healthy,
        "migProfiles": [_profile_entry(profile) for profile in device.profiles],
    }
    if custom:
        entry["custominfo"] = dict(device.custom)
    return {key: value for key, value in entry.items() if value}


def _profile_entry(profile: PartitionProfile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "memoryMB": profile.memory_mib,
        "core": profile.core_units,
        "sliceCount": profile.slice_count,
        "placements": [{"start": place.start, "size": place.size} for place in profile.placements],
    }


@attrs.frozen
class RegisterCodec:
    """Reads a family's register annotation; a node without it has what `otherwise` finds, or no cards of the family."""

    family: Family
    otherwise: NodeCodec | None = None

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """The family's devices on `node`.

        Raises:
            BadWire: the annotation is malformed.
        """
        key = self.family.wire.register
        text = node.annotations.get(key) if key else None
        if text is None:
            return () if self.otherwise is None else self.otherwise.decode(node)
        form = decode_csv if self.family.wire.register_form is RegisterForm.CSV else decode_json
        return form(text, family=self.family.name, what=f"node {node.name}: annotation {key}")


def table_codec(family: Family) -> NodeCodec:
    """How a family's devices are read when its plugin says nothing more: from its table."""
    if family.wire.register_form is not RegisterForm.CAPACITY:
        return RegisterCodec(family)
    by_capacity = capacity_codec(family, id_stem=family.vendor)
    return by_capacity if family.wire.register is None else RegisterCodec(family, otherwise=by_capacity)


def _distinct(devices: tuple[Device, ...], what: str) -> tuple[Device, ...]:
    seen: set[str] = set()
    for number, device in enumerate(devices, start=1):
        if device.uuid in seen:
            problem = f"id {shown(device.uuid)} is registered twice"
            raise BadWire(what=what, position=f"device {number}", problem=problem)
        seen.add(device.uuid)
    return devices
