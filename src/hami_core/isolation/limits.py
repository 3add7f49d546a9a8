"""The limits file: what a container may use, written by its host, read by the isolation library inside.

The grammar is documented where it is read, in ``native/core/limits.h``. The library looks at the file again within
50 ms of a change, so writing a new one raises or lowers limits under running programs.
"""

from __future__ import annotations

import os
import secrets
from enum import StrEnum
from pathlib import Path

import attrs

from hami_core.behaviour import AllocationContext
from hami_core.errors import BadConfig
from hami_core.model import Device, DeviceShare
from hami_core.values import text, whole

_FULL_PERCENT = 100

CORES_ELSEWHERE = "cores=elsewhere"
"""A word of a device's line: who changes limits leaves its cores alone."""

MOST_BYTES = 65536
"""Of a limits file: HAMI_LIMITS_MAX_FILE_BYTES of the C core."""

_MOST_DEVICES = 256  # HAMI_LIMITS_MAX_DEVICES
_UUID_SIZE = 96  # HAMI_UUID_SIZE, its terminating zero included
_PATH_SIZE = 4096
_READ_ONLY = 0o444


class CorePolicy(StrEnum):
    """When a container is held to its share of core time."""

    DEFAULT = "default"  # while others work on the device
    FORCE = "force"  # always
    DISABLE = "disable"  # never


def _one_word(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    text(instance, attribute, value)
    if not value.isprintable() or any(c.isspace() or c == "=" for c in value) or len(value.encode()) >= _UUID_SIZE:
        name = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(f"{name} must be one word without '=', under {_UUID_SIZE} bytes; got {value!r}")


def _one_line(instance: object, attribute: attrs.Attribute[Path | None], value: Path | None) -> None:
    if value is None:
        return
    written = str(value)
    if not written.isprintable() or written != written.strip() or len(os.fsencode(value)) >= _PATH_SIZE:
        name = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(f"{name} must be a path without line breaks or outer blanks; got {written!r}")


@attrs.frozen(kw_only=True)
class DeviceLimits:
    """Limits on one device. `None` means no limit, or nothing to say.

    `contended` tells whether others work on the device; without it the library finds out by itself. `yields` makes
    launches wait, each for a second at most, for a container of higher priority. `cores_elsewhere` says that the driver
    or the firmware holds to the share of compute time; then the file sets no percent, and no later change does.
    """

    uuid: str = attrs.field(validator=_one_word)
    memory_mib: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)))
    core_percent: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1, _FULL_PERCENT)))
    contended: bool | None = None
    yields: bool = False
    cores_elsewhere: bool = False

    def __attrs_post_init__(self) -> None:
        """Two that hold to a share give a share of the share."""
        if self.cores_elsewhere and self.core_percent is not None:
            raise ValueError(
                f"{self.uuid}: core_percent must not be set where something else holds the cores; "
                f"got {self.core_percent}"
            )


def _few_and_different(
    instance: object, attribute: attrs.Attribute[tuple[DeviceLimits, ...]], value: tuple[DeviceLimits, ...]
) -> None:
    name = f"{type(instance).__name__}.{attribute.name}"
    if not 0 < len(value) <= _MOST_DEVICES:
        raise ValueError(f"{name} must be 1 to {_MOST_DEVICES} devices; got {len(value)}")
    uuids = [device.uuid for device in value]
    repeated = sorted({uuid for uuid in uuids if uuids.count(uuid) > 1})
    if repeated:
        raise ValueError(f"{name} must name each device once; got {repeated[0]!r} twice")


@attrs.frozen(kw_only=True)
class LimitsFile:
    """A whole limits file: devices in the order in which the container sees them.

    Without `region` the processes of the container are limited each by itself.
    """

    devices: tuple[DeviceLimits, ...] = attrs.field(validator=_few_and_different)
    region: Path | None = attrs.field(default=None, validator=_one_line)
    core_policy: CorePolicy = CorePolicy.DEFAULT
    priority: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0, 1)))
    oversubscribe: bool = False

    def render(self) -> str:
        """The file's text."""
        lines = ["hami-limits 1"]
        if self.region is not None:
            lines.append(f"region {self.region}")
        lines.append(f"core-policy {self.core_policy}")
        if self.priority is not None:
            lines.append(f"priority {self.priority}")
        lines.append(f"oversubscribe {_word(self.oversubscribe)}")
        lines.extend(_device_line(device) for device in self.devices)
        return "".join(f"{line}\n" for line in lines)

    def write(self, path: Path) -> None:
        """Write the file so that it appears complete or not at all, read-only for everyone.

        Raises:
            OSError: the folder cannot be written; an earlier file is then unchanged.
        """
        write_limits(path, self.render())


