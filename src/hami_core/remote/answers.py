"""What a plugin's process may answer: every value is checked before it reaches kubelet, an annotation or the books."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

import attrs
from google.protobuf import json_format

from hami_core.behaviour import ContainerEdits, DeviceEvent, Link, Mount, ProbedDevice, ProbeReport
from hami_core.errors import shown
from hami_core.remote.places import Place
from hami_core.remote.plugin.v1.plugin_pb2 import AllocateResponse, Device, ProbeResponse, WatchResponse
from hami_core.remote.session import RemoteFailed

_MOST_DEVICES = 1024
_MOST_ENTRIES = 1024  # variables, mounts, device nodes, annotations
_LONG = 4096  # characters: PATH_MAX of Linux, far over any name
_UUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,252}")  # none of the marks that annotations are made of
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_PERMISSIONS = re.compile(r"r?w?m?")
_PERCENT = 100
_FAMILY = "family"  # by which a card of a vendor with several families names its own


@attrs.frozen
class _Answer:
    """Says where in an answer something is wrong."""

    place: Place
    call: str

    def refuse(self, where: str, wanted: str, found: object) -> NoReturn:
        problem = f"the answer's {where} must be {wanted}; got {shown(found)}"
        raise RemoteFailed(place=self.place, call=self.call, problem=problem)

    def count(self, where: str, found: int, most: int) -> None:
        if found > most:
            self.refuse(where, f"at most {most} entries", found)

    def text(self, where: str, found: str, *, empty: bool = True) -> str:
        if len(found) > _LONG or "\0" in found or not (found or empty):
            self.refuse(where, f"{'' if empty else '1 to '}{_LONG} characters{' at most' if empty else ''}", found)
        return found

    def number(self, where: str, found: int, high: int | None = None, *, low: int = 0) -> int:
        if found < low or (high is not None and found > high):
            self.refuse(where, f"{low} or more" if high is None else f"{low} to {high}", found)
        return found

    def path(self, where: str, found: str, *, under: str = "/") -> str:
        self.text(where, found)
        if not found.startswith(under) or ".." in found.split("/") or found == "/":
            self.refuse(where, f"an absolute path{'' if under == '/' else f' under {under}'} without ..", found)
        return found


def report_of(message: ProbeResponse, place: Place) -> ProbeReport:
    """The report of a probe.

    Raises:
        RemoteFailed: a card that is none, or the same card twice.
    """
    answer = _Answer(place, "Probe")
    answer.count("devices", len(message.devices), _MOST_DEVICES)
    driver = answer.text("driver", message.driver, empty=False) if message.HasField("driver") else None
    if driver is None and (message.devices or not message.missing):
        answer.refuse("driver", "the driver's version, or absent with `missing` saying why and no devices", "")
    cards = tuple(_card(card, f"devices[{index}]", answer) for index, card in enumerate(message.devices))
    _distinct((card.uuid for card in cards), "devices", answer)
    return ProbeReport(vendor=place.name, devices=cards, driver=driver, missing=answer.text("missing", message.missing))


def edits_of(message: AllocateResponse, place: Place) -> ContainerEdits:
    """The edits of a container.

    Raises:
        RemoteFailed: a variable, path or permission that is none.
    """
    answer = _Answer(place, "Allocate")
    for where in ("env", "mounts", "device_nodes", "annotations", "files"):
        answer.count(where, len(getattr(message, where)), _MOST_ENTRIES)
    for name, value in message.env.items():
        if not _VARIABLE.fullmatch(name):
            answer.refuse("env", "named with letters, digits and '_'", name)
        answer.text(f"env[{name}]", value)
    for name, value in message.annotations.items():
        answer.text("annotations", name, empty=False)
        answer.text(f"annotations[{name}]", value)
    mounts = tuple(
        Mount(
            host_path=answer.path(f"mounts[{index}].host_path", mount.host_path),
            container_path=answer.path(f"mounts[{index}].container_path", mount.container_path),
            read_only=not mount.writable,
        )
        for index, mount in enumerate(message.mounts)
    )
    _distinct((mount.container_path for mount in mounts), "mounts", answer)
    nodes = []
    for index, node in enumerate(message.device_nodes):
        path = answer.path(f"device_nodes[{index}].path", node.path, under="/dev/")
        permissions = node.permissions or "rw"
        if not _PERMISSIONS.fullmatch(permissions):
            answer.refuse(f"device_nodes[{index}].permissions", "of r, w and m in this order", permissions)
        nodes.append((path, permissions))
    return ContainerEdits(
        env=dict(sorted(message.env.items())),
        mounts=mounts,
        device_nodes=tuple(nodes),
        annotations=dict(sorted(message.annotations.items())),
        files=dict(sorted(message.files.items())),
    )


def event_of(message: WatchResponse, place: Place) -> DeviceEvent:
    """What a plugin says of a card. Raises RemoteFailed for one that is none."""
    answer = _Answer(place, "Watch")
    return DeviceEvent(uuid=_uuid("uuid", message.uuid, answer), note=answer.text("note", message.note))


def _card(card: Device, where: str, answer: _Answer) -> ProbedDevice:
    given = {field.name: value for field, value in card.ListFields()}

    def optional(name: str, high: int | None = None) -> int | None:
        return answer.number(f"{where}.{name}", given[name], high) if name in given else None

    core_units = optional("core_units")
    answer.count(f"{where}.links", len(card.links), _MOST_DEVICES)
    return ProbedDevice(
        uuid=_uuid(f"{where}.uuid", card.uuid, answer),
        index=answer.number(f"{where}.index", card.index),
        model=_model(f"{where}.model", card.model, answer),
        memory_mib=optional("memory_mib"),
        memory_used_mib=optional("memory_used_mib"),
        core_units=_PERCENT if core_units is None else core_units,
        core_busy_percent=optional("core_busy_percent", _PERCENT),
        memory_busy_percent=optional("memory_busy_percent", _PERCENT),
        process_memory_mib={
            answer.number(f"{where}.process_memory_mib", pid, low=1): answer.number(f"{where}.process_memory_mib", mib)
            for pid, mib in card.process_memory_mib.items()
        },
        numa=card.numa if card.HasField("numa") else None,
        healthy=not card.unhealthy,
        health_note=answer.text(f"{where}.health_note", card.health_note),
        links=tuple(
            Link(
                peer_uuid=_uuid(f"{where}.links[{index}].peer_uuid", link.peer_uuid, answer),
                kind=answer.text(f"{where}.links[{index}].kind", link.kind, empty=False),
                count=answer.number(f"{where}.links[{index}].count", link.count) if link.HasField("count") else 1,
            )
            for index, link in enumerate(card.links)
        ),
        custom=_custom(card, where, answer),
    )


def _custom(card: Device, where: str, answer: _Answer) -> dict[str, Any]:
    try:
        facts = _whole_numbers(json_format.MessageToDict(card.custom))
    except (json_format.Error, RecursionError, ValueError) as err:
        answer.refuse(f"{where}.custom", "what JSON can say", str(err))
    return {**facts, _FAMILY: card.family} if card.family else facts


def _whole_numbers(value: Any) -> Any:
    """The same with whole numbers as such: a Struct knows floating ones only."""
    if isinstance(value, dict):
        return {name: _whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _uuid(where: str, found: str, answer: _Answer) -> str:
    if not _UUID.fullmatch(found):
        answer.refuse(where, "letters, digits, '.', '_', '/' and '-', 253 at most", found)
    return found


def _model(where: str, found: str, answer: _Answer) -> str:
    answer.text(where, found, empty=False)
    if any(mark in found for mark in ",:;") or not found.isprintable():
        answer.refuse(where, "printable text without , : and ;", found)
    return found


def _distinct(found: Iterable[str], where: str, answer: _Answer) -> None:
    seen: set[str] = set()
    for name in found:
        if name in seen:
            answer.refuse(where, "distinct", name)
        seen.add(name)
