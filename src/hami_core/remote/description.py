"""What a plugin in a process of its own is: its name, the version of the contract, its abilities, its tables.

The same message comes from the plugin's socket and from a file, so that a scheduler, which has no sockets, counts cards
as the node does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import msgspec
from google.protobuf import json_format

from hami_core.errors import PluginFault, shown
from hami_core.family import Family
from hami_core.remote.places import Place
from hami_core.remote.plugin.v1.plugin_pb2 import (
    CAPABILITY_ALLOCATE,
    CAPABILITY_PROBE,
    CAPABILITY_WATCH,
    ApiVersion,
    Description,
)

API = (1, 0)
"""The version of `proto/hami/plugin/v1` that is spoken here."""

_MOST_BYTES = 1024 * 1024  # of a table; a family takes one thousandth
_MOST_FAMILIES = 64


@attrs.frozen(kw_only=True)
class Described:
    """A description that was checked. `version` is the plugin's own, for people."""

    name: str
    version: str
    families: tuple[Family, ...]
    can_probe: bool
    can_allocate: bool
    can_watch: bool


def api_version() -> ApiVersion:
    """The version spoken here, as a message."""
    return ApiVersion(major=API[0], minor=API[1])


def described(message: Description, place: Place, *, where: str) -> Described:
    """Check a description.

    Raises:
        PluginFault: another version of the contract, another plugin's, or a family that is none; `where` it came from.
    """
    _check_version(message.api, place, where)
    if message.name != place.name:
        problem = f"{where}: calls itself {shown(message.name)}; it must be named as its file is"
        raise PluginFault(plugin=place.name, problem=problem)
    if len(message.families) > _MOST_FAMILIES:
        problem = f"{where}: has {len(message.families)} families; {_MOST_FAMILIES} are the most"
        raise PluginFault(plugin=place.name, problem=problem)
    families = tuple(_family(item, index, place, where) for index, item in enumerate(message.families))
    _check_distinct([family.name for family in families], place, where)
    return Described(
        name=place.name,
        version=message.version,
        families=families,
        can_probe=CAPABILITY_PROBE in message.capabilities,
        can_allocate=CAPABILITY_ALLOCATE in message.capabilities,
        can_watch=CAPABILITY_WATCH in message.capabilities,
    )


def read_table(place: Place, table: Path) -> Described:
    """The description in a file.

    Raises:
        PluginFault: it cannot be read, or is not a description.
    """
    try:
        with table.open("rb") as file:
            body = file.read(_MOST_BYTES + 1)
    except OSError as err:
        raise PluginFault(plugin=place.name, problem=f"{table}: cannot be read: {err.strerror}") from err
    if len(body) > _MOST_BYTES:
        raise PluginFault(plugin=place.name, problem=f"{table}: is more than {_MOST_BYTES} bytes")
    try:
        message = json_format.Parse(body, Description())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        problem = (
            f"{table}: is not a description: {str(err).rstrip('.')}; write it with: hami plugins --table {place.name}"
        )
        raise PluginFault(plugin=place.name, problem=problem) from err
    return described(message, place, where=str(table))


def table_text(message: Description) -> str:
    """The file of a description."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=2) + "\n"


def _check_version(api: ApiVersion, place: Place, where: str) -> None:
    if (api.major, api.minor) == (0, 0):
        problem = f"{where}: names no API version; set api to {API[0]}.{API[1]}"
    elif api.major != API[0]:
        problem = f"{where}: speaks plugin API {api.major}.{api.minor}, and this is {API[0]}.{API[1]}"
        problem += "; install a version of the plugin, or of HAMi, that fits"
    elif api.minor > API[1]:
        problem = f"{where}: needs plugin API {api.major}.{api.minor}, and this is {API[0]}.{API[1]}; upgrade HAMi"
    else:
        return
    raise PluginFault(plugin=place.name, problem=problem)


def _family(message: Any, index: int, place: Place, where: str) -> Family:
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    given = {"resources": {}, "wire": {}, **fields, "vendor": place.name}
    try:
        return msgspec.convert(given, Family)
    except msgspec.ValidationError as err:
        named = f" ({message.name})" if message.name else ""
        problem = f"{where}: families[{index}]{named}: {err}"
        raise PluginFault(plugin=place.name, problem=problem) from err


def _check_distinct(names: Iterable[str], place: Place, where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PluginFault(plugin=place.name, problem=f"{where}: has the family {shown(name)} twice")
        seen.add(name)
