"""`hami plugins`: what is installed, and what is wrong with what does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.output import emit, format_option, plain, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from hami_core.registry import PluginInfo


@click.command(epilog="Example: hami plugins -o json")
@format_option()
def plugins(output: str) -> None:
    """List vendor and policy plugins: distribution, version, families, and what is wrong with a broken one.

    HAMI_PLUGINS=a,b loads only those plugins; HAMI_TRACE_HOOKS=1 prints every hook call.
    """
    from hami_core.registry import load_registry

    infos = load_registry().plugins
    document = {"plugins": [_as_dict(info) for info in infos]}
    emit(document, output, lambda console: _tables(infos, console))


def _as_dict(info: PluginInfo) -> dict[str, Any]:
    return {
        "name": info.source.name,
        "distribution": info.source.distribution or None,
        "version": info.source.version or None,
        "families": list(info.families),
        "policies": list(info.policies),
        "hooks": list(info.hooks),
        "problem": info.problem or None,
    }


def _tables(infos: Sequence[PluginInfo], _console: Console) -> list[RenderableType]:
    made = table("PLUGIN", "DISTRIBUTION", "VERSION", "PROVIDES", fold=("PROVIDES",))
    for info in infos:
        provides = plain(", ".join((*info.families, *info.policies)))
        made.add_row(
            plain(info.source.name),
            plain(info.source.distribution),
            plain(info.source.version),
            f"[red]broken:[/red] {plain(info.problem)}" if info.problem else provides,
        )
    return [made]
