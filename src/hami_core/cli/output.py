"""How verbs print: one document as a table for people, or as JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hami_core.behaviour import ProbedDevice

F = TypeVar("F", bound=Callable[..., Any])

WIDE = 120
"""Columns from which a table has room for whole UUIDs."""

_PIPE_WIDTH = 250  # nobody's terminal: a program or a file reads whole fields, never wrapped ones
_BAR = 10  # characters
_SHORT_UUID = 12  # "GPU-1f0a3c5e": enough to tell cards apart; `--uuid` accepts it


def format_option(*more: str) -> Callable[[F], F]:
    """Add ``-o table|json|yaml``, and `more` formats of the verb's own, as the parameter `output`."""
    formats = click.Choice(["table", "json", "yaml", *more])
    return click.option("-o", "--output", type=formats, default="table", show_default=True, help="How to print.")


def emit(document: object, output: str, tables: Callable[[Console], Sequence[RenderableType]]) -> None:
    """Print `document` as JSON or YAML, or what `tables` makes for this terminal."""
    if output == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    else:
        console = stdout()
        with console.capture() as captured:
            for table in tables(console):
                console.print(table)
        # The padding of the last column means nothing to a pipe, and wraps in a terminal that was made smaller since.
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def stdout() -> Console:
    """A console on stdout, as wide as the terminal; a pipe gets plain text that is never wrapped."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, emoji=False, soft_wrap=False)


def health(probed: ProbedDevice, *, cordoned: bool) -> str:
    """A card's health as a table's cell: what its driver complains of, and an operator's cordon."""
    words = [] if probed.healthy else [f"[red]{plain(probed.health_note or 'unhealthy')}[/red]"]
    words += ["[yellow]cordoned[/yellow]"] if cordoned else []
    return ", ".join(words) or "ok"


def table(*columns: str, right: Sequence[str] = (), fold: Sequence[str] = ()) -> Any:
    """An empty table without lines. `right` columns align right; `fold` columns give way in a narrow terminal."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name not in fold, overflow="fold")
    return made


def plain(value: object) -> str:
    """Text for a cell: markup escaped, `None` as a dash."""
    from rich.markup import escape

    return "-" if value is None or value == "" else escape(str(value))


def short_uuid(uuid: str, console: Console) -> str:
    """The whole UUID where there is room for it, its first block where there is not."""
    return plain(uuid if console.width >= WIDE else uuid[:_SHORT_UUID])


def bar(ratio: float | None) -> str:
    """A part of a whole, drawn; nothing where it is not known."""
    if ratio is None:
        return ""
    full = round(_BAR * min(1.0, max(0.0, ratio)))
    return "█" * full + "░" * (_BAR - full)
