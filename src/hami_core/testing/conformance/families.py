"""Checks of what a plugin declares: names, keys, units, templates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hami_core.errors import HamiError
from hami_core.family import Family, RegisterForm
from hami_core.hookspecs import PROJECT
from hami_core.manager import load_plugins
from hami_core.registry import load_registry
from hami_core.score import builtin
from hami_core.testing.child import touched_by_declaring
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.subject import Subject
from hami_core.wire.capacity import CapacityCodec
from hami_core.wire.device_config import ConfigSections
from hami_core.wire.register import RegisterCodec

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_KEY = re.compile(rf"(?:{_DOMAIN}/)?{_NAME}")
_RESOURCE = re.compile(rf"{_DOMAIN}/{_NAME}")
_WORD = re.compile(r"[a-z][a-z0-9_-]*")


def keys_of(family: Family) -> tuple[str, ...]:
    """Every annotation key that a family names."""
    wire, chosen = family.wire, family.selectors
    keys = (
        wire.register,
        wire.handshake,
        wire.to_allocate,
        wire.allocated,
        chosen.allow_types,
        chosen.deny_types,
        chosen.allow_uuids,
        chosen.deny_uuids,
        chosen.numa_bind,
        chosen.mode,
    )
    return tuple(key for key in keys if key)


def valid_key(key: str) -> bool:
    """Whether Kubernetes takes `key` as the key of an annotation."""
    return _KEY.fullmatch(key) is not None


@check("families", Ability.ANYTHING)
def something_is_declared(subject: Subject) -> None:
    """A plugin without families and policies does nothing, mostly because a hook lacks its @hookimpl."""
    info = next(info for info in subject.registry.plugins if info.source.name != builtin.__name__)
    require(
        subject.families or subject.policies,
        f"{subject.source} declares no family and no policy; its hooks are: {', '.join(info.hooks) or 'none'}",
        f"Answer {PROJECT}_families or {PROJECT}_policies, and put @hookimpl above the function.",
    )


@check("families")
def names_can_travel(subject: Subject) -> None:
    """Family names stand in annotations between commas, and Kubernetes refuses malformed keys."""
    for loaded in subject.families:
        family = loaded.family
        require(
            re.fullmatch(_NAME, family.name),
            f'family name "{family.name}" cannot stand in an annotation',
            "Use letters, digits, '-', '_' and '.'; it is written between ',' and ':' on every pod.",
        )
        require(
            _WORD.fullmatch(family.vendor),
            f'family {family.name}: vendor "{family.vendor}" is not a plain word',
            "Use lower-case letters and digits, as in --vendor acme.",
        )
        for key in keys_of(family):
            advice = "A key is an optional domain, a slash, and at most 63 letters, digits, '-', '_' and '.'."
            require(valid_key(key), f'family {family.name}: "{key}" is no key of an annotation', advice)


@check("families")
def resources_are_extended_resources(subject: Subject) -> None:
    """Kubernetes counts a resource for us only under a vendor's own domain."""
    for loaded in subject.families:
        for name in loaded.family.resources.names:
            domain = name.partition("/")[0]
            ours = domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")
            require(
                _RESOURCE.fullmatch(name) and ours,
                f'family {loaded.family.name}: "{name}" is not the name of an extended resource',
                "Write it as your-domain.com/name; kubernetes.io is reserved.",
            )
        names = loaded.family.resources.names
        require(
            len(set(names)) == len(names),
            f"family {loaded.family.name} uses one resource name for two things: {', '.join(names)}",
            "Give count, memory and cores names of their own.",
        )


@check("families")
def no_key_has_two_meanings(subject: Subject) -> None:
    """Two families that write one annotation would read each other's shares."""
    seen: dict[str, str] = {}
    for loaded in subject.families:
        wire = loaded.family.wire
        for key in filter(None, (wire.register, wire.handshake, wire.to_allocate, wire.allocated)):
            advice = "Put the family's name into the key, as in hami.io/<name>-devices-allocated."
            require(key not in seen, f"annotation {key} is {seen.get(key)}'s and {loaded.family.name}'s", advice)
            seen[key] = loaded.family.name


