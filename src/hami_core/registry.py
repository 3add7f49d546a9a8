"""The registry: every family, policy and machine that the loaded plugins declare, checked and indexed.

Built once at start (and again when the configuration changes). A family's behaviours are resolved here, the plugin's
own or the core's default, so that the hot path finds one object in one dict and calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from hami_core.behaviour import (
    Admitter,
    Allocator,
    FitBehaviour,
    NodeCodec,
    PlacementWriter,
    RequestParser,
)
from hami_core.errors import BadConfig, PluginFault, UnknownName
from hami_core.family import Family
from hami_core.manager import Plugin, PluginManager, Source, load_plugins

if TYPE_CHECKING:
    from hami_core.score.policy import Policy
    from hami_core.wire.device_config import ConfigSections

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class LoadedFamily:
    """A family with its plugin and its behaviours, each the plugin's own or the core's default."""

    family: Family
    source: Source
    codec: NodeCodec
    admit: Admitter
    request: RequestParser
    fit: FitBehaviour
    place: PlacementWriter | None
    allocate: Allocator | None


@attrs.frozen(kw_only=True)
class PluginInfo:
    """What `hami plugins` shows of one plugin."""

    source: Source
    families: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    problem: str = ""


@attrs.frozen(kw_only=True)
class Registry:
    """Everything the plugins declare, indexed. Iteration is sorted by name, so no answer depends on load order."""

    families: Mapping[str, LoadedFamily]
    by_resource: Mapping[str, LoadedFamily]
    policies: Mapping[tuple[str, str], Policy]
    machine_files: Mapping[str, Path]
    vendors: Mapping[str, Source]
    plugins: tuple[PluginInfo, ...]
    manager: PluginManager = attrs.field(repr=False)
    _observers: tuple[Plugin, ...] = attrs.field(init=False, repr=False, eq=False)

    @_observers.default
    def _observers_of_manager(self) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in self.manager.plugins if "hami_decided" in self.manager.hooks_of(plugin))

    def family(self, name: str) -> LoadedFamily:
        """The family of that name.

        Raises:
            UnknownName: no loaded plugin declares it.
        """
        try:
            return self.families[name]
        except KeyError:
            raise UnknownName(kind="device family", name=name, known=tuple(self.families)) from None

    def decided(self, *, pod: str, node: str | None, reason: str) -> None:
        """Tell observers of a decision. An observer that fails is left out of the answer, never in its way."""
        for plugin in self._observers:
            _guarded(partial(self.manager.ask, plugin, "hami_decided", pod=pod, node=node, reason=reason))


def load_registry(config: ConfigSections | None = None, plugins: Sequence[object] | None = None) -> Registry:
    """Load plugins and index what they declare.

    Args:
        config: the device configuration; None means every vendor's built-in defaults.
        plugins: modules or objects to load instead of the installed ones (tests, embedding).

    Raises:
        BadConfig: a section of `config` is wrong.
        PluginFault: two plugins claim one name, or a hook is misspelt.
    """
    if config is None:
        from hami_core.wire.device_config import ConfigSections as Sections  # noqa: PLC0415 - keeps YAML off this path

        config = Sections.empty()
    manager = load_plugins(plugins)
    return _Builder(manager=manager, config=config).build()


@attrs.define(kw_only=True)
class _Builder:
    """Collects declarations plugin by plugin; a fault of one plugin removes that plugin only."""

    manager: PluginManager
    config: ConfigSections
    families: dict[str, LoadedFamily] = attrs.field(factory=dict)
    resources: dict[str, LoadedFamily] = attrs.field(factory=dict)
    policies: dict[tuple[str, str], Policy] = attrs.field(factory=dict)
    policy_owner: dict[tuple[str, str], Source] = attrs.field(factory=dict)
    machines: dict[str, Path] = attrs.field(factory=dict)
    vendors: dict[str, Source] = attrs.field(factory=dict)
    infos: list[PluginInfo] = attrs.field(factory=list)

    def build(self) -> Registry:
        for plugin in self.manager.plugins:
            self.infos.append(self._add(plugin))
        by_count = {loaded.family.resources.count: loaded for loaded in self.families.values()}
        return Registry(
            families=_sorted(self.families),
            by_resource=_sorted(by_count),
            policies=_sorted(self.policies),
            machine_files=_sorted(self.machines),
            vendors=_sorted(self.vendors),
            plugins=tuple(self.infos),
            manager=self.manager,
        )

    def _add(self, plugin: Plugin) -> PluginInfo:
        if plugin.module is None:
            return PluginInfo(source=plugin.source, problem=plugin.problem)
        try:
            declared = self._ask(plugin, "hami_families", config=self.config) or ()
            loaded = [self._load(plugin, family) for family in declared]
            policies = list(self._ask(plugin, "hami_policies") or ())
            machines = list(self._ask(plugin, "hami_machines") or ())
        except (BadConfig, PluginFault):
            raise
        except Exception as err:  # noqa: BLE001 - a plugin's fault has the plugin as its only victim
            problem = f"{type(err).__name__}: {err}"
            return PluginInfo(source=plugin.source, hooks=self.manager.hooks_of(plugin), problem=problem)
        for item in loaded:
            self._claim(item)
        for policy in policies:
            self._claim_policy(policy, plugin.source)
        self.machines.update({path.stem: path for path in machines})
        return PluginInfo(
            source=plugin.source,
            families=tuple(sorted(item.family.name for item in loaded)),
            policies=tuple(sorted(f"{policy.kind}/{policy.name}" for policy in policies)),
            hooks=self.manager.hooks_of(plugin),
        )

    def _load(self, plugin: Plugin, family: Family) -> LoadedFamily:
        from hami_core.admission import table_admit  # noqa: PLC0415 - the defaults import the model, not the registry
        from hami_core.requests import table_request  # noqa: PLC0415
        from hami_core.wire.register import table_codec  # noqa: PLC0415

        def resolve(hook: str, default: Callable[[Family], T]) -> T:
            answer: T | None = self._ask(plugin, hook, family=family)
            return default(family) if answer is None else answer

        return LoadedFamily(
            family=family,
            source=plugin.source,
            codec=resolve("hami_node_codec", table_codec),
            admit=resolve("hami_admit", table_admit),
            request=resolve("hami_request", table_request),
            fit=resolve("hami_fit", lambda _family: FitBehaviour()),
            place=self._ask(plugin, "hami_place", family=family),
            allocate=self._ask(plugin, "hami_allocate", family=family),
        )

    def _ask(self, plugin: Plugin, hook: str, **arguments: Any) -> Any | None:
        return self.manager.ask(plugin, hook, **arguments)

    def _claim(self, item: LoadedFamily) -> None:
        taken = self.families.get(item.family.name)
        if taken is not None:
            raise _clash("device family", item.family.name, taken.source, item.source)
        for resource in item.family.resources.names:
            owner = self.resources.setdefault(resource, item)
            if owner is not item:
                raise _clash("resource", resource, owner.source, item.source)
        self.families[item.family.name] = item
        self.vendors.setdefault(item.family.vendor, item.source)

    def _claim_policy(self, policy: Policy, source: Source) -> None:
        key = (str(policy.kind), policy.name)
        owner = self.policy_owner.setdefault(key, source)
        if key in self.policies:
            raise _clash(f"{key[0]} policy", policy.name, owner, source)
        self.policies[key] = policy


def _clash(kind: str, name: str, first: Source, second: Source) -> PluginFault:
    problem = f"{kind} {name} is already served by {first}; uninstall one, or pin with HAMI_PLUGINS"
    return PluginFault(plugin=str(second), problem=problem)


def _sorted(items: Mapping[Any, T]) -> Mapping[Any, T]:
    return MappingProxyType(dict(sorted(items.items())))


def _guarded(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:
        import logging  # noqa: PLC0415 - cold path

        logging.getLogger(__name__).exception("an observer of hami_decided failed")
