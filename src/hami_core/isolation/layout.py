"""The shared region's layout as ``region.toml`` describes it: the same description that the C core is compiled from."""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import attrs

_SCALARS = {"u32": "=I", "u64": "=Q", "i64": "=q"}


@attrs.frozen(kw_only=True)
class Record:
    """One kind of record: its size and its fields."""

    size: int
    fields: Mapping[str, Mapping[str, Any]]

    def read(self, data: bytes, offset: int, name: str) -> int:
        """A number of the record that starts at `offset`.

        Raises:
            struct.error: the record lies outside `data`.
        """
        field = self.fields[name]
        (value,) = struct.unpack_from(_SCALARS[field["type"]], data, offset + field["offset"])
        return int(value)

    def read_bytes(self, data: bytes, offset: int, name: str) -> bytes:
        """A byte string of the record that starts at `offset`; short where `data` ends."""
        field = self.fields[name]
        start = offset + field["offset"]
        return data[start : start + field["length"]]

    def read_text(self, data: bytes, offset: int, name: str) -> str:
        """A text, up to its zero byte. What cannot be printed becomes "?": anyone in the container can write here."""
        raw = self.read_bytes(data, offset, name).split(b"\0", 1)[0].decode("utf-8", errors="replace")
        return "".join(c if c.isprintable() else "?" for c in raw)


@attrs.frozen(kw_only=True)
class Layout:
    """The whole description."""

    constants: Mapping[str, int]
    classes: tuple[str, ...]
    records: Mapping[str, Record]


@cache
def layout() -> Layout:
    """The layout this version was built with."""
    described = tomllib.loads(resources.files("hami_core.isolation").joinpath("region.toml").read_text("utf-8"))
    constants = dict(described["constants"])
    classes = tuple(constants.pop("classes"))
    records = {
        record["name"]: Record(size=record["bytes"], fields={field["name"]: field for field in record["fields"]})
        for record in described["record"]
    }
    return Layout(constants=constants, classes=classes, records=records)
