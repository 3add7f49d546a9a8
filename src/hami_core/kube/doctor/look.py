"""What checks look at: collections of the API server, each read once, and the installation found in them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from hami_core.errors import ApiFailed, BadConfig, BadWire
from hami_core.kube.api import ApiServer, path_of
from hami_core.kube.cache import Cache
from hami_core.objects import read_node, read_pod
from hami_core.quota import read_quota
from hami_core.registry import Registry, load_registry
from hami_core.wire.device_config import ConfigSections

if TYPE_CHECKING:
    from hami_core.objects import PodFacts

Item = Mapping[str, Any]

WEBHOOK = "vgpu.hami.io"
"""The name that the chart, like HAMi's, gives the webhook."""

DEVICE_CONFIG = "device-config.yaml"
_PAGE = "500"
_METRICS_PORT = 9395
_SAMPLE = re.compile(r"^(hami_scheduler_[a-z_]+|hami_build_info)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@attrs.frozen(kw_only=True)
class Wanted:
    """What the caller says about the cluster.

    `namespace`: where the chart is installed; without it it is looked for. `metrics`: reads a scheduler's metrics where
    the API server cannot reach its pods. `pending_s`: how long a pod may wait before it is asked why.
    """

    namespace: str | None = None
    metrics: Callable[[], str] | None = None
    pending_s: float = 30.0


@attrs.frozen(kw_only=True)
class Home:
    """The Deployment that runs `hami scheduler`, as its manifest says."""

    namespace: str
    name: str
    item: Item = attrs.field(repr=False)

    @property
    def pod(self) -> Item:
        """The pod template's spec."""
        spec: Item = self.item["spec"]["template"]["spec"]
        return spec

    @property
    def account(self) -> str:
        """The user that it is to the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.pod.get('serviceAccountName') or 'default'}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Its arguments."""
        return tuple(self.pod["containers"][0].get("args") or ())

    def values(self, flag: str) -> tuple[str, ...]:
        """What a flag was given, each time it is there."""
        return tuple(word.partition("=")[2] for word in self.flags if word.startswith(f"{flag}="))

    def value(self, flag: str, default: str) -> str:
        """What a flag was given last."""
        return (default, *self.values(flag))[-1]

    @property
    def scheduler_name(self) -> str:
        """What the webhook writes in pods."""
        return self.value("--scheduler-name", "hami-scheduler")

    def config_map(self) -> str | None:
        """The ConfigMap that is mounted as its device configuration."""
        maps = [(volume.get("configMap") or {}).get("name") for volume in self.pod.get("volumes") or ()]
        return next((name for name in maps if name), None)


class Look:
    """Reads, and remembers.

    Args:
        api: the server.
        wanted: what the caller says.
        clock: the time now.
    """

    def __init__(
        self, api: ApiServer, wanted: Wanted | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.api = api
        self.wanted = wanted or Wanted()
        self.now = clock()
        self._kept: dict[tuple[str, str], asyncio.Task[tuple[Item, ...]]] = {}
        self._home: asyncio.Task[Home | None] | None = None
        self._cache: asyncio.Task[Cache] | None = None

    async def read(self, path: str) -> Item:
        """One object. Raises ApiFailed."""
        found: Item = msgspec.json.decode(await self.api.get(path))
        return found

    async def items(self, path: str, labels: str = "") -> tuple[Item, ...]:
        """All objects of a collection. Raises ApiFailed."""
        key = path, labels
        if key not in self._kept:
            self._kept[key] = asyncio.ensure_future(self._list(path, labels))
        return await self._kept[key]

    async def post(self, path: str, body: Item) -> Item:
        """The answer to a question that is put as an object. Raises ApiFailed."""
        found: Item = msgspec.json.decode(await self.api.post(path, body))
        return found

    async def home(self) -> Home | None:
        """Where `hami scheduler` is installed; None where it is not. Raises ApiFailed."""
        if self._home is None:
            self._home = asyncio.ensure_future(self._find_home())
        return await self._home

    async def cache(self) -> Cache:
        """The cluster as the scheduler sees it, under its device configuration. Raises ApiFailed, BadConfig."""
        if self._cache is None:
            self._cache = asyncio.ensure_future(self._read_cluster())
        return await self._cache

    async def pods(self) -> list[tuple[PodFacts, Item]]:
        """All pods that can be read. Raises ApiFailed."""
        found = []
        for item in await self.items("/api/v1/pods"):
            try:
                found.append((read_pod(item), item))
            except BadWire:
                continue  # a pod without a name cannot come from an API server
        return found

    async def metrics(self) -> list[tuple[str, dict[str, float]]]:
        """By replica: what `hami scheduler` measures of itself. Raises ApiFailed."""
        if self.wanted.metrics is not None:
            return [("hami scheduler", samples(await asyncio.to_thread(self.wanted.metrics)))]
        home = await self.home()
        if home is None:
            return []
        selector = home.item["spec"]["selector"].get("matchLabels") or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = await self.items(path_of("api", "v1", "namespaces", home.namespace, "pods"), labels)
        port = home.value("--metrics-bind-address", f":{_METRICS_PORT}").rpartition(":")[2]
        names = [pod["metadata"]["name"] for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
        base = path_of("api", "v1", "namespaces", home.namespace, "pods")
        texts = [(await self.api.get(f"{base}/http:{name}:{port}/proxy/metrics")).decode() for name in names]
        return [(f"pod {name}", samples(text)) for name, text in zip(names, texts, strict=True)]

    async def _list(self, path: str, labels: str) -> tuple[Item, ...]:
        params = {"limit": _PAGE} | ({"labelSelector": labels} if labels else {})
        found: list[Item] = []
        while True:
            page = msgspec.json.decode(await self.api.get(path, params, timeout_s=60))
            found.extend(page.get("items") or ())
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return tuple(found)
            params = params | {"continue": more}

    async def _find_home(self) -> Home | None:
        namespace = self.wanted.namespace
        where = ("namespaces", namespace) if namespace else ()
        for item in await self.items(path_of("apis", "apps", "v1", *where, "deployments")):
            containers = item["spec"]["template"]["spec"].get("containers") or [{}]
            if (containers[0].get("command") or [])[:2] == ["hami", "scheduler"]:
                return Home(namespace=item["metadata"]["namespace"], name=item["metadata"]["name"], item=item)
        return None

    async def registry(self) -> Registry:
        """The families, under the installation's device configuration. Raises ApiFailed, BadConfig."""
        home = await self.home()
        name = None if home is None else home.config_map()
        if home is None or name is None:
            return load_registry()
        path = path_of("api", "v1", "namespaces", home.namespace, "configmaps", name)
        data = (await self.read(path)).get("data") or {}
        try:
            return load_registry(ConfigSections.parse(data[DEVICE_CONFIG]))
        except KeyError as err:
            where = f"ConfigMap {home.namespace}/{name}"
            raise BadConfig(file=where, problem=f"has no {DEVICE_CONFIG}") from err

    async def _read_cluster(self) -> Cache:
        home = await self.home()
        selector = "" if home is None else home.value("--node-label-selector", "")
        cache = Cache(await self.registry())
        for item in await self.items("/api/v1/nodes", selector):
            cache.put_node(read_node(item))
        for pod, _ in await self.pods():
            cache.put_pod(pod)
        for item in await self.items("/api/v1/resourcequotas"):
            cache.put_quota(read_quota(item, cache.registry))
        return cache


def samples(text: str) -> dict[str, float]:
    """What a scheduler measures of itself, by name; `hami_build_info` by ``hami_build_info:VERSION``."""
    found = {}
    for name, labels, value in _SAMPLE.findall(text):
        version = re.search(r'version="([^"]*)"', labels)
        try:
            found[f"{name}:{version[1]}" if version else name.removesuffix("_total")] = float(value)
        except ValueError:
            continue
    return found


async def allowed(look: Look, user: str | None, right: Mapping[str, str]) -> bool:
    """Whether the API server would let a user, or the caller, do something.

    Raises:
        ApiFailed: the caller may not ask.
    """
    kind = "SelfSubjectAccessReview" if user is None else "SubjectAccessReview"
    spec = {"resourceAttributes": dict(right)} | ({} if user is None else {"user": user, "groups": groups(user)})
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec}
    answer = await look.post(path_of("apis", "authorization.k8s.io", "v1", f"{kind.lower()}s"), body)
    return bool((answer.get("status") or {}).get("allowed"))


def groups(user: str) -> list[str]:
    """The groups that a service account is in."""
    namespace = user.split(":")[2]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def why(err: ApiFailed) -> str:
    """What the API server said, in one line."""
    return " ".join(err.problem.split())
