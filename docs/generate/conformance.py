"""What our own vendors are held to: the rules of the kit, and which of them apply to whom."""

from __future__ import annotations

from itertools import groupby

from tests.conformance import test_vendors

from hami_core.testing import PluginConformance
from hami_core.testing.conformance import CHECKS, Subject

_HEAD = """# Conformance

Every plugin is held to the rules below by `hami_core.testing`; see [write a vendor plugin](plugins/write-a-vendor.md).
The tests of this repository run them all for our own vendors, so what stands here as kept is kept.

A dash stands where the plugin does not offer what the rule is about.

"""


def subjects() -> dict[str, Subject]:
    """Our vendors as the tests examine them, by name; of several machines the first."""
    classes = (value for value in vars(test_vendors).values() if isinstance(value, type))
    kits = [kit for kit in classes if issubclass(kit, PluginConformance) and kit is not PluginConformance]
    found: dict[str, Subject] = {}
    for kit in kits:
        found.setdefault(getattr(kit.plugin, "__name__", "").removeprefix("hami_"), kit.subject())
    return dict(sorted(found.items()))


def page() -> str:
    """The page."""
    vendors = subjects()
    lines = [_HEAD]
    for group, checks in groupby(CHECKS, key=lambda check: check.group):
        lines.append(f"## {group.capitalize()}\n\n")
        lines.append(f"| Rule, and why | {' | '.join(vendors)} |\n")
        lines.append(f"|---|{'---|' * len(vendors)}\n")
        for check in checks:
            marks = " | ".join("kept" if subject.offers(check.needs) else "-" for subject in vendors.values())
            lines.append(f"| **{check.title}**: {check.why} | {marks} |\n")
        lines.append("\n")
    machines = ", ".join(
        f"{name} on `{subject.machine.name}`" for name, subject in vendors.items() if subject.machine is not None
    )
    lines.append(f"Tried on: {machines}. NVIDIA is tried on `a100-mig` as well, where partitions are kept.\n")
    return "".join(lines)
