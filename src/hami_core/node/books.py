"""kubelet's checkpoint of devices: what its pod-resources API leaves out.

pod-resources lists no ordinary init containers, and kubelet gives their ids to later containers of the same pod again.
The checkpoint has every container, with the answer that its Allocate got, and is on disk before the container starts.

Facts: ``pkg/kubelet/cm/devicemanager/checkpoint`` of Kubernetes; the form is the same since 1.20. It is a private file
of kubelet, so what cannot be read counts as not there; pods with such init containers then wait.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterator
from pathlib import Path

import attrs
import msgspec
from google.protobuf.message import DecodeError

from hami_core.node.api.v1beta1.deviceplugin_pb2 import ContainerAllocateResponse
from hami_core.node.ids import CDI_KIND

CHECKPOINT = "kubelet_internal_checkpoint"

_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Entry:
    """A container and the ids of one resource that it was given; `cdi_device` is the name that Allocate promised."""

    uid: str
    container: str
    resource: str
    ids: frozenset[str]
    cdi_device: str | None = None


class _Entry(msgspec.Struct, kw_only=True, rename={"uid": "PodUID", "container": "ContainerName"}):
    uid: str
    container: str
    resource: str = msgspec.field(name="ResourceName")
    by_numa: dict[str, list[str]] | None = msgspec.field(name="DeviceIDs", default=None)
    answer: str | None = msgspec.field(name="AllocResp", default=None)


class _Data(msgspec.Struct, kw_only=True):
    entries: list[_Entry] | None = msgspec.field(name="PodDeviceEntries", default=None)


class _Checkpoint(msgspec.Struct, kw_only=True):
    data: _Data = msgspec.field(name="Data")


def read_entries(plugins: Path) -> tuple[Entry, ...]:
    """Every entry of the checkpoint in kubelet's folder of plugins; none where it cannot be read, which is logged."""
    file = plugins / CHECKPOINT
    try:
        data = msgspec.json.decode(file.read_bytes(), type=_Checkpoint).data
    except FileNotFoundError:
        return ()  # kubelet has given nothing out yet
    except (OSError, msgspec.DecodeError) as err:
        _log.warning("%s: not read, so pods with init containers wait: %s", file, err)
        return ()
    return tuple(_entries(data))


def _entries(data: _Data) -> Iterator[Entry]:
    for entry in data.entries or ():
        yield Entry(
            uid=entry.uid,
            container=entry.container,
            resource=entry.resource,
            ids=frozenset(number for numbers in (entry.by_numa or {}).values() for number in numbers),
            cdi_device=_promised(entry.answer),
        )


def _promised(answer: str | None) -> str | None:
    try:
        response = ContainerAllocateResponse.FromString(base64.b64decode(answer or "", validate=True))
    except (binascii.Error, DecodeError):
        return None
    for device in response.cdi_devices:
        kind, _, name = device.name.partition("=")
        if kind == CDI_KIND:
            return name
    return None
