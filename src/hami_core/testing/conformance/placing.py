"""Checks of what follows a decision: annotations, the container's edits, the isolation library."""

from __future__ import annotations

import re
from pathlib import Path

from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.family import VisibleForm
from hami_core.fit import Fleet
from hami_core.inventory import read_holding
from hami_core.model import Device, DeviceShare, Placement, PodRequest
from hami_core.objects import NodeFacts, read_pod
from hami_core.packaged import NotInstalled, package_of, packaged
from hami_core.placement import BIND_PHASE, BIND_TIME, NODE, TIME, placement_annotations
from hami_core.registry import LoadedFamily
from hami_core.testing.child import loading_fails
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.families import valid_key
from hami_core.testing.conformance.subject import NODE as NODE_NAME
from hami_core.testing.conformance.subject import Subject, pod_item

_NOW_NS = 1_700_000_000_123_456_789
_CORES_OWN = frozenset({NODE, TIME, BIND_PHASE, BIND_TIME})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PERMISSIONS = re.compile(r"r?w?m?")


def _placed(subject: Subject, loaded: LoadedFamily) -> tuple[PodRequest, Placement, dict[str, Device]]:
    """The simplest pod on the idle machine."""
    item = subject.admit(pod_item({loaded.family.resources.count: 1})).pod
    pod = subject.request(item)
    cards = subject.cards(loaded)
    fleet = Fleet(subject.registry)
    fleet.upsert_node(NodeFacts(name=NODE_NAME), cards)
    best = fleet.decide(pod).best
    require(
        best, f"{loaded.family.name}: nothing fits the idle machine", "See: an idle machine takes the simplest pod."
    )
    assert best is not None
    return pod, best.placement, {card.uuid: card for card in cards}


def _written(subject: Subject, loaded: LoadedFamily) -> dict[str, str]:
    pod, placement, devices = _placed(subject, loaded)
    return placement_annotations(placement, pod, subject.registry, devices, now_ns=_NOW_NS)


@check("placement")
def a_placement_is_read_back_from_the_pod(subject: Subject) -> None:
    """After a restart the scheduler knows only what stands on the pods."""
    for loaded in subject.families:
        _, placement, _ = _placed(subject, loaded)
        item = pod_item({loaded.family.resources.count: 1}, annotations=_written(subject, loaded))
        holding = read_holding(read_pod(item), subject.registry)
        require(holding and not holding.problems, f"the placement cannot be read: {holding}", "Correct hami_place.")
        assert holding is not None
        read = holding.placement.shares_of(loaded.family.name)
        found = f"{loaded.family.name}: {placement.shares_of(loaded.family.name)} is read back as {read}"
        require(read == placement.shares_of(loaded.family.name), found, "Let wire.allocated be this family's alone.")


@check("placement")
def annotations_of_a_bind_are_well_formed(subject: Subject) -> None:
    """One malformed annotation makes the API server refuse the bind."""
    for loaded in subject.families:
        for key, value in _written(subject, loaded).items():
            found = f"{loaded.family.name}: a bind writes {key!r}: {value!r}"
            require(isinstance(value, str) and valid_key(key), found, "Write strings under keys that Kubernetes takes.")


@check("placement")
def a_writer_keeps_to_its_own_keys(subject: Subject) -> None:
    """The core's annotations say where the pod goes; a vendor's must not say otherwise."""
    for loaded in subject.families:
        if loaded.place is None:
            continue
        pod, placement, devices = _placed(subject, loaded)
        own = loaded.place(placement, devices, pod, _NOW_NS)
        wire = loaded.family.wire
        taken = _CORES_OWN.union(filter(None, (wire.allocated, wire.to_allocate))).intersection(own)
        require(not taken, f"hami_place writes {', '.join(sorted(taken))}", "Leave the core's annotations to the core.")
        same = own == loaded.place(placement, devices, pod, _NOW_NS)
        require(same, "hami_place answers differently the second time", "The time is an argument; read no clock.")
        empty = loaded.place(Placement(node=NODE_NAME), {}, pod, _NOW_NS)
        require(not empty, f"a pod without {loaded.family.name} cards gets {empty}", "Return {} for it.")


