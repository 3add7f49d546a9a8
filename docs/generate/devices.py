"""Every family of our vendors: what people write, in which units, and the annotations."""

from __future__ import annotations

from collections.abc import Iterator

from docs.generate.conformance import subjects

from hami_core.family import Family

_HEAD = """# Devices

What pods ask for, under the names of the default configuration. A resource that is left out stands for what the last
columns say. The examples of a vendor are in `examples/<vendor>/`.

"""
_WORDS = {
    "allow_types": "only these models",
    "deny_types": "any but these models",
    "allow_uuids": "only these cards",
    "deny_uuids": "any but these cards",
    "numa_bind": "cards of one NUMA node",
    "mode": "cards in this mode",
}


def page() -> str:
    """The page."""
    parts = [_HEAD]
    for vendor, subject in subjects().items():
        parts.append(f"## {vendor}\n\n")
        for loaded in subject.families:
            parts.extend(_family(loaded.family))
    return "".join(parts).rstrip() + "\n"


def _family(family: Family) -> Iterator[str]:
    yield f"### {family.name}\n\n| Resource | Counts | Left out |\n|---|---|---|\n"
    for name, counts, absent in _resources(family):
        yield f"| `{name}` | {counts} | {absent} |\n"
    selectors = [(getattr(family.selectors, field), words) for field, words in _WORDS.items()]
    chosen = ", ".join(f"`{key}` ({words})" for key, words in selectors if key)
    if chosen:
        yield f"\nAnnotations of a pod: {chosen}.\n"
    wire = family.wire
    node = f"`{wire.register}`" if wire.register else "the node's capacity"
    yield f"\nNodes say what they have in {node}; a placed pod says what it holds in `{wire.allocated}`.\n"
    if family.templates:
        sizes = ", ".join(f"{template.name} ({template.memory_mib} MiB)" for template in family.templates)
        yield f"\nTemplates: {sizes}, or a whole card.\n"
    yield "\n"


def _resources(family: Family) -> Iterator[tuple[str, str, str]]:
    resources, units = family.resources, family.units
    together = " of all cards together" if units.totals_are_split else " of each card"
    default = units.default_count
    yield resources.count, "cards", f"{default} card where another resource is asked for" if default else "no card"
    if resources.memory:
        unit = "MiB" if units.memory_unit_mib == 1 else f"pieces of {units.memory_unit_mib} MiB"
        whole = "all of it" if units.default_memory_mib is None else f"{units.default_memory_mib} MiB"
        yield resources.memory, f"{unit}{together}", whole
    if resources.memory_percent:
        yield resources.memory_percent, "percent of each card's memory", "see memory"
    if resources.cores:
        # A family whose cores are asked for in another unit than its cards have them keeps the people's unit here.
        unit = "sixteenths" if units.core_unit == "sixteenth" else "percent"
        limit = f"{units.default_cores} {unit}" if units.default_cores else "no limit"
        yield resources.cores, f"{unit} of the cores{together}", limit
    if resources.priority:
        yield resources.priority, "0 runs before 1", "no priority"
