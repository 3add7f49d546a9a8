"""A small cluster of NVIDIA cards, as objects and as a cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import hami_nvidia
from hami_core.kube.binding import Binding
from hami_core.kube.cache import Cache
from hami_core.kube.decisions import Decisions
from hami_core.kube.events import Events
from hami_core.kube.explanations import Explanations
from hami_core.kube.filtering import Filtering
from hami_core.kube.records import decode_node
from hami_core.kube.settings import Settings
from hami_core.registry import Registry, load_registry
from hami_core.score import builtin
from hami_core.wire.extender import FilterArgs, decode_filter_args

Object = dict[str, Any]
CARD_MIB = 10000
LOCK = "hami.io/mutex.lock"


def registry() -> Registry:
    return load_registry(plugins=[hami_nvidia, builtin])


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def node(name: str, cards: int = 1, *, late: bool = True, **annotations: str) -> Object:
    devices = [
        {"id": f"GPU-{name}-{at}", "index": at, "count": 4, "devmem": CARD_MIB, "devcore": 100, "type": "NVIDIA A40"}
        | {"mode": "hami-core", "health": True}
        for at in range(cards)
    ]
    told = {"hami.io/node-nvidia-register": json.dumps(devices), **annotations}
    if late:
        told["hami.io/binding"] = "late"
    return {
        "kind": "Node",
        "metadata": {"name": name, "annotations": told},
        "status": {"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": "8"}},
    }


def pod(
    name: str, memory_mib: int | str = 6000, *, annotations: Mapping[str, str] | None = None, **spec: Any
) -> Object:
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": str(memory_mib)} if memory_mib else {}
    return {
        "kind": "Pod",
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": f"uid-{name}",
            "annotations": dict(annotations or {}),
            "resourceVersion": "1",
        },
        "spec": {"containers": [{"name": "main", "resources": {"limits": limits}}], **spec},
        "status": {"phase": "Pending"},
    }


def placed(name: str, card: str, node_name: str, memory_mib: int = 6000, *, bound: bool = True) -> Object:
    held = f"{card},NVIDIA,{memory_mib},0:;"
    told = {"hami.io/vgpu-node": node_name, "hami.io/vgpu-devices-allocated": held}
    return pod(name, memory_mib, annotations=told, **({"nodeName": node_name} if bound else {}))


def cache_of(*nodes: Object, clock: Clock | None = None) -> Cache:
    cache = Cache(registry(), clock=clock or Clock())
    for item in nodes:
        cache.put_node(decode_node(json.dumps(item).encode()))
    return cache


class Desk:
    """Filter and bind over one cache, and what they said."""

    def __init__(
        self, cache: Cache, settings: Settings | None = None, api: Any = None, *, leading: bool = True
    ) -> None:
        self.cache = cache
        self.settings = settings or Settings()
        self.explanations = Explanations()
        self.events = Events(api, component="hami-scheduler")
        self.leading = leading
        self.at_once = True
        decisions = Decisions(cache.registry, self.events, self.explanations)
        self.filtering = Filtering(cache, decisions, self.settings)
        self.binding = Binding(
            api, cache, decisions, self.settings, leading=lambda: self.leading, at_once=lambda: self.at_once
        )


def ask(item: Object, *names: str, nodes: list[Object] | None = None) -> FilterArgs:
    """The extender's question, through its bytes."""
    body: Object = {"Pod": item}
    if nodes is None:
        body["NodeNames"] = list(names)
    else:
        body["Nodes"] = {"metadata": {}, "items": nodes}
    return decode_filter_args(json.dumps(body).encode())
