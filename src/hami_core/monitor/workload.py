"""What is watched: a lease or a container, by the two files that it shares with this host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs

from hami_core.behaviour import MadeInstance
from hami_core.errors import HamiError
from hami_core.isolation.limits import MOST_BYTES, DeviceLimits, LimitsFile, parse_limits
from hami_core.isolation.region import RegionDevice, RegionView, read_region
from hami_core.isolation.untrusted import read_untrusted

LIMITS = "limits"
REGION = "region"


@attrs.frozen(kw_only=True)
class Owner:
    """Whose the shares are, in the words of the metrics' labels."""

    node: str
    namespace: str
    pod: str
    container: str


@attrs.frozen(kw_only=True)
class Share:
    """A workload's part of one device: its limits, and what the region says of it.

    `position` is the device's number inside; `in_region` its number in the region, None before the first use.
    """

    position: int
    limits: DeviceLimits
    device: RegionDevice | None = None
    in_region: int | None = None


@attrs.frozen(kw_only=True)
class Workload:
    """A lease or a container with what its files say. `problems` tells which of them cannot be used, and why.

    `region` is None before the first process uses a device. `pod_uid` is None outside Kubernetes. `library` is whether
    the isolation library is meant to be in it: a container that holds whole devices, or hardware partitions (those in
    `partitions`), may do without, and has no limits file then.
    """

    key: str
    owner: Owner
    folder: Path
    limits: LimitsFile | None = None
    region: RegionView | None = None
    problems: tuple[str, ...] = ()
    pod_uid: str | None = None
    library: bool = True
    partitions: tuple[MadeInstance, ...] = ()

    @property
    def limits_path(self) -> Path:
        """The limits file, there or not."""
        return self.folder / LIMITS

    @property
    def region_path(self) -> Path:
        """The region, there or not."""
        return self.folder / REGION

    def shares(self) -> tuple[Share, ...]:
        """Its parts of devices, in the order in which it sees them. The limits name them: a region is hearsay."""
        found = {} if self.region is None else {d.uuid: i for i, d in reversed([*enumerate(self.region.devices)])}
        made = []
        for position, device in enumerate(() if self.limits is None else self.limits.devices):
            place = found.get(device.uuid)
            at = None if self.region is None or place is None else self.region.devices[place]
            made.append(Share(position=position, limits=device, device=at, in_region=place))
        return tuple(made)


class Source(Protocol):
    """Where workloads come from."""

    def look(self) -> Sequence[Workload]:
        """Those that are there now, in an order that does not change by itself."""
        ...


def read_workload(key: str, owner: Owner, folder: Path, *, limited: bool = True) -> Workload:
    """Read the files of a workload. What cannot be read becomes a problem of it, never an error.

    Args:
        key: tells it from others.
        owner: whose it is.
        folder: where its files are.
        limited: whether there must be a limits file.
    """
    problems: list[str] = []
    limits: LimitsFile | None = None
    region: RegionView | None = None
    try:
        content = read_untrusted(folder / LIMITS, most_bytes=MOST_BYTES, what="limits file")
        if content is None and limited:
            problems.append(f"{folder / LIMITS}: is missing")
        if content is not None:
            limits = parse_limits(content.decode(), file=str(folder / LIMITS))
    except (HamiError, OSError, UnicodeDecodeError) as err:
        problems.append(_told(err, folder / LIMITS))
    try:
        region = read_region(folder / REGION)
    except (HamiError, OSError) as err:
        problems.append(_told(err, folder / REGION))
    return Workload(key=key, owner=owner, folder=folder, limits=limits, region=region, problems=tuple(problems))


def _told(error: Exception, file: Path) -> str:
    return str(error) if isinstance(error, HamiError) else f"{file}: {error}"
