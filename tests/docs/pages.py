"""The pages that people read, and the commands that they show.

A fenced ``console`` block is run: a line that begins with ``$`` is a command, the lines up to the next one are what it
prints, with ``...`` for what differs from run to run. A ``bash`` block needs what the tests do not have everywhere
(root, a registry, a cluster, an answer from a person); its commands are held to the command line, the chart and the
files that they name. A block without a language is an error: nothing says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    """A fenced block: where it is, its language and its text without the indent."""

    place: str
    language: str
    text: str


@attrs.frozen
class Line:
    """A command line of a page as people type it, pipes and all."""

    place: str
    text: str


def pages() -> list[Path]:
    """README and every page that a person wrote or that is made for people; hook pages show Python only."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(*languages: str) -> Iterator[Block]:
    """Blocks in one of these languages, over all pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for block in _FENCE.finditer(text):
            if block["language"] in languages:
                line = text.count("\n", 0, block.start()) + 1
                inner = re.sub(rf"^{block['indent']}", "", block["text"], flags=re.MULTILINE)
                yield Block(f"{page.relative_to(ROOT)}:{line}", block["language"], inner)


def lines(block: Block) -> Iterator[Line]:
    """The command lines of a ``bash`` block: without comments, those that a backslash parts in one."""
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        text = re.sub(r"(^|\s+)#.*", "", line).strip()
        if text:
            yield Line(block.place, text)
