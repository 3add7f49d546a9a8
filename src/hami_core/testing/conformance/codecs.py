"""Checks of what nodes and pods say about cards: the node codec, and annotations that carry shares."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.family import RegisterForm
from hami_core.model import Device, DeviceShare
from hami_core.objects import NodeFacts
from hami_core.registry import LoadedFamily
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.subject import Subject, registered
from hami_core.testing.conformance.trying import try_all
from hami_core.wire.pod_devices import decode_pod_devices, encode_pod_devices

_FIELDS = ("uuid", "index", "model", "memory_mib", "core_units", "slots", "numa", "healthy", "mode")
_PIECES = st.sampled_from(
    ["", ",", ":", ";", "[", "]", "{", "}", "null", "-1", "9" * 30, '"', "true", "\x00", "é", "a,b"]
)


@check("codecs", Ability.REGISTER)
def registered_cards_are_read_back(subject: Subject) -> None:
    """The scheduler must see the cards that the node has."""
    for loaded in subject.families:
        if not subject.registers(loaded):
            continue
        cards = subject.written(loaded)
        found = loaded.codec.decode(registered(loaded.family, cards))
        advice = "Let hami_node_codec read wire.register in the family's register_form, and add to what it says."
        if loaded.family.wire.register_form is RegisterForm.CAPACITY:
            require(len(found) == len(cards), f"{len(cards)} cards of capacity are read as {len(found)}", advice)
            continue
        differences = _differences(cards, found)
        require(not differences, f"{loaded.family.name}: {'; '.join(differences)}", advice)


@check("codecs", Ability.ANYTHING)
def the_machine_file_agrees_with_its_node(subject: Subject) -> None:
    """The file says what cards there are and how the node registers them; both must be the same cards."""
    if subject.machine is None or subject.machine.node is None:
        return
    for loaded in subject.families:
        only = len(subject.families) == 1
        cards = subject.machine.cards_of(loaded.family, only=only)
        differences = _differences(cards, loaded.codec.decode(subject.machine.node))
        advice = f"Correct `devices` or `node` in {subject.machine.path.name}, or the codec."
        require(not differences, f"{loaded.family.name}: {'; '.join(differences)}", advice)


def _differences(wanted: tuple[Device, ...], found: tuple[Device, ...]) -> list[str]:
    by_uuid = {card.uuid: card for card in found}
    differences = [f"{card.uuid} is not read" for card in wanted if card.uuid not in by_uuid]
    known = {card.uuid for card in wanted}
    differences += [f"{card.uuid} is read, but not there" for card in found if card.uuid not in known]
    for card in wanted:
        other = by_uuid.get(card.uuid, card)
        for name in _FIELDS:
            is_, was = getattr(other, name), getattr(card, name)
            if is_ != was:
                differences.append(f"{name} of {card.uuid} is read as {is_!r}, not {was!r}")
    return differences[:3]


@check("codecs")
def a_node_without_cards_has_none(subject: Subject) -> None:
    """Every node of the cluster is read for every family."""
    for loaded in subject.families:
        for node in (NodeFacts(name="bare"), NodeFacts(name="other", annotations={"example.test/x": "[]"})):
            cards = loaded.codec.decode(node)
            require(cards == (), f"{loaded.family.name}: a bare node has {cards}", "Return () without the register.")


@check("codecs")
def reading_a_node_twice_gives_the_same(subject: Subject) -> None:
    """A codec is asked again whenever anything on the node changes."""
    for loaded in subject.families:
        node = subject.node(loaded)
        same = loaded.codec.decode(node) == loaded.codec.decode(node)
        require(same, f"{loaded.family.name}: the codec answers differently", "Keep no state in a codec.")


@check("codecs")
def malformed_registers_are_refused_or_read(subject: Subject) -> None:
    """Annotations can hold anything; only BadWire marks the family broken on that node with a text for people."""
    nodes = {loaded.family.name: subject.node(loaded) for loaded in subject.families}

    @st.composite
    def damaged(draw: st.DrawFn) -> tuple[LoadedFamily, NodeFacts]:
        loaded = draw(st.sampled_from(subject.families))
        node = nodes[loaded.family.name]
        parts: Mapping[str, object] = {**node.annotations, **node.capacity}
        key = draw(st.sampled_from(sorted(parts) or ["none"]))
        text = draw(st.one_of(_broken(str(parts.get(key, ""))), st.text(max_size=40)))
        annotations = {**node.annotations, key: text} if key in node.annotations else node.annotations
        capacity = {**node.capacity, key: text} if key in node.capacity else node.capacity
        return loaded, attrs.evolve(node, annotations=annotations, capacity=capacity)

    try_all(damaged(), lambda case: _survives(*case), tries=100)


def _broken(text: str) -> st.SearchStrategy[str]:
    """`text` with a piece cut out and another put in its place."""
    places = st.integers(0, len(text))
    return st.builds(
        lambda one, other, piece: text[: min(one, other)] + piece + text[max(one, other) :], places, places, _PIECES
    )


def _survives(loaded: LoadedFamily, node: NodeFacts) -> None:
    shown = f"{dict(node.annotations) or dict(node.capacity)}"[:300]
    advice = "Raise BadWire for what cannot be read, as hami_core.wire.fields does; let no other exception out."
    try:
        cards = loaded.codec.decode(node)
    except BadWire as err:
        require(node.name in str(err), f'the refusal does not name the node: "{err}"', "Say which node it is.")
        return
    except Exception as err:  # noqa: BLE001 - any other exception is the fault that is looked for
        require(holds=False, found=f"{shown} raises {type(err).__name__}: {err}", advice=advice)
        return
    uuids = [card.uuid for card in cards]
    require(len(set(uuids)) == len(uuids), f"{shown} gives one card twice", "Refuse a uuid that is there twice.")
    mine = all(card.family == loaded.family.name for card in cards)
    require(mine, f"{shown} gives cards of another family", "Set Device.family to the family's name.")


@check("codecs")
def shares_are_read_back_from_a_pod(subject: Subject) -> None:
    """What a bind writes is all that is left after a restart."""
    for loaded in subject.families:
        shares = [
            DeviceShare(uuid=card.uuid, memory_mib=card.memory_mib // 2, core_units=card.core_units)
            for card in subject.cards(loaded)
        ]
        advice = "Uuids and family names may not hold ',', ':' or ';': they separate the annotation's fields."
        try:
            text = encode_pod_devices([shares, []], family=loaded.family.name)
        except BadWire as err:
            require(holds=False, found=str(err), advice=advice)
        read = decode_pod_devices(text, what="annotation")
        require(read == (tuple(shares), ()), f"{text} is read back as {read}", advice)
