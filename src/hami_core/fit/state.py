"""Nodes, cards and what pods hold of them: every change goes through here and touches only its own rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
import numpy as np

from hami_core.errors import BadQuantity, UnknownName
from hami_core.fit.attempt import NodeView
from hami_core.fit.columns import Block, BoolArray, Totals, block_width
from hami_core.fit.usage import Taken, in_order, is_partitioned, taken_by
from hami_core.model import Device, DeviceUse, Partition, Placement
from hami_core.objects import NodeFacts
from hami_core.wire.cordon import cordoned

Card = tuple[str, str]
"""A card's family and uuid."""

Kind = tuple[str, str]
"""What selectors look at: a card's model and mode."""


MOST = 2**40
"""The largest amount of anything on one card: sums over a fleet then stay far inside 64 bits."""


@attrs.frozen(kw_only=True)
class Holding:
    """What one pod holds: the placement as it was given, and what it takes of each card."""

    key: str
    label: str
    placement: Placement
    init_done: bool
    taken: tuple[tuple[Card, Taken], ...]

    @property
    def namespace(self) -> str:
        """The namespace whose quota pays: what stands before the slash of the label."""
        return self.label.partition("/")[0] if "/" in self.label else ""


@attrs.frozen(kw_only=True)
class Stray:
    """A share of a card that the fleet does not know: kept, because the node may only be late in reporting it."""

    key: str
    label: str
    node: str
    family: str
    uuid: str


@attrs.define
class _FamilyCards:
    devices: tuple[Device, ...]
    places: dict[str, int]
    block: Block
    column: int


@attrs.define
class _Node:
    facts: NodeFacts
    row: int
    broken: Mapping[str, str]
    cordoned: frozenset[str]
    families: dict[str, _FamilyCards] = attrs.field(factory=dict)
    partitions: dict[Card, dict[str, tuple[Partition, ...]]] = attrs.field(factory=dict)

    def says(self, facts: NodeFacts, cards: Mapping[str, tuple[Device, ...]], broken: Mapping[str, str]) -> bool:
        """Whether a report holds nothing new."""
        mine = {family: known.devices for family, known in self.families.items()}
        return self.facts == facts and self.broken == broken and mine == cards


def holding(key: str, placement: Placement, *, init_done: bool = False, label: str = "") -> Holding:
    """Work out what a placement takes.

    Raises:
        BadQuantity: it takes more of a card than any card has.
    """
    taken = tuple(sorted(taken_by(placement.containers, init_done=init_done).items(), key=_card_of))
    for (family, uuid), part in taken:
        most = max(part.memory_mib, part.core_units)
        if most > MOST:
            raise BadQuantity(
                where=f"pod {label or key}: share of {family} {uuid}", wanted=f"at most {MOST}", found=most
            )
    return Holding(key=key, label=label or key, placement=placement, init_done=init_done, taken=taken)


def _card_of(item: tuple[Card, Taken]) -> Card:
    return item[0]


