"""The plugin under examination: loaded alone with the core's policies, with cards to try it on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import attrs

from hami_core.admission import Admission, admit
from hami_core.behaviour import Probe
from hami_core.errors import PluginFault, UnknownName
from hami_core.family import Family, RegisterForm
from hami_core.local.machine import has_doubles, simulated
from hami_core.machine_file import SLOTS, MachineFile, read_machine
from hami_core.manager import GROUP, Source
from hami_core.model import Device, PodRequest
from hami_core.objects import NodeFacts, read_pod
from hami_core.registry import LoadedFamily, Registry, load_registry
from hami_core.remote.bridge import RemotePlugin, live_plugin
from hami_core.remote.places import place_of
from hami_core.requests import pod_request
from hami_core.score import builtin
from hami_core.score.policy import Policy
from hami_core.testing.conformance.check import Ability
from hami_core.wire.capacity import CapacityCodec
from hami_core.wire.device_config import ConfigSections
from hami_core.wire.register import RegisterCodec, encode_csv, encode_json

NODE = "node-a"
_PLAUSIBLE_CARDS = 4
_PLAUSIBLE_MIB = 65_536

Simulation = Callable[[Path], Mapping[str, str]]
"""Lays out a machine under a folder and returns the environment in which the probe sees it."""


@attrs.frozen(kw_only=True, slots=False)
class Subject:
    """A plugin and what the kit was told of it."""

    source: Source
    module: object
    registry: Registry
    machine: MachineFile | None = None
    docs: Path | None = None
    examples: Path | None = None
    simulate: Simulation | None = None

    @property
    def remote(self) -> bool:
        """Whether the plugin is a process of its own: no code to import, no hardware to take away."""
        return isinstance(self.module, RemotePlugin)

    @cached_property
    def families(self) -> tuple[LoadedFamily, ...]:
        """The plugin's families, by name."""
        return tuple(self.registry.families.values())

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """The plugin's own policies, by kind and name."""
        core = {(policy.kind, policy.name) for policy in builtin.POLICIES}
        return tuple(policy for key, policy in self.registry.policies.items() if key not in core)

    @cached_property
    def probes(self) -> Mapping[str, Probe]:
        """The plugin's probes by vendor."""
        plugin = next(plugin for plugin in self.registry.manager.plugins if plugin.module is self.module)
        found = {name: self.registry.manager.ask(plugin, "hami_probe", vendor=name) for name in self.registry.vendors}
        return {name: probe for name, probe in found.items() if probe is not None}

    def cards(self, loaded: LoadedFamily) -> tuple[Device, ...]:
        """Cards of a family as the plugin reads them from a node: those of the machine file, else plausible ones."""
        return loaded.codec.decode(self.node(loaded)) or self.written(loaded)

    def written(self, loaded: LoadedFamily) -> tuple[Device, ...]:
        """Cards of a family as the machine file has them; plausible ones where it has none."""
        only = len(self.families) == 1
        found = () if self.machine is None else self.machine.cards_of(loaded.family, only=only)
        return found or plausible_cards(loaded.family)

    def node(self, loaded: LoadedFamily) -> NodeFacts:
        """The node as the machine file has it, else as a node of the family would register its cards."""
        if self.machine is not None and self.machine.node is not None:
            return self.machine.node
        return registered(loaded.family, self.written(loaded))

    def registers(self, loaded: LoadedFamily) -> bool:
        """Whether the kit can write a node of the family: it registers in one of the core's forms."""
        if isinstance(loaded.codec, RegisterCodec | CapacityCodec):
            return True
        wire = loaded.family.wire
        known = wire.register is not None or wire.register_form is RegisterForm.CAPACITY
        return known and (self.machine is None or self.machine.node is None)

    def admit(self, pod: Mapping[str, Any]) -> Admission:
        """Admit a pod."""
        return admit(pod, self.registry)

    def request(self, pod: Mapping[str, Any]) -> PodRequest:
        """What an admitted pod asks for."""
        return pod_request(read_pod(pod), self.registry)

    def offers(self, ability: Ability) -> bool:
        """Whether the plugin has an ability, or the kit was told of it."""
        families = self.families
        return {
            Ability.ANYTHING: True,
            Ability.MODULE: not self.remote,
            Ability.FAMILIES: bool(families),
            Ability.POLICIES: bool(self.policies),
            Ability.REGISTER: any(self.registers(loaded) for loaded in families),
            Ability.PROBE: bool(self.probes),
            Ability.OWN_PROBE: bool(self.probes) and not self.remote,
            Ability.SIMULATION: bool(self.probes) and self.simulate is not None,
            Ability.CHOOSER: any(loaded.fit.chooser is not None for loaded in families),
            Ability.ALLOCATOR: any(loaded.allocate is not None for loaded in families),
            Ability.ISOLATION: any(loaded.family.isolation is not None for loaded in families),
            Ability.DOCS: self.docs is not None,
            Ability.EXAMPLES: self.examples is not None,
        }[ability]


