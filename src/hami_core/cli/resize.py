"""`hami resize`: other limits for what runs already, in a cluster or on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hami_core.cli.options import Seconds, machine_of, simulate_option
from hami_core.errors import HamiError

if TYPE_CHECKING:
    from hami_core.kube.wishing import Answer
    from hami_core.wire.resize import ResizeRequest

NO_ROOM = 75
_FILE = click.Path(path_type=Path)

_memory = click.option("--memory", "memory_mib", type=click.IntRange(1), metavar="MIB", help="Of each card, in MiB.")
_cores = click.option("--cores", type=click.IntRange(1), help="Of each card, in the family's unit: percent for most.")


@click.group("resize")
def resize() -> None:
    """Change limits while a command runs; its library goes by them at its next call.

    A limit below what is in use takes nothing back: it is said, and no more is given until enough was freed.
    """


@resize.command("pod", epilog="Example: hami resize pod team-a/train-0 --memory 6000")
@click.argument("pod", metavar="NAMESPACE/NAME")
@_memory
@_cores
@click.option("--container", help="Which container; needed where several have shares.")
@click.option("--family", help="Of which family, where a container has shares of several, such as NVIDIA.")
@click.option("--kubeconfig", type=_FILE, help="Without it: the pod's service account, else ~/.kube/config.")
@click.option("--context", help="Of the kubeconfig.")
@click.option("--timeout", type=Seconds(), default="30s", show_default=True, help="For scheduler and node to answer.")
def resize_pod(
    *,
    pod: str,
    memory_mib: int | None,
    cores: int | None,
    container: str | None,
    family: str | None,
    kubeconfig: Path | None,
    context: str | None,
    timeout: float,
) -> int:
    """Ask the scheduler for another size of a pod's shares, and wait until its node has set the limits.

    Needs the right to get and patch the pod. Exit code: 0 done, 75 no room or refused, 2 no answer in time.
    """
    import asyncio
    import secrets

    from hami_core.wire.resize import ResizeRequest

    _need_something(memory_mib, cores)
    namespace, _, name = pod.rpartition("/")
    request = ResizeRequest(
        id=secrets.token_hex(8), memory_mib=memory_mib, cores=cores, container=container, family=family
    )
    answer = asyncio.run(_ask(kubeconfig, context, (namespace or "default", name), request, timeout))
    if answer.status is None:
        raise HamiError(f"pod {pod}: no scheduler answered within {timeout:g} s; the wish stays on the pod")
    if answer.status.outcome == "refused":
        click.echo(f"hami: pod {pod}: not resized: {answer.status.message}", err=True)
        return NO_ROOM
    click.echo(f"pod {pod}: {answer.status.message}")
    if answer.applied is None:
        raise HamiError(f"pod {pod}: its node did not say within {timeout:g} s that the limits are set; it will")
    if answer.applied.message:
        click.echo(f"pod {pod}: {answer.applied.message}")
    return 0


@resize.command("lease", epilog="Example: hami resize lease 3f2a --memory 6000")
@click.argument("lease", metavar="ID")
@_memory
@_cores
@simulate_option
def resize_lease(*, lease: str, memory_mib: int | None, cores: int | None, simulate: str | None) -> int:
    """Give a lease of `hami run` other limits; the beginning of its ID is enough. Exit code 75: no room."""
    from hami_core.local.host import LocalHost
    from hami_core.local.sight import look_at
    from hami_core.registry import load_registry
    from hami_core.resizing import CannotResize, Wish

    _need_something(memory_mib, cores)
    registry = load_registry()
    machine = machine_of(simulate, registry)
    cards = look_at(machine, registry).cards
    with LocalHost(machine, registry) as host:
        try:
            done = host.resize(cards, lease, Wish(memory_mib=memory_mib, cores=cores))
        except CannotResize as err:
            click.echo(f"hami: lease {lease}: not resized: {err}", err=True)
            return NO_ROOM
        except OSError as err:
            raise HamiError(f"lease {lease}: its limits cannot be written: {err}") from err
    for share in done.lease.shares:
        click.echo(f"lease {done.lease.id}: {share.uuid}: {share.memory_mib} MiB, {share.core_units or 100} % of cores")
    for over in done.over:
        click.echo(f"lease {done.lease.id}: {over}")
    return 0


def _need_something(memory_mib: int | None, cores: int | None) -> None:
    if memory_mib is None and cores is None:
        raise click.UsageError("give --memory, --cores or both")


async def _ask(
    kubeconfig: Path | None, context: str | None, pod: tuple[str, str], request: ResizeRequest, timeout_s: float
) -> Answer:
    try:
        from hami_core.kube.api import connect
        from hami_core.kube.wishing import wish
    except ModuleNotFoundError as err:
        raise click.ClickException(f"{err.name} is not installed; pip install 'hami-core[kubernetes]'") from err
    async with connect(kubeconfig, context) as api:
        return await wish(api, *pod, request, patience_s=timeout_s)
