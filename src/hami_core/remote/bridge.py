"""The plugin object that stands for a vendor's agent: hooks of the core on this side, calls to the socket on the other.

Loading it touches no socket where a file has its tables. Without one its agent is asked, once and on time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs

from hami_core.behaviour import AllocationContext, Allocator, ContainerEdits, Probe, Watch
from hami_core.errors import HamiError, PluginFault
from hami_core.family import Family
from hami_core.hookspecs import hookimpl
from hami_core.remote import children
from hami_core.remote.answers import edits_of
from hami_core.remote.description import Described, read_table, table_text
from hami_core.remote.places import Place, check_name, place_of
from hami_core.remote.plugin.v1.plugin_pb2 import AllocateRequest, Files, Share
from hami_core.remote.session import session
from hami_core.wire.device_config import ConfigSections

_AT_ONCE = 8  # sockets that are greeted at the same time: one that hangs delays none of the others


@attrs.frozen(kw_only=True)
class Found:
    """A plugin in a process of its own: its `plugin` object, or why there is none."""

    place: Place
    plugin: RemotePlugin | None = None
    problem: str = ""


class RemotePlugin:
    """A vendor's agent as a plugin.

    Args:
        place: where its agent listens.
        known: its tables.
    """

    def __init__(self, place: Place, known: Described) -> None:
        self.__name__ = place.name
        self.place = place
        self.described = known

    @hookimpl
    def hami_families(self, config: ConfigSections) -> Iterable[Family]:  # noqa: ARG002 - its tables are its own
        """The families of its tables."""
        return self.described.families

    @hookimpl
    def hami_probe(self, vendor: str) -> Probe | None:
        """The call, as a child process makes it."""
        able = self.described.can_probe and vendor == self.place.name
        return children.RemoteProbe(vendor) if able else None

    @hookimpl
    def hami_watch(self, vendor: str) -> Watch | None:
        """The stream, as a child process reads it."""
        able = self.described.can_watch and vendor == self.place.name
        return children.RemoteWatch(vendor) if able else None

    @hookimpl
    def hami_allocate(self, family: Family) -> Allocator | None:
        """The call, from this process."""
        return RemoteAllocator(place=self.place, family=family.name) if self.described.can_allocate else None

    def state(self) -> str:
        """How its agent is right now, for people. Takes as long as the handshake may."""
        try:
            with session(self.place) as plugin:
                if plugin.described == self.described:
                    return "answers"
                if plugin.described.families == self.described.families:
                    return f"answers, as version {plugin.described.version}"
                return f"answers with other tables than {self.place}; write the file again"
        except HamiError as err:
            return str(err)


@attrs.frozen(kw_only=True)
class RemoteAllocator:
    """Asks the vendor's agent what a container needs."""

    place: Place
    family: str

    def __call__(self, context: AllocationContext) -> ContainerEdits:
        """The agent's edits.

        Raises:
            PluginFault: its socket cannot be trusted, or it speaks another version by now.
            RemoteFailed: it does not answer on time, or with something that is no edit.
        """
        request = AllocateRequest(
            family=self.family,
            shares=[
                Share(
                    uuid=share.uuid,
                    index=context.devices[share.uuid].index,
                    model=context.devices[share.uuid].model,
                    memory_mib=share.memory_mib,
                    core_units=share.core_units,
                )
                for share in context.shares
            ],
            limits_file=str(context.limits_file),
            region_file=str(context.region_file),
            priority=context.priority,
            core_policy=context.core_policy,
            oversubscribe=context.oversubscribe,
            files=context.files,
            others=[Files(files=files) for files in context.others],
        )
        with session(self.place) as plugin:
            return edits_of(plugin.allocate(request), self.place)


def remote_plugins(wanted: Sequence[Place]) -> Sequence[Found]:
    """The plugins at these places, in their order."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return tuple(pool.map(remote_plugin, wanted))


def remote_plugin(place: Place) -> Found:
    """The plugin at a place."""
    try:
        check_name(place)
        if place.table is not None:
            return Found(place=place, plugin=RemotePlugin(place, read_table(place, place.table)))
        return Found(place=place, plugin=live_plugin(place))
    except HamiError as err:
        return Found(place=place, problem=err.problem if isinstance(err, PluginFault) else str(err))


def live_plugin(place: Place) -> RemotePlugin:
    """The plugin whose agent listens at a place, by its own tables.

    Raises:
        PluginFault, RemoteFailed: it cannot be asked.
    """
    with session(place) as plugin:
        return RemotePlugin(place, plugin.described)


def table_of(name: str, environ: Mapping[str, str]) -> str:
    """The file with a plugin's tables, for schedulers, as its agent says them.

    Raises:
        PluginFault, RemoteFailed: it cannot be asked.
    """
    with session(place_of(name, environ)) as plugin:
        return table_text(plugin.message)
