"""Every property of the isolation libraries is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROPERTIES = ROOT / "native" / "tests" / "PROPERTIES.md"
COUNT = 44
_ROW = re.compile(r"^\| (?P<number>\d+) \| (?P<text>.+) \| (?P<tests>`.*`)? ?\|$")


def _rows() -> dict[int, list[tuple[Path, str]]]:
    rows: dict[int, list[tuple[Path, str]]] = {}
    for line in PROPERTIES.read_text(encoding="utf-8").splitlines():
        if row := _ROW.match(line):
            cited = [test.split("::", 1) for test in re.findall(r"`([^`]+)`", row["tests"] or "")]
            rows[int(row["number"])] = [(ROOT / file, name) for file, name in cited]
    return rows


def test_every_property_has_a_test() -> None:
    rows = _rows()
    assert sorted(rows) == list(range(1, COUNT + 1))
    assert [number for number, tests in rows.items() if not tests] == []


def test_every_test_that_is_named_exists_and_is_run() -> None:
    missing = []
    for number, tests in _rows().items():
        for path, name in tests:
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            uses = len(re.findall(rf"(?<!\w){re.escape(name)}", text))
            # A function of C is defined and called.
            if uses < (2 if path.suffix == ".c" and name != "main" and not name.startswith("LLVM") else 1):
                missing.append(f"{number}: {path.relative_to(ROOT)}::{name}")
    assert missing == []


def test_every_stopping_point_of_the_libraries_is_one_that_the_schedules_know() -> None:
    native = ROOT / "native"
    sources = [
        path for folder in native.iterdir() if folder.name not in ("tests", "fake") for path in folder.rglob("*.c")
    ]
    placed = [name for path in sources for name in re.findall(r'HAMI_TEST_POINT\("([^"]+)"\)', path.read_text("utf-8"))]
    known = re.search(r"points\[\] = \{(.*?)\}", (native / "tests/core/points.h").read_text("utf-8"), re.DOTALL)
    assert known is not None
    assert sorted(placed) == sorted(re.findall(r'"([^"]+)"', known[1]))
