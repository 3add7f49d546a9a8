"""Events of a driver that writes them into a pipe, a line a card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hami_core import hookimpl
from hami_core.behaviour import DeviceEvent, Watch

EVENTS = Path("/run/acme/events")


def watch(report: Callable[[DeviceEvent], None]) -> None:
    """Report until the driver closes its pipe."""
    with EVENTS.open(encoding="utf-8") as lines:
        for line in lines:
            uuid, _, problem = line.strip().partition(" ")
            report(DeviceEvent(uuid=uuid, note=problem))


@hookimpl
def hami_watch(vendor: str) -> Watch | None:
    """Only where the driver has the pipe."""
    return watch if vendor == "acme" and EVENTS.exists() else None
