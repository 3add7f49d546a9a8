"""What README and quick start tell people to type works as typed, and prints what they show.

Every fenced ``console`` block is run: a line that begins with ``$`` is a command, the lines up to the next one are what
it prints, with ``...`` for what differs from run to run. A block without printed lines only has to succeed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "docs/quick-start.md", "docs/zh/quick-start.md", "docs/local-host.md")]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Typed:
    """A command of a page, with what the page says that it prints."""

    place: str
    command: str
    printed: str


def typed(page: Path) -> Iterator[Typed]:
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        for part in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield Typed(f"{page.relative_to(ROOT)}:{line}", command, printed.strip())


COMMANDS = [command for page in PAGES for command in typed(page)]


def test_the_pages_show_commands() -> None:
    assert {command.place.split(":")[0] for command in COMMANDS} >= {"README.md", "docs/quick-start.md"}


@pytest.mark.parametrize("shown", COMMANDS, ids=lambda shown: f"{shown.place} {shown.command}")
def test_a_command_of_a_page_works_as_typed(shown: Typed, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "HAMI_STATE_DIR": str(tmp_path / "state"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    # The pages name the environment that `make demo` makes; the tests may run in another one.
    command = shown.command.replace(".venv/bin/", "")
    ended = subprocess.run(
        command, check=False, shell=True, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=120
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"
    if shown.printed:
        pattern = ".*?".join(map(re.escape, shown.printed.split("...")))
        assert re.fullmatch(pattern, ended.stdout.strip(), re.DOTALL), ended.stdout
