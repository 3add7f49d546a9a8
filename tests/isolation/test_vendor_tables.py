"""Tables of the vendors' isolation libraries: what is accepted, what is refused, and what is generated from them."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

NATIVE = Path(__file__).parents[2] / "native"
VENDORS = ("ascend", "dcu", "mlu", "mthreads")
API = """
/* int hidden(int a); */
typedef int result_t;
result_t xMalloc(void **out,
                 unsigned long size);
result_t xFree(void *p);
result_t xInit(void);
"""


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interpose_generate", NATIVE / "interpose" / "gen" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _build(generator: ModuleType, folder: Path, table: str) -> int:
    (folder / "api.h").write_text(API, encoding="utf-8")
    (folder / "table.def").write_text(table, encoding="utf-8")
    arguments = ["--api", str(folder / "api.h"), "--table", str(folder / "table.def"), "--out", str(folder / "out")]
    status: int = generator.main(arguments)
    return status


def test_a_row_becomes_a_wrapper_with_the_headers_prototype(generator: ModuleType, tmp_path: Path) -> None:
    table = "allocate xMalloc out=out bytes=size undo=xFree(*out)\nfree xFree key=p # both\nuse xInit\n"
    assert _build(generator, tmp_path, table) == 0
    source = (tmp_path / "out" / "hami_table.c").read_text(encoding="utf-8")
    assert "result_t xMalloc(void **out, unsigned long size) {" in source
    assert "HAMI_UNDO(xFree, *out), xMalloc, out, size);" in source
    assert (tmp_path / "out" / "exports.txt").read_text(encoding="utf-8").split() == [
        "dlsym",
        "dlvsym",
        "xFree",
        "xMalloc",
    ]


def test_a_gate_needs_no_prototype_and_is_exported_and_found_by_its_index(
    generator: ModuleType, tmp_path: Path
) -> None:
    table = "free xFree key=p\ngate xGo what=w[1] words=7\nuse xInit\n"
    assert _build(generator, tmp_path, table) == 0
    out = tmp_path / "out"
    assert "HAMI_GATE xGo, 1, 7\n" in (out / "hami_gates.S").read_text(encoding="utf-8")
    source = (out / "hami_table.c").read_text(encoding="utf-8")
    assert "case HAMI_FUNCTION_xGo:\n    *stream = (void *)(HAMI_UNKNOWN_STREAM);\n    return HAMI_KEY(w[1]);" in source
    names = re.findall(r"HAMI_FUNCTION_(\w+),", (out / "hami_table.h").read_text(encoding="utf-8"))
    assert names[1] == "xGo"
    assert "xGo" in (out / "exports.txt").read_text(encoding="utf-8").split()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("charge xFree key=p", "want '<allocate"),
        ("free", "want '<allocate"),
        ("free xFree", "missing=['key']"),
        ("free xFree key=p size=1", "unknown=['size']"),
        ("free xFree key=p\nfree xFree key=p", "is in the table already"),
        ("free xOther key=p", "does not declare xOther"),
        ("free hidden key=a", "does not declare hidden"),
        ("library first", "want 'library <index>'"),
        ("gate xInit", "api.h declares xInit"),
        ("gate xOther words=15", "words is at most 14"),
    ],
)
def test_a_table_that_cannot_be_used_says_the_line_and_writes_nothing(
    generator: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, said: str
) -> None:
    assert _build(generator, tmp_path, table) != 0
    message = capsys.readouterr().err
    assert said in message
    assert f"table.def:{table.count(chr(10)) + 1}:" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_wrapped_name_is_looked_at_when_a_program_looks_it_up(generator: ModuleType, vendor: str) -> None:
    folder = NATIVE / vendor
    rows = generator.read_table(
        folder / "table.def", generator.read_prototypes((folder / "api.h").read_text(encoding="utf-8"))
    )
    descriptor = (folder / "src" / "descriptor.c").read_text(encoding="utf-8")
    declared = re.search(r"prefixes\[\] = \{(.*?), NULL\}", descriptor)
    assert declared is not None
    prefixes = tuple(re.findall(r'"(\w+)"', declared[1]))
    assert [row.name for row in rows if row.wrapped and not row.name.startswith(prefixes)] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_documented_is_what_is_wrapped(generator: ModuleType, vendor: str) -> None:
    folder = NATIVE / vendor
    rows = generator.read_table(
        folder / "table.def", generator.read_prototypes((folder / "api.h").read_text(encoding="utf-8"))
    )
    page = (NATIVE.parent / "docs" / "isolation-vendors.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    # Of functions that act on the thread's own default stream the page names the plain one.
    twins = {row.name for row in rows if re.sub("_(spt|ptsz)$", "", row.name) in named}
    assert {row.name for row in rows if row.wrapped} - named - twins == set()