def examine(
    plugin: str | object,
    *,
    machine: Path | None = None,
    docs: Path | None = None,
    examples: Path | None = None,
    simulate: Simulation | None = None,
) -> Subject:
    """Load a plugin for examination.

    Args:
        plugin: its module, its name as in `hami plugins`, or the name of its import package. A plugin in a process of
            its own must be running.
        machine: a machine file; None takes the first that the plugin ships, and plausible cards where it ships none.
        docs: its page of documentation.
        examples: a folder of example pods, with a ``cluster.yaml`` or to be tried on the machine.
        simulate: makes the probe see a machine.

    Raises:
        BadConfig: the machine file is none.
        PluginFault: the plugin cannot be loaded.
        RemoteFailed: it is a process of its own that does not answer.
        UnknownName: there is no such plugin.
    """
    source, module = _find(plugin)
    registry = load_registry(ConfigSections.empty(), [builtin, module])
    info = next(info for info in registry.plugins if info.source.name == _name(module))
    if info.problem:
        raise PluginFault(plugin=str(source), problem=info.problem)
    shipped = next(iter(registry.machine_files.values()), None)
    chosen = shipped if machine is None else machine
    return Subject(
        source=source,
        module=module,
        registry=registry,
        machine=None if chosen is None else read_machine(chosen),
        docs=docs,
        examples=examples,
        simulate=simulate or _doubles(registry, chosen),
    )


def _doubles(registry: Registry, machine: Path | None) -> Simulation | None:
    """A simulation by the driver doubles of the plugin's own package, where it has some."""
    if machine is None or not has_doubles(registry, None):
        return None
    return lambda _folder: simulated(str(machine), registry).simulation(registry)


def _find(plugin: str | object) -> tuple[Source, object]:
    if not isinstance(plugin, str):
        return Source(name=_name(plugin)), plugin
    for entry in metadata.entry_points(group=GROUP, name=plugin):
        dist = entry.dist
        source = Source(name=plugin, distribution=dist.name if dist else "", version=dist.version if dist else "")
        return source, _imported(entry.value)
    place = place_of(plugin, os.environ)
    if place.socket.exists():
        module = live_plugin(place)
        return Source(name=plugin, distribution=str(place.socket), version=module.described.version), module
    if not plugin.replace(".", "").isidentifier():
        known = tuple(sorted({entry.name for entry in metadata.entry_points(group=GROUP)}))
        raise UnknownName(kind="plugin", name=plugin, known=known)
    return Source(name=plugin), _imported(plugin)


def _imported(name: str) -> object:
    try:
        return import_module(name)
    except ModuleNotFoundError as err:
        if err.name is None or not name.startswith(err.name):
            raise PluginFault(plugin=name, problem=f"cannot be loaded: {err}") from err
        known = tuple(sorted({entry.name for entry in metadata.entry_points(group=GROUP)}))
        raise UnknownName(kind="plugin", name=name, known=known) from err
    except Exception as err:  # whatever a plugin raises at import is its own fault, and said so
        raise PluginFault(plugin=name, problem=f"cannot be loaded: {type(err).__name__}: {err}") from err


def _name(module: object) -> str:
    return getattr(module, "__name__", None) or type(module).__name__


def plausible_cards(family: Family) -> tuple[Device, ...]:
    """Four cards of 64 GiB, for a family of which no machine file tells."""
    return tuple(
        Device(
            uuid=f"{family.name}-{index}",
            family=family.name,
            model=family.name,
            index=index,
            memory_mib=_PLAUSIBLE_MIB,
            core_units=family.units.cores_per_card,
            slots=SLOTS,
            numa=index // 2,
            mode="hami-core",
        )
        for index in range(_PLAUSIBLE_CARDS)
    )


def registered(family: Family, cards: Sequence[Device], name: str = NODE) -> NodeFacts:
    """A node that registers `cards` in the family's form."""
    if family.wire.register_form is RegisterForm.CAPACITY:
        unit = family.units.memory_unit_mib
        amounts = {
            family.resources.count: len(cards),
            family.resources.cores: sum(card.core_units for card in cards),
            family.resources.memory: sum(card.memory_mib for card in cards) // unit,
        }
        capacity = {resource: str(amount) for resource, amount in amounts.items() if resource}
        return NodeFacts(name=name, capacity=capacity, allocatable=capacity)
    if family.wire.register is None:
        return NodeFacts(name=name)
    csv = family.wire.register_form is RegisterForm.CSV
    text = encode_csv(cards) if csv else encode_json(cards, custom=True)
    return NodeFacts(name=name, annotations={family.wire.register: text})


def pod_item(
    *containers: Mapping[str, object], annotations: Mapping[str, str] | None = None, name: str = "trial"
) -> dict[str, Any]:
    """A Pod object with a container for each mapping of limits."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": dict(annotations or {})},
        "spec": {
            "containers": [
                {"name": f"c{index}", "image": "ubuntu:24.04", "resources": {"limits": dict(limits)}}
                for index, limits in enumerate(containers)
            ]
        },
    }


def node_item(node: NodeFacts) -> dict[str, Any]:
    """A Node object."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "annotations": dict(node.annotations), "labels": dict(node.labels)},
        "status": {"capacity": dict(node.capacity), "allocatable": dict(node.allocatable)},
    }
