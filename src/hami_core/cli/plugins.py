"""`hami plugins`: what is installed, and what is wrong with what does not work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.output import emit, format_option, plain, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType

    from hami_core.manager import PluginManager
    from hami_core.registry import PluginInfo
    from hami_core.remote.bridge import RemotePlugin


@click.command(epilog="Example: hami plugins -o json")
@click.option(
    "--table", "named", metavar="NAME", help="Print the table of a plugin in a process of its own, as a file."
)
@format_option()
def plugins(named: str | None, output: str) -> None:
    """List vendor and policy plugins: distribution, version, families, and what is wrong with a broken one.

    HAMI_PLUGINS=a,b loads only those plugins; HAMI_TRACE_HOOKS=1 prints every hook call. Plugins in processes of their
    own are asked how they are.
    """
    if named is not None:
        # Nothing is loaded: the file that this is written to may be the broken one that it would be loaded from.
        from hami_core.remote.bridge import table_of

        click.echo(table_of(named, os.environ), nl=False)
        return
    from hami_core.registry import load_registry

    registry = load_registry()
    states = {name: plugin.state() for name, plugin in _outside(registry.manager).items()}
    document = {"plugins": [_as_dict(info, states.get(info.source.name)) for info in registry.plugins]}
    emit(document, output, lambda console: _tables(registry.plugins, states, console))


def _outside(manager: PluginManager) -> Mapping[str, RemotePlugin]:
    """The plugins in processes of their own, by name."""
    if not any(plugin.outside for plugin in manager.plugins):
        return {}
    from hami_core.remote.bridge import RemotePlugin

    modules = {plugin.source.name: plugin.module for plugin in manager.plugins}
    return {name: module for name, module in modules.items() if isinstance(module, RemotePlugin)}


def _as_dict(info: PluginInfo, state: str | None) -> dict[str, Any]:
    return {
        "name": info.source.name,
        "distribution": info.source.distribution or None,
        "version": info.source.version or None,
        "families": list(info.families),
        "policies": list(info.policies),
        "hooks": list(info.hooks),
        "problem": info.problem or None,
        "state": state,
    }


def _tables(infos: Sequence[PluginInfo], states: Mapping[str, str], _console: Console) -> list[RenderableType]:
    columns = ("PLUGIN", "DISTRIBUTION", "VERSION", "PROVIDES", *(("STATE",) if states else ()))
    made = table(*columns, fold=("PROVIDES", "STATE"))
    for info in infos:
        provides = plain(", ".join((*info.families, *info.policies)))
        made.add_row(
            plain(info.source.name),
            plain(info.source.distribution),
            plain(info.source.version),
            f"[red]broken:[/red] {plain(info.problem)}" if info.problem else provides,
            *((plain(states.get(info.source.name, "")),) if states else ()),
        )
    return [made]
