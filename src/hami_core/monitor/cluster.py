"""A whole cluster: what its cards are promised to, by the API server, and what is used of them, by its monitors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from hami_core.errors import ApiFailed, HamiError
from hami_core.kube.cache import Cache
from hami_core.kube.doctor.look import Look, why
from hami_core.monitor.remote import CardNumbers, Measured, measure
from hami_core.objects import read_node
from hami_core.registry import load_registry

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.model import DeviceUse
    from hami_core.registry import Registry


@attrs.frozen(kw_only=True)
class ClusterCard:
    """A card that a node registers. What no monitor told of it is None."""

    node: str
    use: DeviceUse
    numbers: CardNumbers


@attrs.frozen(kw_only=True)
class ClusterShare:
    """A container's part of a card, as its pod's annotations promise it, and what a monitor told of it.

    `core_ratio` is the part of the card's time; None without a limit, or where the node does not register the card.
    """

    node: str
    namespace: str
    pod: str
    container: str
    family: str
    uuid: str
    memory_mib: int
    core_units: int
    core_ratio: float | None = None
    memory_used_bytes: int | None = None
    busy_ratio: float | None = None
    isolated: bool | None = None
    bypassed: bool = False  # a process of the pod is known to use a device past the library


@attrs.frozen(kw_only=True)
class ClusterNode:
    """A node with cards. `silent` says why nothing is known of what it uses; empty where its monitor answers."""

    name: str
    cards: tuple[ClusterCard, ...]
    shares: int
    silent: str = ""


@attrs.frozen(kw_only=True)
class ClusterView:
    """The cluster at one moment. `problems` are things that could not be read."""

    nodes: tuple[ClusterNode, ...] = ()
    shares: tuple[ClusterShare, ...] = ()
    problems: tuple[str, ...] = ()


async def look_at_cluster(api: ApiServer, *, only: Collection[str] = ()) -> ClusterView:
    """Read nodes and pods, and ask the monitor of every node that has cards.

    Args:
        api: the server; monitors are asked through it.
        only: names of the nodes to show; empty for all.

    Raises:
        ApiFailed: nodes or pods cannot be listed.
    """
    look = Look(api)
    problems: list[str] = []
    cache = Cache(await _registry(look, problems))
    for item in await look.items("/api/v1/nodes"):
        cache.put_node(read_node(item))
    for pod, _ in await look.pods():
        cache.put_pod(pod)
    named = sorted(name for name, found in cache.inventories.items() if found.devices and (not only or name in only))
    measured = await measure(look, named)
    shares = tuple(_shares(cache, measured, set(named)))
    problems += [text for about in sorted(cache.problems) for text in cache.problems[about]]
    return ClusterView(
        nodes=tuple(_node(cache, name, measured[name], shares) for name in named),
        shares=shares,
        problems=tuple(problems),
    )


async def _registry(look: Look, problems: list[str]) -> Registry:
    """The families, under the installation's configuration where it may be read."""
    try:
        return await look.registry()
    except ApiFailed as err:
        problems.append(f"the installation's device configuration is not known: {why(err)}")
    except HamiError as err:
        problems.append(str(err))
    return load_registry()


def _node(cache: Cache, name: str, measured: Measured, shares: tuple[ClusterShare, ...]) -> ClusterNode:
    cards = tuple(
        ClusterCard(node=name, use=use, numbers=measured.cards.get(use.device.uuid, CardNumbers()))
        for use in cache.fleet.uses(name)
    )
    return ClusterNode(
        name=name, cards=cards, shares=sum(share.node == name for share in shares), silent=measured.silent
    )


def _shares(cache: Cache, measured: Mapping[str, Measured], named: Collection[str]) -> Iterator[ClusterShare]:
    for pod in sorted(cache.placed.values(), key=lambda each: (each.namespace, each.name)):
        held = cache.fleet.holding(pod.key)
        if held is None or held.placement.node not in named:
            continue
        told, cards = measured[held.placement.node], cache.devices(held.placement.node)
        for container in held.placement.containers:
            for family, shares in container.shares.items():
                for share in shares:
                    card = cards.get(share.uuid)
                    numbers = told.shares.get((pod.namespace, pod.name, container.name, share.uuid))
                    yield ClusterShare(
                        node=held.placement.node,
                        namespace=pod.namespace,
                        pod=pod.name,
                        container=container.name,
                        family=family,
                        uuid=share.uuid,
                        memory_mib=share.memory_mib,
                        core_units=share.core_units,
                        core_ratio=share.core_units / card.core_units if card and share.core_units else None,
                        memory_used_bytes=None if numbers is None else numbers.memory_used_bytes,
                        busy_ratio=None if numbers is None else numbers.busy_ratio,
                        isolated=told.isolated.get((pod.namespace, pod.name, container.name)),
                        bypassed=(pod.namespace, pod.name) in told.bypassed,
                    )
