"""Reading untrusted JSON field by field, so that every refusal names the entry and the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from hami_core.errors import BadWire, shown
from hami_core.model import PartitionPlacement
from hami_core.units import INT32_MAX

# Go's strconv.ParseBool, which HAMi's readers use.
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def parse_bool(text: str) -> bool | None:
    """Read a boolean as HAMi's readers do, or None where it is not one."""
    return _BOOLS.get(text)


def json_list(text: str, what: str) -> list[Any]:
    """Parse a JSON array; ``null`` is an empty one, as in Go.

    Raises:
        BadWire: not JSON, or not an array.
    """
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as err:
        raise BadWire(what=what, problem=f"is not JSON: {err}") from err
    if data is None:
        return []
    if not isinstance(data, list):
        raise BadWire(what=what, problem=f"must be a JSON array; got {shown(data)}")
    return data


@attrs.frozen
class Fields:
    """The fields of one JSON object, read with types and bounds. Key case does not matter, as in Go."""

    raw: Mapping[str, Any]
    what: str
    at: str

    @classmethod
    def of(cls, entry: object, what: str, at: str) -> Fields:
        """Wrap `entry`.

        Raises:
            BadWire: not a JSON object.
        """
        if not isinstance(entry, Mapping):
            raise BadWire(what=what, position=at, problem=f"must be a JSON object; got {shown(entry)}")
        return cls({str(key).lower(): value for key, value in entry.items()}, what, at)

    def whole(self, name: str, low: int = 0) -> int:
        """A whole number from `low` to the int32 bound; 0 when absent."""
        value = self.raw.get(name.lower())
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= INT32_MAX:
            raise bad_field(self.what, self.at, name, f"must be a whole number, {low} to {INT32_MAX}", value)
        return value

    def positive(self, name: str) -> int:
        """A whole number, 1 or more; it must be there."""
        value = self.whole(name)
        if value == 0:
            raise bad_field(self.what, self.at, name, "must be 1 or more", value)
        return value

    def text(self, name: str, *, needed: bool = False) -> str:
        """A string; empty when absent."""
        value = self.raw.get(name.lower())
        if value is None:
            value = ""
        if not isinstance(value, str) or (needed and not value):
            raise bad_field(self.what, self.at, name, "must be a string" + (", not empty" if needed else ""), value)
        return value

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.raw.get(name.lower()) is not None

    def flag(self, name: str) -> bool:
        """A boolean; false when absent."""
        value = self.raw.get(name.lower())
        if value is None:
            return False
        if not isinstance(value, bool):
            raise bad_field(self.what, self.at, name, "must be true or false", value)
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object; empty when absent."""
        value = self.raw.get(name.lower())
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise bad_field(self.what, self.at, name, "must be a JSON object", value)
        return value

    def inner(self, name: str) -> Fields:
        """The fields of an object inside; none when absent."""
        return Fields.of(self.mapping(name), self.what, f"{self.at}, {name}")

    def entries(self, name: str) -> list[Fields]:
        """An array of objects; empty when absent."""
        value = self.raw.get(name.lower())
        if value is None:
            return []
        if not isinstance(value, list):
            raise bad_field(self.what, self.at, name, "must be a JSON array", value)
        return [Fields.of(entry, self.what, f"{self.at}, {name}[{i}]") for i, entry in enumerate(value)]


def json_placement(fields: Fields) -> PartitionPlacement:
    """Read ``{"start":0,"size":2}``."""
    return PartitionPlacement(start=fields.whole("start"), size=fields.positive("size"))


def bad_field(what: str, at: str, name: str, wanted: str, found: object) -> BadWire:
    """A refusal of one field."""
    return BadWire(what=what, position=f"{at}, field {name}", problem=f"{wanted}; got {shown(found)}")
