"""The group of verbs, and the edge where every error becomes one line and an exit code.

Exit codes: 0 done, 2 bad input, 75 no room (`hami run`), 128+n ended by signal n, otherwise the command's own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import click

from hami_core.errors import HamiError

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h


class Verb(NamedTuple):
    """Where a verb lives and the line `hami --help` shows, so that help imports no verb.

    A NamedTuple, because importing attrs would take help as long again.
    """

    module: str
    help: str
    attribute: str = ""  # of the command in the module, where it is not the verb's own name


VERBS = {
    "plugins": Verb("hami_core.cli.plugins", "List vendor and policy plugins, and what is wrong with a broken one."),
    "devices": Verb("hami_core.cli.devices", "List the accelerators of this host or of a simulated machine."),
    "run": Verb("hami_core.cli.run", "Run a command inside a share of the accelerators."),
    "exec": Verb("hami_core.cli.exec", "Run one more command inside a share that is held.", "enter"),
    "ps": Verb("hami_core.cli.ps", "List the shares in use on this host."),
    "cordon": Verb("hami_core.cli.cordon", "Take a card out of service, here or on a node."),
    "uncordon": Verb("hami_core.cli.cordon", "Put a card back into service."),
    "resize": Verb("hami_core.cli.resize", "Change the limits of a pod or a lease while it runs."),
    "top": Verb("hami_core.cli.top", "Show devices and shares of this host, live."),
    "monitor": Verb("hami_core.cli.monitor", "Serve metrics of shares, and give priority between them its meaning."),
    "schedule": Verb("hami_core.cli.schedule", "Say where a pod would go in a cluster, and why."),
    "scheduler": Verb("hami_core.cli.scheduler", "Serve the webhook and scheduler extender of a Kubernetes cluster."),
    "node-agent": Verb("hami_core.cli.node_agent", "Find a node's cards and give containers their shares."),
    "explain": Verb("hami_core.cli.explain", "Say why the cluster's scheduler decided as it did about a pod."),
    "doctor": Verb("hami_core.cli.doctor", "Find what is wrong with a cluster's installation, and what to do."),
    "serve-fit": Verb("hami_core.cli.serve_fit", "Serve the fit engine to other programs over gRPC."),
    "conformance": Verb("hami_core.cli.conformance", "Hold a plugin to the rules that every plugin keeps."),
    "new-plugin": Verb("hami_core.cli.new_plugin", "Start a plugin: a package that passes its own tests."),
    "bench": Verb("hami_core.cli.bench", "Measure the fit engine and the isolation library."),
}


class LazyGroup(click.Group):
    """A group that imports a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs of this installation, in the order people meet them."""
        return [name for name, verb in VERBS.items() if find_spec(verb.module) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        verb = VERBS[cmd_name]
        command: click.Command = getattr(import_module(verb.module), verb.attribute or cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name].help) for name in self.list_commands(ctx)])


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's callback
    if not wanted or ctx.resilient_parsing:
        return
    import platform

    from hami_core import __version__
    from hami_core.manager import distributions, load_plugins

    click.echo(f"hami {__version__} (Python {platform.python_version()})")
    for line in distributions(load_plugins().plugins):
        click.echo(f"  {line}")
    ctx.exit()


_HELP = """Share accelerators between processes and containers.

\b
Try it without a GPU:
  hami devices --simulate a40x2
  hami run --simulate a40x2 --memory 4096 -- nvitop --once
"""


@click.group(
    cls=LazyGroup, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show versions.")
def hami() -> None:
    """The command itself; its verbs are in `VERBS`."""


def run(arguments: Sequence[str]) -> int:
    """Run `arguments` and return the exit code; every expected error is one line on stderr."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader left (`hami ps | head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def _invoke(arguments: Sequence[str]) -> int:
    try:
        # Not click's main(): it has ways of its own with a reader that left and with Ctrl-C.
        with hami.make_context("hami", list(arguments)) as context:
            result: Any = hami.invoke(context)
            code = result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.ClickException as err:
        code = _misused(err)
    except (click.Abort, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    except HamiError as err:
        click.echo(f"hami: {err}", err=True)
        code = err.exit_code
    except BrokenPipeError:
        raise
    except Exception as err:
        if os.environ.get("HAMI_DEBUG", "") not in ("", "0"):
            raise
        problem = " ".join(f"{type(err).__name__}: {err}".split())
        click.echo(f"hami: internal error: {problem} (HAMI_DEBUG=1 shows where)", err=True)
        code = INTERNAL_ERROR
    return code


def _misused(error: click.ClickException) -> int:
    """Say in one line what is wrong with the command line, or show the help where it is empty."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    elif isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "hami"
        click.echo(f"hami: {error.format_message()} (see {path} --help)", err=True)
    else:
        click.echo(f"hami: {error.format_message()}", err=True)
    return error.exit_code


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