class State:
    """The fleet's data. Not thread-safe: `Fleet` holds the lock."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.blocks: dict[str, dict[int, Block]] = {}
        self.kinds: dict[Kind, int] = {}
        self.holdings: dict[str, Holding] = {}
        self.homes: dict[Card, tuple[str, ...]] = {}
        self._nodes: dict[str, _Node] = {}
        self._names: dict[int, str] = {}
        self._row_by_name: dict[str, int] = {}
        self._asked: tuple[list[str], BoolArray] | None = None
        self._on_node: dict[str, dict[str, None]] = {}

    # ---- nodes -----------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the known nodes, sorted."""
        return self.totals.names

    def row(self, node: str) -> int | None:
        """The node's row in the totals, or None where it is unknown or has no cards."""
        known = self._nodes.get(node)
        return known.row if known is not None and known.families else None

    def is_broken(self, node: str, family: str) -> bool:
        """Whether the family could not be read on that node."""
        return family in self._nodes[node].broken

    def devices(self, row: int, family: str) -> tuple[Device, ...]:
        """The family's cards on the node at `row`, by index and uuid; none where the row is not in use."""
        node = self._nodes.get(self._names.get(row, ""))
        known = node.families.get(family) if node is not None else None
        return known.devices if known is not None else ()

    def rows_of(self, nodes: Iterable[str]) -> BoolArray:
        """The rows of `nodes`, as a mask over the totals. Unknown names are passed over."""
        names = list(nodes)
        # A scheduler asks with the same thousands of names again and again; comparing them is cheaper than looking up.
        if self._asked is None or self._asked[0] != names:
            unknown = self.totals.capacity
            rows = np.zeros(unknown + 1, dtype=np.bool_)
            found = map(self._row_by_name.get, names, itertools.repeat(unknown))
            rows[np.fromiter(found, np.intp, len(names))] = True
            self._asked = names, rows[:unknown]
        return self._asked[1]

    def name(self, row: int) -> str:
        """The node at `row` of the totals."""
        return self._names[row]

    def upsert_node(self, node: NodeFacts, devices: Sequence[Device], broken: Mapping[str, str]) -> None:
        """Add a node, or replace what is known of it. Pods placed on it, before or after, count on its cards."""
        by_family, impossible = _by_family(devices)
        broken = {**impossible, **broken}
        known = self._nodes.get(node.name)
        if known is not None and known.says(node, by_family, broken):
            return  # nodes are reported again and again; what is known about every request shape stays good
        if known is None:
            row = self.totals.add(node.name)
            self._names[row] = node.name
            self._row_by_name[node.name] = row
            self._asked = None
        else:
            row = known.row
            self._leave_blocks(known)
        fresh = _Node(facts=node, row=row, broken=broken, cordoned=cordoned(node.annotations))
        self._nodes[node.name] = fresh
        self.totals.write(row, [device for cards in by_family.values() for device in cards])
        for family, cards in by_family.items():
            block = self._block(family, block_width(len(cards)))
            column = block.add(row)
            block.write(column, cards, [self._kind(device) for device in cards], fresh.cordoned)
            places = {device.uuid: place for place, device in enumerate(cards)}
            fresh.families[family] = _FamilyCards(cards, places, block, column)
            for uuid in places:
                self.homes[family, uuid] = (*self.homes.get((family, uuid), ()), node.name)
        for key in self._on_node.get(node.name, ()):
            self._apply(fresh, self.holdings[key], 1)

    def remove_node(self, name: str) -> None:
        """Forget a node. What pods hold on it is kept, for when it comes back.

        Raises:
            UnknownName: there is no such node.
        """
        node = self._nodes.pop(name, None)
        if node is None:
            raise UnknownName(kind="node", name=name)
        self._leave_blocks(node)
        self.totals.drop(node.row)
        del self._names[node.row], self._row_by_name[name]
        self._asked = None

    def _kind(self, device: Device) -> int:
        return self.kinds.setdefault((device.model, device.mode), len(self.kinds))

    def _block(self, family: str, width: int) -> Block:
        blocks = self.blocks.setdefault(family, {})
        if width not in blocks:
            blocks[width] = Block(width)
        return blocks[width]

    def _leave_blocks(self, node: _Node) -> None:
        for family, cards in node.families.items():
            for uuid in cards.places:
                rest = tuple(name for name in self.homes.pop((family, uuid)) if name != node.facts.name)
                if rest:
                    self.homes[family, uuid] = rest
            moved = cards.block.drop(cards.column)
            if moved is not None:
                self._nodes[self._names[moved]].families[family].column = cards.column

    # ---- holdings --------------------------------------------------------------------------------------------------

    def add(self, held: Holding) -> None:
        """Count what a pod holds, in place of what it held before."""
        self.remove(held.key)
        node = held.placement.node
        self.holdings[held.key] = held
        self._on_node.setdefault(node, {})[held.key] = None
        if node in self._nodes:
            self._apply(self._nodes[node], held, 1)

    def remove(self, key: str) -> Holding | None:
        """Give back what a pod holds; returns it, or None where there was nothing."""
        held = self.holdings.pop(key, None)
        if held is None:
            return None
        node = held.placement.node
        on_node = self._on_node[node]
        del on_node[key]
        if not on_node:
            del self._on_node[node]
        if node in self._nodes:
            self._apply(self._nodes[node], held, -1)
        return held

    def _apply(self, node: _Node, held: Holding, times: int) -> None:
        for card, taken in held.taken:
            family, uuid = card
            cards = node.families.get(family)
            if cards is None:
                continue
            place = cards.places.get(uuid)
            if place is None:
                if taken.partitions:
                    # A partition on a card nobody knows may lie on any of them: none can be trusted until it is found.
                    cards.block.doubt(cards.block.partitioned[:, cards.column], cards.column, times)
                continue
            cards.block.take(place, cards.column, taken, times)
            self.totals.take(node.row, taken, times)
            if is_partitioned(cards.devices[place]) != bool(taken.partitions):
                cards.block.doubt(place, cards.column, times)
            if taken.partitions and times > 0:
                node.partitions.setdefault(card, {})[held.key] = taken.partitions
            elif taken.partitions:
                del node.partitions[card][held.key]
        self.totals.touch(node.row)

    def strays(self) -> tuple[Stray, ...]:
        """Shares of cards that the fleet does not know, sorted by node and key."""
        found = [
            Stray(key=held.key, label=held.label, node=held.placement.node, family=family, uuid=uuid)
            for held in self.holdings.values()
            for (family, uuid), _taken in held.taken
            if not self._knows(held.placement.node, family, uuid)
        ]
        return tuple(sorted(found, key=lambda stray: (stray.node, stray.key, stray.family, stray.uuid)))

    def _knows(self, node: str, family: str, uuid: str) -> bool:
        known = self._nodes.get(node)
        return known is not None and family in known.families and uuid in known.families[family].places

    # ---- views -----------------------------------------------------------------------------------------------------

    def view(self, name: str, families: Iterable[str] | None = None) -> NodeView | None:
        """The node as the exact path sees it, for some families or all; None where it is unknown."""
        node = self._nodes.get(name)
        if node is None:
            return None
        wanted = node.families if families is None else families
        cards = {family: tuple(_uses(node, family)) for family in wanted if family in node.families}
        return NodeView(facts=node.facts, cards=cards, broken=node.broken)

    def on_node(self, name: str) -> tuple[Holding, ...]:
        """What pods hold on a node, sorted by label."""
        found = (self.holdings[key] for key in self._on_node.get(name, ()))
        return tuple(sorted(found, key=lambda held: (held.label, held.key)))

    def copy(self) -> State:
        """An independent copy; values that never change are shared."""
        other = State()
        other.totals = self.totals.copy()
        copies = {id(block): block.copy() for blocks in self.blocks.values() for block in blocks.values()}
        other.blocks = {
            family: {width: copies[id(block)] for width, block in blocks.items()}
            for family, blocks in self.blocks.items()
        }
        other.kinds, other.holdings, other._names = dict(self.kinds), dict(self.holdings), dict(self._names)
        other.homes, other._row_by_name = dict(self.homes), dict(self._row_by_name)
        other._on_node = {name: dict(keys) for name, keys in self._on_node.items()}
        for name, node in self._nodes.items():
            families = {f: attrs.evolve(cards, block=copies[id(cards.block)]) for f, cards in node.families.items()}
            partitions = {card: dict(held) for card, held in node.partitions.items()}
            other._nodes[name] = attrs.evolve(node, families=families, partitions=partitions)
        return other


