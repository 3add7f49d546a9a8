"""The group of verbs: light to start, and the place where every error becomes one line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import click
import pytest

from hami_core.cli import group
from hami_core.cli.group import INTERNAL_ERROR, run
from hami_core.cli.group import hami as root
from hami_core.errors import BadConfig

from .conftest import HAMI, Hami


def test_help_lists_the_verbs_without_importing_one(hami: Hami) -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']; from hami_core.cli.group import run; run(['--help'])\n"
        + textwrap.dedent(
            """
        heavy = ("hami_core.cli.", "numpy", "rich", "yaml", "pluggy")
        print(sorted(name for name in sys.modules if name.startswith(heavy)))
        """
        )
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    shown, _, loaded = ended.stdout.rpartition("\n[")
    assert all(f"  {verb} " in shown for verb in ("plugins", "devices", "run", "ps", "schedule"))
    assert loaded == "'hami_core.cli.group']\n"


def verbs() -> list[tuple[str, click.Command]]:
    """Every verb, and every verb of a verb, by the words to type."""
    found = []
    for name in root.list_commands(click.Context(root)):
        command = root.get_command(click.Context(root), name)
        assert command is not None
        below = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        found += [(f"{name} {inner}".strip(), verb) for inner, verb in below]
    return found


@pytest.mark.parametrize(("words", "command"), [pytest.param(*verb, id=verb[0]) for verb in verbs()])
def test_each_verb_has_help_with_an_example(words: str, command: click.Command) -> None:
    assert command.help
    assert f"hami {words}" in (command.epilog or "")


def test_version_names_the_distributions(hami: Hami) -> None:
    outcome = hami("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("hami 0.1.0 (Python 3.")
    assert "  hami-core 0.1.0\n" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["nope"], "hami: No such command 'nope'. (see hami --help)\n", id="unknown verb"),
        pytest.param(["ps", "--nope"], "hami: No such option '--nope'. (see hami ps --help)\n", id="unknown option"),
        pytest.param(["run"], "hami: Missing argument '-- COMMAND [ARGS]...'. (see hami run --help)\n",
                     id="no command"),
        pytest.param(["schedule"], "hami: say which cluster: --cluster FILE, or --jsonl (see hami schedule --help)\n",
                     id="no cluster"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_command_line_is_one_line_and_exit_code_2(
    hami: Hami, arguments: list[str], message: str
) -> None:
    outcome = hami(*arguments)
    assert (2, "", message) == (outcome.code, outcome.out, outcome.err)


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def ps() -> None:
        raise error

    monkeypatch.setattr(group.LazyGroup, "get_command", lambda *_: ps)


def test_an_error_raised_on_purpose_is_one_line_with_its_exit_code(monkeypatch, capsys) -> None:
    fails_with(monkeypatch, BadConfig(file="a.json", problem="is not a machine file"))
    assert run(["ps"]) == 2
    assert capsys.readouterr().err == "hami: a.json: is not a machine file\n"


def test_an_error_nobody_expected_is_one_line_that_says_how_to_see_more(monkeypatch, capsys) -> None:
    fails_with(monkeypatch, ValueError("two\nlines"))
    assert run(["ps"]) == INTERNAL_ERROR
    assert capsys.readouterr().err == (
        "hami: internal error: ValueError: two lines (HAMI_DEBUG=1 shows where)\n"
    )  # fmt: skip
    monkeypatch.setenv("HAMI_DEBUG", "1")
    with pytest.raises(ValueError, match="two"):
        run(["ps"])


def test_ctrl_c_ends_with_130_and_a_terminate_with_143(monkeypatch, capsys) -> None:
    fails_with(monkeypatch, KeyboardInterrupt())
    assert run(["ps"]) == 130
    assert "Traceback" not in capsys.readouterr().err
    with subprocess.Popen(
        [HAMI, "schedule", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"no question\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert b"error" in process.stdout.readline()
        process.terminate()
        _, errors = process.communicate()
    assert (process.returncode, errors) == (143, b"")


def test_a_reader_that_leaves_early_is_no_error(environ: dict[str, str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = subprocess.run(
        [HAMI, "plugins", "-o", "json"], check=False, stdout=write_end, stderr=subprocess.PIPE, env=environ
    )
    os.close(write_end)
    assert ended.stderr == b""
    assert ended.returncode == 141
