"""HAMi's ``config.json``: what differs on single nodes, as ``{"nodeconfig": [{"name": "n1", ...}]}``.

Key names and meaning: wire contract section 5.3. What an entry leaves out, or gives as null, is as everywhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from hami_core.errors import BadConfig
from hami_core.wire.device_config import ConfigSections, Count, Name, Positive

_SECTION = "nodeconfig"
_EMPTY = ("", "{}", "null")

Scale = Annotated[float, msgspec.Meta(gt=0)]


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cards that are not given out: by UUID, or by the driver's number."""

    uuid: tuple[str, ...] | None = None
    index: tuple[Count, ...] | None = None


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: name.replace("_", ""),
                forbid_unknown_fields=True):  # fmt: skip
    """One node's settings; None where it has none of its own. Memory is MiB."""

    name: Name
    operating_mode: Literal["hami-core", "mig"] | None = None
    device_memory_scaling: Scale | None = None
    device_core_scaling: Scale | None = None
    device_split_count: Positive | None = None
    pre_configured_device_memory: Count | None = None
    lib_cuda_log_level: Annotated[int, msgspec.Meta(ge=0, le=4)] | None = None
    enable_numa_topology: bool | None = None
    mig_strategy: str | None = None  # HAMi ignores it too
    filter_devices: Filter | None = None
    enable_get_preferred_allocation: bool | None = None  # ours is always served, and ids only count


def parse_node_config(text: str, node: str, *, file: str = "config.json") -> NodeEntry:
    """The entry of a node; one that says nothing where the file has none for it.

    Raises:
        BadConfig: not a list of entries under ``nodeconfig``, an unknown key, a wrong value, or
            a node named twice; says the line.
    """
    if text.strip() in _EMPTY:
        return NodeEntry(name=node)
    config = ConfigSections.parse(text, file=file)
    unknown = sorted(config.sections.keys() - {_SECTION})
    if unknown:
        raise config.bad((unknown[0],), f"is not a setting; known: {_SECTION}")
    found = NodeEntry(name=node)
    seen: set[str] = set()
    for index, entry in enumerate(config.entries(_SECTION, NodeEntry) or ()):
        if entry.name in seen:
            raise config.bad((_SECTION, index, "name"), f"node {entry.name} has an entry before this one already")
        seen.add(entry.name)
        found = entry if entry.name == node else found
    return found


def load_node_config(path: Path, node: str) -> NodeEntry:
    """The entry of a node in a file.

    Raises:
        BadConfig: as `parse_node_config`, or the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "is not UTF-8 text"
        raise BadConfig(file=str(path), problem=f"cannot be read: {reason}") from err
    return parse_node_config(text, node, file=str(path))
