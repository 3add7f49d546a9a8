"""What the monitors of other nodes measure, read from their metrics through the API server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from prometheus_client.parser import text_string_to_metric_families

from hami_core.errors import ApiFailed
from hami_core.kube.api import path_of
from hami_core.kube.doctor.look import Item, why

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

    from hami_core.kube.doctor.look import Look

LABELS = "app.kubernetes.io/component=monitor"
"""What the chart writes on monitors' pods."""

_PODS = "/api/v1/pods"
_COMMAND = ["hami", "monitor"]
_PORT = 9394
_AT_ONCE = 32
_PATIENCE_S = 10.0
_CARD_METRICS = {
    "hami_device_memory_used_bytes": "memory_used_bytes",
    "hami_device_utilization_ratio": "busy_ratio",
    "hami_device_memory_drift_bytes": "drift_bytes",
}
_SHARE_METRICS = {"hami_share_memory_used_bytes": "memory_used_bytes", "hami_share_utilization_ratio": "busy_ratio"}
_ISOLATED = "hami_isolation_active"
_BYPASS = "hami_isolation_bypass_bytes"


@attrs.frozen(kw_only=True)
class CardNumbers:
    """What a monitor measured of a card; None where the driver, or the monitor, does not tell."""

    memory_used_bytes: int | None = None
    busy_ratio: float | None = None
    drift_bytes: int | None = None


@attrs.frozen(kw_only=True)
class ShareNumbers:
    """What a monitor measured of a container on one card."""

    memory_used_bytes: int | None = None
    busy_ratio: float | None = None


@attrs.frozen(kw_only=True)
class Measured:
    """One node's numbers: of cards by UUID, of shares by namespace, pod, container and UUID.

    `isolated` is by namespace, pod and container; `bypassed` are namespace and name of pods that use a device past the
    library. `silent` says why there are none.
    """

    cards: Mapping[str, CardNumbers] = attrs.field(factory=dict, hash=False)
    shares: Mapping[tuple[str, str, str, str], ShareNumbers] = attrs.field(factory=dict, hash=False)
    isolated: Mapping[tuple[str, str, str], bool] = attrs.field(factory=dict, hash=False)
    bypassed: frozenset[tuple[str, str]] = frozenset()
    silent: str = ""


async def measure(look: Look, nodes: Collection[str]) -> dict[str, Measured]:
    """Ask the monitor of each node; one that does not answer costs its own node its numbers.

    Args:
        look: reads the cluster.
        nodes: their names.
    """
    try:
        pods = await look.items(_PODS, LABELS)
    except ApiFailed as err:
        return dict.fromkeys(nodes, Measured(silent=f"monitors cannot be looked for: {why(err)}"))
    monitors = {node: item for item in pods for node in _nodes_of(item)}
    few = asyncio.Semaphore(_AT_ONCE)

    async def ask(node: str) -> Measured:
        if node not in monitors:
            return Measured(silent="no monitor runs there")
        async with few:
            return await _ask(look, monitors[node])

    answers = await asyncio.gather(*(ask(node) for node in nodes))
    return dict(zip(nodes, answers, strict=True))


def _nodes_of(item: Item) -> Iterator[str]:
    """The node of a pod, if it is a monitor that runs."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    container = (spec.get("containers") or [{}])[0]
    if (container.get("command") or [])[:2] == _COMMAND and status.get("phase") == "Running" and spec.get("nodeName"):
        yield spec["nodeName"]


async def _ask(look: Look, item: Item) -> Measured:
    meta, container = item["metadata"], item["spec"]["containers"][0]
    port = next(
        (each["containerPort"] for each in container.get("ports") or () if each.get("name") == "metrics"), _PORT
    )
    path = path_of("api", "v1", "namespaces", meta["namespace"], "pods") + f"/http:{meta['name']}:{port}/proxy/metrics"
    try:
        async with asyncio.timeout(_PATIENCE_S):
            text = (await look.api.get(path, timeout_s=_PATIENCE_S)).decode()
        return read_metrics(text)
    except TimeoutError:
        return Measured(silent=f"its monitor {meta['name']} does not answer within {_PATIENCE_S:.0f} s")
    except ApiFailed as err:
        return Measured(silent=f"its monitor {meta['name']} cannot be asked: {why(err)}")
    except ValueError as err:
        return Measured(silent=f"what its monitor {meta['name']} says is no metrics: {err}")


def read_metrics(text: str) -> Measured:
    """Find the numbers in Prometheus' text.

    Raises:
        ValueError: it is something else.
    """
    cards: dict[str, dict[str, float]] = {}
    shares: dict[tuple[str, str, str, str], dict[str, float]] = {}
    isolated: dict[tuple[str, str, str], bool] = {}
    bypassed: set[tuple[str, str]] = set()
    for sample in _samples(text):
        labels = sample.labels
        uuid = labels.get("device_uuid", "")
        owner = labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", "")
        if sample.name in _CARD_METRICS:
            cards.setdefault(uuid, {})[_CARD_METRICS[sample.name]] = sample.value
        elif sample.name in _SHARE_METRICS:
            shares.setdefault((*owner, uuid), {})[_SHARE_METRICS[sample.name]] = sample.value
        elif sample.name == _ISOLATED:
            # A container of several families has one sample for each of them under one name: all must be held.
            isolated[owner] = isolated.get(owner, True) and sample.value == 1
        elif sample.name == _BYPASS and sample.value > 0:
            bypassed.add(owner[:2])
    return Measured(
        cards={uuid: CardNumbers(**_whole(found)) for uuid, found in cards.items()},
        shares={place: ShareNumbers(**_whole(found)) for place, found in shares.items()},
        isolated=isolated,
        bypassed=frozenset(bypassed),
    )


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from (sample for sample in family.samples if math.isfinite(sample.value))


def _whole(found: Mapping[str, float]) -> dict[str, Any]:
    return {name: int(value) if name.endswith("_bytes") else value for name, value in found.items()}