@check("families")
def it_loads_beside_every_installed_plugin(subject: Subject) -> None:
    """A cluster runs several vendors; a clash of names stops the start for all of them."""
    installed = [plugin.module for plugin in load_plugins(environ={}).plugins if plugin.module is not None]
    others = [module for module in installed if module not in (subject.module, builtin)]
    try:
        registry = load_registry(ConfigSections.empty(), [builtin, *others, subject.module])
    except HamiError as err:
        require(holds=False, found=str(err), advice="Choose names of your own, in your own domain.")
    taken = {
        loaded.family.wire.allocated: loaded.family
        for loaded in registry.families.values()
        if loaded.family.name not in subject.registry.families
    }
    for loaded in subject.families:
        other = taken.get(loaded.family.wire.allocated)
        found = f"{loaded.family.name} writes {loaded.family.wire.allocated}, which is {other and other.name}'s"
        require(other is None, found, "Choose an allocated key of your own.")


@check("families")
def declaring_twice_gives_the_same(subject: Subject) -> None:
    """The configuration is read again while the process runs; nothing may depend on when."""
    again = load_registry(ConfigSections.empty(), [builtin, subject.module])
    first = {name: loaded.family for name, loaded in subject.registry.families.items()}
    second = {name: loaded.family for name, loaded in again.families.items()}
    advice = "Make the families from tables and `config` alone: no clock, no environment, no counter."
    require(first == second, "hami_families answers differently the second time", advice)


@check("families", Ability.MODULE)
def declaring_touches_nothing(subject: Subject) -> None:
    """The webhook loads the plugin on a machine without cards; only the probe may look for hardware."""
    module = getattr(subject.module, "__name__", "")
    require(module, "the plugin is an object, not a module", "Point the entry point at a module.")
    touched = touched_by_declaring(module)
    require(
        not touched,
        f"importing {module} and declaring touches {', '.join(touched)}",
        "Import driver bindings inside the probe, and read the host only there.",
    )


@check("families")
def cards_are_heard_of(subject: Subject) -> None:
    """A family whose nodes register nowhere never has a card."""
    for loaded in subject.families:
        wire, resources = loaded.family.wire, loaded.family.resources
        if not isinstance(loaded.codec, RegisterCodec | CapacityCodec):
            continue
        advice = "Set wire.register, or register_form=CAPACITY with a cores resource, or answer hami_node_codec."
        by_capacity = wire.register_form is RegisterForm.CAPACITY
        heard = resources.cores if by_capacity else wire.register
        require(heard, f"family {loaded.family.name} has no way to hear of its cards", advice)


@check("families")
def numbers_agree_with_units(subject: Subject) -> None:
    """A default that no card can give rejects every pod that leaves it out."""
    for family in (loaded.family for loaded in subject.families):
        for found, advice in _unit_faults(family):
            require(holds=False, found=f"family {family.name}: {found}", advice=advice)


def _unit_faults(family: Family) -> Iterator[tuple[str, str]]:
    units, resources = family.units, family.resources
    if units.default_cores > units.cores_per_card:
        yield (
            f"default_cores is {units.default_cores} of {units.cores_per_card} {units.core_unit}",
            "Lower default_cores.",
        )
    if units.memory_unit_mib > 1 and resources.memory is None:
        yield (
            f"memory comes in units of {units.memory_unit_mib} MiB, but there is no memory resource",
            "Name resources.memory.",
        )
    if units.default_memory_mib is not None and units.default_memory_mib % units.memory_unit_mib:
        yield (
            f"default_memory_mib {units.default_memory_mib} is no multiple of {units.memory_unit_mib}",
            "Use a whole number of units.",
        )
    if units.default_count is not None and units.default_count < 1:
        yield f"default_count is {units.default_count}", "Use None, or 1 or more."
    names = [template.name for template in family.templates]
    if len(set(names)) != len(names):
        yield f"two templates have one name: {', '.join(names)}", "Name each template once."
    sizes = [template.memory_mib for template in family.templates]
    if sizes != sorted(sizes):
        yield f"templates are not in order of memory: {sizes}", "Sort them, the smallest first."
