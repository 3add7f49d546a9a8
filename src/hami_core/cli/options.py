"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hami_core.errors import BadQuantity

if TYPE_CHECKING:
    from hami_core.local.machine import Machine
    from hami_core.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.ParamType[float]):
    """A duration as Go writes it (``5m``, ``28s``, ``1m30s``); a bare number counts seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        from hami_core.units import duration_s

        try:
            return duration_s(str(value), where="a duration")
        except BadQuantity as err:
            self.fail(str(err), param, ctx)


def simulate_option(command: F) -> F:
    """Add ``--simulate MACHINE`` as the parameter `simulate`."""
    text = "Use a simulated machine: a JSON file, or a shipped one, such as a40x2; a name that is none lists them all."
    return click.option("--simulate", metavar="MACHINE", help=text)(command)


def machine_of(simulate: str | None, registry: Registry) -> Machine:
    """The machine that ``--simulate`` names, or this host."""
    from hami_core.local.machine import simulated, this_host

    return this_host() if simulate is None else simulated(simulate, registry)


def log_format_option(command: F) -> F:
    """Add ``--log-format`` as the parameter `log_format`."""
    form = click.Choice(["json", "console"])
    return click.option(
        "--log-format", type=form, default="console", show_default=True, help="Log lines for machines or for people."
    )(command)


def log_options(command: F) -> F:
    """Add ``--log-format`` and ``--log-level`` as the parameters `log_format` and `log_level`."""
    level = click.Choice(["debug", "info", "warning", "error"])
    with_level = click.option(
        "--log-level", type=level, default="info", show_default=True, help="The least important lines to write."
    )(command)
    return log_format_option(with_level)