def _by_family(devices: Sequence[Device]) -> tuple[dict[str, tuple[Device, ...]], dict[str, str]]:
    """Cards by family, ordered by index and uuid; a family with impossible cards is left out, with the reason."""
    grouped: dict[str, list[Device]] = {}
    for device in devices:
        grouped.setdefault(device.family, []).append(device)
    cards, impossible = {}, {}
    for family in sorted(grouped):
        ordered = sorted(grouped[family], key=lambda device: (device.index, device.uuid))
        problem = _problem(ordered)
        if problem is None:
            cards[family] = tuple(ordered)
        else:
            impossible[family] = f"{family}: {problem}"
    return cards, impossible


def _problem(devices: Sequence[Device]) -> str | None:
    seen = set()
    for device in devices:
        if device.uuid in seen:
            return f"two cards have the uuid {device.uuid}"
        seen.add(device.uuid)
        most = max(device.memory_mib, device.core_units, device.slots)
        if most > MOST:
            return f"card {device.uuid} says it has {most} of something; at most {MOST} can be"
    return None


def _uses(node: _Node, family: str) -> Iterator[DeviceUse]:
    cards = node.families[family]
    used = cards.block.used(cards.column)
    for device, (slots, memory_mib, core_units, doubtful) in zip(cards.devices, used, strict=False):
        held = node.partitions.get((family, device.uuid))
        partitions = in_order({part for parts in held.values() for part in parts}) if held else ()
        yield DeviceUse(
            device=attrs.evolve(device, healthy=False) if doubtful and device.healthy else device,
            slots_used=slots,
            memory_used_mib=memory_mib,
            core_units_used=core_units,
            partitions=partitions,
            cordoned=device.uuid in node.cordoned,
        )