def write_limits(path: Path, content: str) -> None:
    """Write the text of a limits file so that it appears complete or not at all, read-only for everyone.

    Raises:
        OSError: the folder cannot be written; an earlier file is then unchanged.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _READ_ONLY)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            os.fchmod(file.fileno(), _READ_ONLY)  # whatever the umask is
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def limits_of(context: AllocationContext, *, cores_elsewhere: bool = False) -> LimitsFile:
    """The limits of a container that holds the shares of `context`.

    A share without memory or cores has no limit on them; core units become percent of the card, unless something else
    holds the container to them.
    """
    devices = [limits_of_share(share, context.devices.get(share.uuid)) for share in context.shares]
    if cores_elsewhere:
        devices = [attrs.evolve(device, core_percent=None, cores_elsewhere=True) for device in devices]
    return LimitsFile(
        devices=tuple(devices),
        region=context.region_file,
        core_policy=CorePolicy(context.core_policy),
        priority=context.priority,
        oversubscribe=context.oversubscribe,
    )


def render_limits(context: AllocationContext) -> str:
    """The text of the limits file of a container that holds the shares of `context`."""
    return limits_of(context).render()


def parse_limits(content: str, *, file: str = "limits") -> LimitsFile:
    """Read a limits file back. Unknown words are ignored, as the isolation library does.

    Unlike the library, which must go on with something, this refuses what it cannot read.

    Raises:
        BadConfig: says the line and what is wrong with it; `file` names the source.
    """
    head, *lines = content.split("\n")
    if head.split()[:1] != ["hami-limits"]:
        raise BadConfig(file=file, problem='must begin with "hami-limits 1"', place="line 1")
    fields: dict[str, object] = {}
    devices: list[DeviceLimits] = []
    for number, line in enumerate(lines, start=2):
        key, _, rest = line.strip().partition(" ")
        try:
            if key == "device":
                devices.append(_parse_device(rest.split()))
            else:
                fields.update(_parse_field(key, rest.strip()))
        except ValueError as err:
            raise BadConfig(file=file, problem=str(err), place=f"line {number}") from err
    try:
        return LimitsFile(devices=tuple(devices), **fields)  # type: ignore[arg-type]  # _parse_field's names and types
    except ValueError as err:
        raise BadConfig(file=file, problem=str(err)) from err


def limits_of_share(share: DeviceShare, device: Device | None) -> DeviceLimits:
    """The limits that one share sets; without its `device` core units are taken for percent."""
    whole_card = device.core_units if device is not None and device.core_units > 0 else _FULL_PERCENT
    percent = min(_FULL_PERCENT, -(-share.core_units * _FULL_PERCENT // whole_card))
    return DeviceLimits(uuid=share.uuid, memory_mib=share.memory_mib or None, core_percent=percent or None)


def _device_line(device: DeviceLimits) -> str:
    words = ["device", device.uuid]
    if device.memory_mib is not None:
        words.append(f"memory_mib={device.memory_mib}")
    words.append(f"core_percent={device.core_percent or 0}")
    if device.contended is not None:
        words.append(f"contended={_word(device.contended)}")
    if device.yields:
        words.append("yield=yes")
    if device.cores_elsewhere:
        words.append(CORES_ELSEWHERE)
    return " ".join(words)


def _word(value: bool) -> str:  # noqa: FBT001 - one argument, and its meaning is the function's
    return "yes" if value else "no"


def _flag(word: str) -> bool:
    if word not in {"yes", "no"}:
        raise ValueError(f'must be "yes" or "no"; got {word!r}')
    return word == "yes"


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ValueError(f"must be a whole number; got {word!r}")
    return int(word)


def _parse_device(words: list[str]) -> DeviceLimits:
    if not words:
        raise ValueError("must name a device")
    values = dict(word.partition("=")[::2] for word in words[1:])
    return DeviceLimits(
        uuid=words[0],
        memory_mib=_number(values["memory_mib"]) if "memory_mib" in values else None,
        core_percent=(_number(values["core_percent"]) or None) if "core_percent" in values else None,
        contended=_flag(values["contended"]) if "contended" in values else None,
        yields=_flag(values["yield"]) if "yield" in values else False,
        cores_elsewhere=CORES_ELSEWHERE in words,
    )


def _parse_field(key: str, rest: str) -> dict[str, object]:
    match key:
        case "region":
            return {"region": Path(rest)}
        case "core-policy":
            return {"core_policy": CorePolicy(rest)}
        case "priority":
            return {"priority": _number(rest)}
        case "oversubscribe":
            return {"oversubscribe": _flag(rest)}
        case _:
            return {}
