"""How the cards of this node are shared: the node's own settings before the flags, and these before the families'."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from hami_core.errors import BadConfig
from hami_core.family import Sharing
from hami_core.wire.node_config import NodeEntry, load_node_config

if TYPE_CHECKING:
    from hami_core.behaviour import ProbedDevice
    from hami_core.family import Family
    from hami_core.node.settings import NodeSettings

T = TypeVar("T")

_DEFAULT_POLICY = "default"
_log = logging.getLogger(__name__)


class NodeSharing:
    """What holds on this node now.

    Args:
        settings: the flags.

    Raises:
        BadConfig: the file of settings of nodes is there and cannot be used.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._stamp: tuple[int, int, int] | None = None
        self.entry = NodeEntry(name=settings.node)
        self._read()

    def follow(self) -> bool:
        """Read the file again where it changed; whether anything is different now. A bad one leaves what was known."""
        before = self.entry
        try:
            self._read()
        except BadConfig as err:
            _log.error("%s; what was known of this node stays", err)
        return self.entry != before

    def of(self, family: Family) -> Sharing:
        """How the cards of a family are shared."""
        flags, base = self._settings, family.sharing or Sharing()
        # Other vendors' plugins of HAMi have files of their own; this one is of those that share the same keys.
        entry = self.entry if family.sharing is not None else NodeEntry(name=flags.node)
        return Sharing(
            split_count=_first(entry.device_split_count, flags.split_count, base.split_count),
            memory_scaling=_first(entry.device_memory_scaling, flags.memory_scaling, base.memory_scaling),
            core_scaling=_first(entry.device_core_scaling, flags.core_scaling, base.core_scaling),
            memory_mib=_first(entry.pre_configured_device_memory, None, base.memory_mib),
            numa=_first(entry.enable_numa_topology, flags.numa or None, base.numa),
            core_policy=flags.core_policy if flags.core_policy != _DEFAULT_POLICY else base.core_policy,
            log_level=_first(entry.lib_cuda_log_level, None, base.log_level),
        )

    def left_out(self, probed: ProbedDevice, family: Family) -> bool:
        """Whether the node's settings keep a card from being given out."""
        found = self.entry.filter_devices
        if found is None or family.sharing is None:
            return False
        return probed.uuid in (found.uuid or ()) or probed.index in (found.index or ())

    def _read(self) -> None:
        file = self._settings.node_config
        if file is None:
            return
        try:
            seen = file.stat()
        except OSError as err:
            raise BadConfig(file=str(file), problem=f"cannot be read: {err.strerror}") from err
        stamp = seen.st_ino, seen.st_size, seen.st_mtime_ns
        if stamp == self._stamp:
            return
        # A file that is bad is complained of once, not at every look.
        self._stamp = stamp
        self.entry = load_node_config(file, self._settings.node)
        told = {name: value for name, value in _said(self.entry).items() if value is not None}
        _log.info("%s says of this node: %s", file, told or "nothing")


def _said(entry: NodeEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "name"}


def _first(first: T | None, second: T | None, last: T) -> T:
    return first if first is not None else second if second is not None else last
