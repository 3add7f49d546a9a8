"""`hami conformance`: hold a plugin to the rules of the kit, without knowing pytest."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hami_core.cli.output import emit, format_option, plain, table
from hami_core.errors import HamiError
from hami_core.remote.places import SOCKETS_ENV, Place, check_socket

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hami_core.testing.conformance import Report

_SOCKET = click.Path(path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class NoKit(HamiError):
    """The conformance kit needs a library that is not installed."""


@click.command(epilog="Example: hami conformance mlu --examples examples/mlu")
@click.argument("plugin", required=False)
@click.option("--remote", type=_SOCKET, help="Instead of PLUGIN: the socket of a plugin in a process of its own.")
@click.option("--machine", type=_FILE, help="A machine file with cards to try the plugin on.")
@click.option("--examples", type=_FOLDER, help="A folder of example pods that must find a place.")
@click.option("--docs", type=_FILE, help="The plugin's page of documentation.")
@click.option("--group", metavar="GROUP", help="Only the rules of one group, such as codecs or fit.")
@format_option("junit")
def conformance(
    plugin: str | None,
    *,
    remote: Path | None,
    machine: Path | None,
    examples: Path | None,
    docs: Path | None,
    group: str | None,
    output: str,
) -> int:
    """Hold PLUGIN to the rules that every plugin keeps, and say what to do where it does not.

    PLUGIN is a name that `hami plugins` lists, or an import package. Exit code 1 means that a rule is broken.
    """
    if (plugin is None) == (remote is None):
        raise click.UsageError("name either PLUGIN or --remote SOCKET")
    if find_spec("hypothesis") is None:
        raise NoKit("the conformance kit needs hypothesis; install it with: pip install 'hami-core[testing]'")
    from hami_core.testing.conformance import CHECKS, examine, run_checks

    groups = tuple(dict.fromkeys(check.group for check in CHECKS))
    if group is not None and group not in groups:
        raise click.BadParameter(f'there is no group "{group}"; groups are: {", ".join(groups)}', param_hint="--group")
    name = plugin or _reachable(remote)
    subject = examine(name, machine=machine, docs=docs, examples=examples)
    report = run_checks(subject, [check for check in CHECKS if group in (None, check.group)])
    if output == "junit":
        click.echo(report.to_junit(), nl=False)
    else:
        emit(report.to_dict(), output, lambda console: _tables(report, console))
    return 0 if report.conforms else 1


def _reachable(socket: Path | None) -> str:
    """The name of the plugin behind a socket, where this process and its children look for it from now on.

    Raises:
        PluginFault: the socket is none, or somebody else could have put it there.
    """
    assert socket is not None, "there is a plugin or a socket"
    if socket.suffix != ".sock":
        raise click.BadParameter(f"a plugin's socket is named NAME.sock; got {socket}", param_hint="--remote")
    check_socket(Place(name=socket.stem, socket=socket.absolute()))
    os.environ[SOCKETS_ENV] = str(socket.absolute().parent)
    return socket.stem


def _tables(report: Report, _console: Console) -> list[RenderableType]:
    from hami_core.testing.conformance import State

    colours = {State.KEPT: "green", State.BROKEN: "red", State.LEFT_OUT: "dim"}
    made = table("GROUP", "RULE", "RESULT", fold=("RULE", "RESULT"))
    for result in report.results:
        said = f"[{colours[result.state]}]{result.state}[/]"
        if result.state is State.BROKEN:
            said += f": {plain(result.found)}\n{plain(result.advice)}"
        elif result.state is State.LEFT_OUT:
            said += f": {plain(result.found)}"
        made.add_row(plain(result.check.group), plain(result.check.title), said)
    counts = ", ".join(f"{report.count(state)} {state}" for state in State)
    on = f" on {report.machine}" if report.machine else " on plausible cards (name a machine with --machine)"
    return [made, "", f"{plain(report.plugin)}{plain(on)}: {counts}"]
