"""What the pages tell people to type works as typed, and prints what they show; see `tests.docs.pages`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import click
import pytest
import yaml
from tests.docs.pages import ROOT, Block, blocks, lines

from hami_core.cli.group import VERBS, hami


@attrs.frozen
class Typed:
    """A command of a page, with what the page says that it prints."""

    place: str
    command: str
    printed: str


def typed(block: Block) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield Typed(block.place, command, printed.strip())


def told(block: Block) -> Iterator[Typed]:
    """Commands of a ``bash`` block, each part of a pipe by itself."""
    for line in lines(block):
        for part in re.split(r" (?:\||&&) |\s&$", line.text):
            if part.strip():
                yield Typed(line.place, part.strip(), "")


COMMANDS = [command for block in blocks("console") for command in typed(block)]
TOLD = [command for block in blocks("bash", "sh", "shell") for command in told(block)]


def test_the_pages_show_commands() -> None:
    assert {command.place.split(":")[0] for command in COMMANDS} >= {"README.md", "docs/quick-start.md"}


def test_every_block_says_what_it_is() -> None:
    assert [block.place for block in blocks("")] == []


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


@pytest.mark.parametrize("shown", TOLD, ids=lambda shown: f"{shown.place} {shown.command}")
def test_a_command_that_cannot_run_here_is_spelt_right(shown: Typed) -> None:
    words = [word for word in shlex.split(shown.command) if not re.match(r"[A-Z_]+=", word)]
    program = words[0].removeprefix(".venv/bin/")
    assert program in KNOWN, f"say in {__name__} how {program} is checked, or make it a console block that is run"
    KNOWN[program](words[1:])


def _hami(words: list[str]) -> None:
    """Verbs, options and their values are those of the command line."""
    command: click.Command = hami
    context = click.Context(hami, info_name="hami")
    while isinstance(command, click.Group):
        if words[:1] == ["--help"]:
            return
        inner = command.get_command(context, words[0])
        assert inner is not None, f"no verb {words[0]}; there are {', '.join(VERBS)}"
        command, context, words = inner, click.Context(inner, info_name=words[0], parent=context), words[1:]
    command.make_context(context.info_name, words)


def _make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


def _helm(words: list[str]) -> None:
    """Values that are set exist in the chart; files that are named exist here."""
    if "charts/hami" not in words:
        return
    values = yaml.safe_load((ROOT / "charts/hami/values.yaml").read_text(encoding="utf-8"))
    for place, word in enumerate(words):
        if word == "--set":
            held = values
            for step in words[place + 1].partition("=")[0].split("."):
                assert step in held, f"the chart has no value {words[place + 1]}"
                held = held[step]


def _kubectl(words: list[str]) -> None:
    assert words[0].startswith("-") or words[0] in {
        "annotate", "apply", "auth", "delete", "describe", "get", "label", "logs", "patch", "port-forward", "rollout"
    }  # fmt: skip
    named = [word for word in words if word.startswith(("examples/", "charts/", "docs/", "dashboards/"))]
    assert [path for path in named if not (ROOT / path).exists()] == []


def _outside(_words: list[str]) -> None:
    pass


OUTSIDE = (
    "cd",
    "cmake",
    "ctest",
    "curl",
    "docker",
    "export",
    "git",
    "grep",
    "install",
    "nvitop",
    "pip",
    "protoc",
    "python3",
    "source",
    "sudo",
)
"""Not ours: need root, a registry, a container engine, or the reader's shell."""


KNOWN: dict[str, Callable[[list[str]], None]] = {
    "hami": _hami,
    "helm": _helm,
    "kubectl": _kubectl,
    "make": _make,
    **dict.fromkeys(OUTSIDE, _outside),
}
