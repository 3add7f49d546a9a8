"""What drivers report by themselves, read from a child process for each vendor that can tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from hami_core.behaviour import DeviceEvent
from hami_core.errors import ProbeFailed
from hami_core.node.child import child
from hami_core.probing import importable_name

if TYPE_CHECKING:
    from hami_core.behaviour import Watch
    from hami_core.registry import Registry

_AGAIN_S = 30.0
_log = logging.getLogger(__name__)


def watch_of(registry: Registry, vendor: str) -> str | None:
    """``module:name`` of a vendor's watch; None where it has none, or its plugin fails, which is logged."""
    source = registry.vendors[vendor]
    for plugin in registry.manager.plugins:
        if plugin.source != source or plugin.module is None:
            continue
        try:
            found: Watch | None = registry.manager.ask(plugin, "hami_watch", vendor=vendor)
            return None if found is None else importable_name(found, what=f"watch of {vendor}")
        except ProbeFailed as err:
            _log.warning("%s", err)
        except Exception:  # noqa: BLE001 - a fault in one plugin must not stop the others' devices
            _log.exception("watch of %s: its plugin fails", vendor)
    return None


async def watch(
    registry: Registry,
    vendor: str,
    see: Callable[[DeviceEvent], None],
    *,
    environ: Mapping[str, str] | None = None,
    again_s: float = _AGAIN_S,
) -> None:
    """Tell `see` of a vendor's events until cancelled; a child that ends is started again after `again_s`."""
    target = watch_of(registry, vendor)
    while target is not None:
        async with child("hami_core.node.watch_child", target, environ) as (_process, lines):
            async for line in lines:
                try:
                    see(msgspec.json.decode(line, type=DeviceEvent))
                except msgspec.DecodeError as err:
                    _log.warning("watch of %s: not an event: %s", vendor, err)
        await asyncio.sleep(again_s)