@check("allocation", Ability.ALLOCATOR)
def edits_of_a_container_are_well_formed(subject: Subject) -> None:
    """Nodes and runtimes take strings, absolute paths and r, w, m."""
    for loaded in subject.families:
        edits = _edits(subject, loaded, count=2)
        if edits is None:
            continue
        for name, value in edits.env.items():
            good = _VARIABLE.fullmatch(name) is not None and isinstance(value, str) and "\x00" not in value
            require(good, f"environment {name!r}: {value!r}", "Write strings; letters, digits and '_' in names.")
        for mount in edits.mounts:
            good = mount.host_path.startswith("/") and mount.container_path.startswith("/")
            require(good, f"mount {mount}", "Use absolute paths on both sides.")
        targets = [mount.container_path for mount in edits.mounts]
        require(len(set(targets)) == len(targets), f"two mounts on one place: {targets}", "Mount each place once.")
        for path, permissions in edits.device_nodes:
            good = path.startswith("/dev/") and bool(permissions) and _PERMISSIONS.fullmatch(permissions) is not None
            require(good, f"device node {path!r}, {permissions!r}", "Name a path under /dev and rwm or fewer.")
        same = edits == _edits(subject, loaded, count=2)
        require(same, "hami_allocate answers differently the second time", "Make it a function of its argument.")


@check("allocation", Ability.ALLOCATOR)
def a_container_sees_its_cards_and_no_others(subject: Subject) -> None:
    """The variable that selects cards names the shares in their order."""
    for loaded in subject.families:
        isolation = loaded.family.isolation
        edits = _edits(subject, loaded, count=2)
        if edits is None or isolation is None:
            continue
        # Numbers mean something only to the container runtime: inside, the cards are numbered anew.
        numbered = isolation.visible_form is VisibleForm.INDEX
        variable = isolation.runtime_env if numbered else isolation.visible_env
        if variable is None:
            continue
        cards = subject.cards(loaded)
        # A container runtime may take uuids all the same.
        names = {form: card.uuid for card in cards for form in (card.uuid, str(card.index))}
        uuids = [card.uuid for card in cards]
        listed = edits.env.get(variable, "").split(",")
        found = f"{variable} is {','.join(listed)!r} for the cards {uuids[:2]}"
        own = [names[word] for word in listed if names.get(word) in uuids[:2]]
        require(own == uuids[:2], found, "List context.shares in their order.")
        strangers = {names.get(word) for word in listed} & set(uuids[2:])
        require(not strangers, found, "List the container's own cards only.")


def _edits(subject: Subject, loaded: LoadedFamily, *, count: int) -> ContainerEdits | None:
    if loaded.allocate is None:
        return None
    cards = subject.cards(loaded)[:count]
    shares = tuple(DeviceShare(uuid=card.uuid, memory_mib=card.memory_mib // 2, core_units=30) for card in cards)
    folder = Path("/run/hami/trial")
    context = AllocationContext(
        shares=shares,
        devices={card.uuid: card for card in cards},
        limits_file=folder / "limits",
        region_file=folder / "region",
    )
    return loaded.allocate(context)


@check("isolation", Ability.ISOLATION)
def the_isolation_library_can_be_loaded(subject: Subject) -> None:
    """A descriptor without its library would hold nobody to a share."""
    for loaded in subject.families:
        isolation = loaded.family.isolation
        if isolation is None:
            continue
        inside = not Path(isolation.library).is_absolute() and ".." not in Path(isolation.library).parts
        require(inside, f"library {isolation.library}", "Name a path inside your package, such as lib/libhami_x.so.")
        try:
            library = packaged(package_of(loaded, subject.registry), isolation.library)
        except NotInstalled as err:
            require(holds=False, found=str(err), advice="Build it into the package, or drop Family.isolation.")
        else:
            problem = loading_fails(library)
            advice = "Ship a shared library for this platform that needs nothing but libc."
            require(not problem, f"{library.name} cannot be loaded: {problem}", advice)
        require(
            loaded.allocate is not None,
            f"{loaded.family.name} has a library and no allocator",
            "Answer hami_allocate, so that containers get the limits file.",
        )
