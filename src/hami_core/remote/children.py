"""Probe and watch of plugins in processes of their own, as child processes find them: by module and name.

A plugin's name is an attribute of `probes` and `watches`, so that ``hami_core.remote.probes:borealis`` is a function
that a fresh interpreter can import; which socket that is, the environment says.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hami_core.behaviour import DeviceEvent, ProbeReport

PROBES = "hami_core.remote.probes"
WATCHES = "hami_core.remote.watches"


class RemoteProbe:
    """The probe of the plugin `name`, under the name by which a child process finds it."""

    def __init__(self, name: str) -> None:
        self.__module__ = PROBES
        self.__qualname__ = name

    def __call__(self) -> ProbeReport:
        """Probe from this process. Raises PluginFault, RemoteFailed."""
        return probe(self.__qualname__)


class RemoteWatch:
    """The watch of the plugin `name`, under the name by which a child process finds it."""

    def __init__(self, name: str) -> None:
        self.__module__ = WATCHES
        self.__qualname__ = name

    def __call__(self, report: Callable[[DeviceEvent], None]) -> None:
        """Watch from this process. Raises PluginFault, RemoteFailed."""
        watch(self.__qualname__, report)


def probe(name: str) -> ProbeReport:
    """The cards that a plugin's process reports.

    Raises:
        PluginFault, RemoteFailed: it cannot be asked, or its answer is none.
    """
    from hami_core.remote.answers import report_of  # noqa: PLC0415 - gRPC takes a while to load, and few need it
    from hami_core.remote.places import place_of  # noqa: PLC0415
    from hami_core.remote.session import session  # noqa: PLC0415

    place = place_of(name, os.environ)
    with session(place) as plugin:
        return report_of(plugin.probe(), place)


def watch(name: str, report: Callable[[DeviceEvent], None]) -> None:
    """Pass on what a plugin's process tells of its cards, until it ends.

    Raises:
        PluginFault, RemoteFailed: as `probe`.
    """
    from hami_core.remote.answers import event_of  # noqa: PLC0415 - as above
    from hami_core.remote.places import place_of  # noqa: PLC0415
    from hami_core.remote.session import session  # noqa: PLC0415

    place = place_of(name, os.environ)
    with session(place) as plugin:
        for message in plugin.watch():
            report(event_of(message, place))
