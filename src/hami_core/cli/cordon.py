"""`hami cordon` and `hami uncordon`: take a card out of service, on this machine or on a node of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from hami_core.cli.options import machine_of, simulate_option

_FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


class _Place(NamedTuple):
    """Where the card is: on a node of a cluster, or on this machine."""

    node: str | None
    kubeconfig: Path | None
    context: str | None
    device_config_file: Path | None
    simulate: str | None


def _place_options(command: F) -> F:
    for option in (
        simulate_option,
        click.option("--device-config-file", type=_FILE, help="HAMi's device-config.yaml, as the cluster has it."),
        click.option("--context", help="Of the kubeconfig."),
        click.option("--kubeconfig", type=_FILE, help="Without it: the pod's service account, else ~/.kube/config."),
        click.option("--node", metavar="N", help="A node of the cluster; without it, this machine and its hami run."),
    ):
        command = option(command)
    return command


@click.command(epilog="Example: hami cordon GPU-03f2 --node n1")
@click.argument("device", metavar="UUID")
@_place_options
def cordon(*, device: str, **place: Any) -> None:
    """Let nobody new have a card. Who has a share of it keeps it. The beginning of a UUID is enough.

    On a node this writes the annotation hami.io/device-cordon; on this machine a file beside the leases. Both stay
    over restarts.
    """
    _set(device, _Place(**place), on=True)


@click.command(epilog="Example: hami uncordon GPU-03f2 --node n1")
@click.argument("device", metavar="UUID")
@_place_options
def uncordon(*, device: str, **place: Any) -> None:
    """Put a card that was cordoned back into service; whether it is healthy is judged as before."""
    _set(device, _Place(**place), on=False)


def _set(device: str, place: _Place, *, on: bool) -> None:
    if place.node is None:
        if (place.kubeconfig, place.context, place.device_config_file) != (None, None, None):
            raise click.UsageError("--kubeconfig, --context and --device-config-file need --node")
        where, uuid, changed = _here(device, place.simulate, on=on)
    elif place.simulate is not None:
        raise click.UsageError("--node is of a cluster and --simulate of this machine; give one of them")
    else:
        where = f"node {place.node}"
        uuid, changed = _on_node(device, place.node, place, on=on)
    state = "cordoned" if on else "in service"
    click.echo(f"card {uuid} of {where} is {state}" + ("" if changed else " already"))


def _here(device: str, simulate: str | None, *, on: bool) -> tuple[str, str, bool]:
    from hami_core.local.cordon import cordoned_cards, set_cordoned
    from hami_core.local.sight import look_at
    from hami_core.registry import load_registry
    from hami_core.uuids import complete_uuid

    registry = load_registry()
    machine = machine_of(simulate, registry)
    known = {card.probed.uuid for card in look_at(machine, registry).cards}
    if not on:
        known |= set(cordoned_cards(machine.folder))
    uuid = complete_uuid(known, device, where=machine.name)
    return machine.name, uuid, set_cordoned(machine.folder, uuid, on=on)


def _on_node(device: str, node: str, place: _Place, *, on: bool) -> tuple[str, bool]:
    import asyncio

    try:
        from hami_core.kube.api import connect
        from hami_core.kube.cordoning import set_cordon
    except ModuleNotFoundError as err:
        raise click.ClickException(f"{err.name} is not installed; pip install 'hami-core[kubernetes]'") from err
    from hami_core.registry import load_registry
    from hami_core.wire.device_config import ConfigSections

    file = place.device_config_file
    registry = load_registry(None if file is None else ConfigSections.load(file))

    async def work() -> tuple[str, bool]:
        async with connect(place.kubeconfig, place.context) as api:
            return await set_cordon(api, node, device, registry, on=on)

    return asyncio.run(work())
