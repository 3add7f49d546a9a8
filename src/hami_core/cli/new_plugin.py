"""`hami new-plugin`: a package for a new vendor or policy, which passes its own tests as it is."""

from __future__ import annotations

import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import click

from hami_core.errors import HamiError

_NAMES = {"vendor": re.compile(r"[a-z][a-z0-9]*"), "policy": re.compile(r"[a-z][a-z0-9-]*")}
_STEMS = {"vendor": "hami-", "policy": "hami-policy-"}


class CannotScaffold(HamiError):
    """A package cannot be started here: copier is missing, or the folder is taken."""


@click.command("new-plugin", epilog="Example: hami new-plugin acme --domain acme.example")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["vendor", "policy"]),
    default="vendor",
    show_default=True,
    help="A plugin for devices, or one that orders nodes and cards.",
)
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where; by default ./hami-NAME."
)
@click.option("--domain", help="The vendor's domain, for the names of resources; by default NAME.com.")
@click.option("--model", help="One model of card.")
@click.option("--memory-mib", type=click.IntRange(min=1), help="Its memory in MiB.")
def new_plugin(
    name: str, *, kind: str, into: Path | None, domain: str | None, model: str | None, memory_mib: int | None
) -> None:
    """Start a plugin: a package with tables, a probe, a fake machine and tests on the conformance kit.

    NAME is the vendor's word, such as acme, or with --kind policy the policy's name.
    """
    if not _NAMES[kind].fullmatch(name):
        raise click.BadParameter(f'"{name}" must be lower-case letters and digits, a letter first', param_hint="NAME")
    package = f"{_STEMS[kind]}{name}".replace("-", "_")
    if find_spec(package) is not None:
        raise CannotScaffold(f"there is a package {package} already; choose another name")
    if find_spec("copier") is None:
        raise CannotScaffold("new-plugin needs copier; install it with: pip install 'hami-core[scaffold]'")
    into = into or Path(f"{_STEMS[kind]}{name}")
    if into.exists() and any(into.iterdir()):
        raise CannotScaffold(f"{into} is there already and not empty; name another place with --into")
    import copier

    answers = {"name": name, "domain": domain, "model": model, "memory_mib": memory_mib}
    copier.run_copy(
        str(resources.files("hami_core") / "templates" / f"{kind}-plugin"),
        into,
        data={key: answer for key, answer in answers.items() if answer is not None},
        defaults=True,
        quiet=True,
    )
    click.echo(f"made {into}; next:\n  cd {into}\n  pip install -e '.[test]'\n  pytest")
