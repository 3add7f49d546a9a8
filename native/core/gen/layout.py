"""Build step: region.toml -> hami_region_layout.h, with every offset and size asserted by the compiler.

Exit status 2 and one line on stderr when the description contradicts itself.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCALARS = {"u32": ("uint32_t", 4), "u64": ("uint64_t", 8), "i64": ("int64_t", 8)}
ARRAYS = {"text": "char", "bytes": "unsigned char"}


class LayoutError(Exception):
    """The description cannot be laid out as it says."""


def _size(field: Mapping[str, Any]) -> int:
    return SCALARS[field["type"]][1] if field["type"] in SCALARS else int(field["length"])


def _member(field: Mapping[str, Any]) -> str:
    if field["type"] in SCALARS:
        return f"{SCALARS[field['type']][0]} {field['name']};"
    return f"{ARRAYS[field['type']]} {field['name']}[{field['length']}];"


def _padding(number: int, size: int) -> str:
    return f"  unsigned char reserved{number}[{size}];"


def struct(record: Mapping[str, Any]) -> Iterator[str]:
    """Lines of one struct and its assertions.

    Raises:
        LayoutError: fields overlap, are out of order or misaligned, or do not fit.
    """
    name, end, gaps = f"struct hami_region_{record['name']}", 0, 0
    yield f"{name} {{"
    for field in record["fields"]:
        offset, size = field["offset"], _size(field)
        if offset < end or (field["type"] in SCALARS and offset % size):
            raise LayoutError(f"{record['name']}.{field['name']}: offset {offset} overlaps or is not aligned")
        if offset > end:
            yield _padding(gaps, offset - end)
            gaps += 1
        yield f"  {_member(field)} /* {field['doc']} */"
        end = offset + size
    if end > record["bytes"]:
        raise LayoutError(f"{record['name']}: fields end at {end}, past the record's {record['bytes']} bytes")
    if end < record["bytes"]:
        yield _padding(gaps, record["bytes"] - end)
    yield "};"
    yield f'_Static_assert(sizeof({name}) == {record["bytes"]}, "{record["name"]} has the described size");'
    for field in record["fields"]:
        yield (
            f"_Static_assert(offsetof({name}, {field['name']}) == {field['offset']}, "
            f'"{record["name"]}.{field["name"]} is where it is described");'
        )
    yield ""


def header(layout: Mapping[str, Any]) -> str:
    """The whole C header."""
    lines = [
        "/* Generated from region.toml: do not edit. */",
        "#ifndef HAMI_REGION_LAYOUT_H",
        "#define HAMI_REGION_LAYOUT_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
    ]
    for name, value in layout["constants"].items():
        if isinstance(value, list):
            lines.append(f"#define HAMI_REGION_{name.upper()} {len(value)}")
        else:
            literal = f"{value}U" if value < 1 << 32 else f"{value:#x}ULL"
            lines.append(f"#define HAMI_REGION_{name.upper()} {literal}")
    lines.append("")
    for record in layout["record"]:
        lines.extend(struct(record))
    lines.append("#endif")
    return "\n".join(lines) + "\n"


def main(description: Path, out: Path) -> int:
    """Write ``out`` if its text changes; return the exit status."""
    try:
        text = header(tomllib.loads(description.read_text(encoding="utf-8")))
    except (LayoutError, KeyError, tomllib.TOMLDecodeError, OSError) as error:
        sys.stderr.write(f"{description}: {error}\n")
        return 2
    if not out.exists() or out.read_text(encoding="utf-8") != text:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
