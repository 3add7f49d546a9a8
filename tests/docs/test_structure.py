"""Pages that say the same in another language, or of another vendor, have the same form."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import ROOT, blocks, lines

DOCS = ROOT / "docs"
VENDORS = {
    "ascend": "ascend",
    "cambricon": "mlu",
    "hygon": "dcu",
    "iluvatar": "iluvatar",
    "moore-threads": "mthreads",
    "nvidia": "nvidia",
}
"""By page: the folder of the vendor's examples."""
PARTS = ["Enable", "Resources", "What a container gets", "Health", "Limits and open questions"]


def _typed(page: str) -> list[str]:
    found = [block for block in blocks("bash", "console") if block.place.startswith(f"docs/{page}.md:")]
    return [re.sub(r"<[^>]+>", "<>", line.text) for block in found for line in lines(block)]


def test_the_chinese_quick_start_types_what_the_english_one_does() -> None:
    assert _typed("zh/quick-start") == _typed("quick-start")
    assert _typed("quick-start")


def test_the_chinese_installation_types_nothing_else_than_the_english_one() -> None:
    assert _typed("zh/install")
    assert [line for line in _typed("zh/install") if line not in _typed("install")] == []


def test_every_vendor_has_a_page() -> None:
    assert {page.stem for page in (DOCS / "vendors").glob("*.md")} == set(VENDORS)
    packages = {folder.name.removeprefix("hami_") for folder in (ROOT / "src").glob("hami_*") if folder.is_dir()}
    assert packages - {"core", "native_sdk"} == set(VENDORS.values())


@pytest.mark.parametrize("page", VENDORS)
def test_the_page_of_a_vendor_has_the_form_of_the_others(page: str) -> None:
    text = (DOCS / "vendors" / f"{page}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    assert f"](../../examples/{VENDORS[page]})" in text
    assert f"](../devices.md#{VENDORS[page]})" in text
    assert any("--simulate" in line for line in _typed(f"vendors/{page}"))


def test_every_vendor_has_the_same_examples() -> None:
    named = {folder: {file.name for file in (ROOT / "examples" / folder).glob("*.yaml")} for folder in VENDORS.values()}
    assert named.pop("nvidia") - {"gpu-test3.yaml"} == named["mlu"]
    assert set(map(frozenset, named.values())) == {frozenset(named["mlu"])}


def test_the_conformance_of_our_vendors_is_published_where_people_look() -> None:
    for page in ("README.md", "docs/plugins/write-a-vendor.md"):
        assert "conformance.md)" in (ROOT / page).read_text(encoding="utf-8"), page
