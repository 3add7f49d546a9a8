"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hami_core.local.machine import Machine
    from hami_core.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


def simulate_option(command: F) -> F:
    """Add ``--simulate MACHINE`` as the parameter `simulate`."""
    text = "Use a simulated machine: a shipped one (a40x2, h100x8, t4, a100-mig) or a JSON file."
    return click.option("--simulate", metavar="MACHINE", help=text)(command)


def machine_of(simulate: str | None, registry: Registry) -> Machine:
    """The machine that ``--simulate`` names, or this host."""
    from hami_core.local.machine import simulated, this_host

    return this_host() if simulate is None else simulated(simulate, registry)
