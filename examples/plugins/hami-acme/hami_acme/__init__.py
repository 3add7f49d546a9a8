"""Acme NPUs, which do not exist: a vendor plugin with everything in it.

What differs from other vendors: a card is cut into fixed templates, so admission rounds memory up to one; nodes register
in a form of Acme's own; eight cards form a ring, and cards of one container want to be neighbours on it.

Modules: `templates` (admission), `register` (the node's annotation), `ring` (choice of cards), `container` (what a
container needs), `probe` (the only one that touches the driver). `native/` builds the library that holds a process to its
share, and a double of the driver to try it on.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from hami_core import hookimpl
from hami_core.behaviour import Admitter, Allocator, FitBehaviour, NodeCodec, PlacementWriter, Probe
from hami_core.family import Family, Isolation, Resources, SelectorKeys, Template, Units, WireNames
from hami_core.wire.device_config import ConfigSections

from hami_acme.container import VISIBLE, AcmeContainer
from hami_acme.register import REGISTER, AcmeRegister
from hami_acme.ring import choose_neighbours, wants_neighbours
from hami_acme.templates import TemplateAdmit, TemplateNames

VENDOR = "acme"
HAMI_API = ">=1,<2"

FAMILY = Family(
    name="ACME",
    vendor=VENDOR,
    resources=Resources(count="acme.com/npu", memory="acme.com/npu-memory"),
    units=Units(core_unit="AI core", cores_per_card=20),
    wire=WireNames(
        register=REGISTER,
        handshake="acme.com/node-handshake",
        to_allocate="acme.com/devices-to-allocate",
        allocated="acme.com/devices-allocated",
    ),
    selectors=SelectorKeys(allow_uuids="acme.com/use-npu", deny_uuids="acme.com/nouse-npu"),
    templates=(
        # name               memory        cores: all invented
        Template(name="vir05", memory_mib=16_384, core_units=5),
        Template(name="vir10", memory_mib=32_768, core_units=10),
    ),
    runtime_class="acme",
    isolation=Isolation(
        library="lib/libhami_acme.so",
        simulator_dir="lib/fake/acme",
        simulated_probe=False,  # the double is of the runtime; the probe reads the driver's files
        visible_env=VISIBLE,
    ),
)


@hookimpl
def hami_families(config: ConfigSections) -> Iterable[Family]:
    """One family; there is nothing to configure."""
    return (FAMILY,)


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return sorted((Path(str(files(__name__))) / "machines").glob("*.json"))


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """The driver's files, read in a child process."""
    if vendor != VENDOR:
        return None
    from hami_acme.probe import probe

    return probe


@hookimpl
def hami_node_codec(family: Family) -> NodeCodec:
    """Acme's own annotation."""
    return AcmeRegister(family)


@hookimpl
def hami_admit(family: Family) -> Admitter:
    """Round memory up to a template."""
    return TemplateAdmit(family)


@hookimpl
def hami_fit(family: Family) -> FitBehaviour:
    """Neighbours on the ring for containers that ask for several cards."""
    return FitBehaviour(chooser=choose_neighbours, chooses=wants_neighbours)


@hookimpl
def hami_place(family: Family) -> PlacementWriter:
    """Which template each share is."""
    return TemplateNames(family)


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """Device nodes and the variable that Acme's runtime reads."""
    return AcmeContainer(family)
