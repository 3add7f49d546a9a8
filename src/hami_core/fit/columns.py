"""The numbers of the fleet, in columns: what a vector pass reads, and what a pod's coming and going changes.

A `Block` holds the cards of one family for the nodes that have up to `width` of them: row k of each array is the k-th
card of every node, so a rule is one comparison over all cards and counting a node's cards is adding rows. `Totals`
holds the sums over all cards of a node, of every family.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hami_core.fit.usage import Taken, is_partitioned
from hami_core.model import Device
from hami_core.score.policy import IntArray, NodeColumns

BoolArray: TypeAlias = NDArray[np.bool_]
_FIRST_CAPACITY = 64


def block_width(cards: int) -> int:
    """The width of the block for a node with `cards` cards: a power of two, so that few blocks serve all nodes."""
    return 1 << max(0, cards - 1).bit_length()


class Block:
    """Cards of one family, of the nodes with up to `width` of them. The first `size` columns are in use.

    Free amounts may be negative: a card can shrink under its pods.
    """

    _NAMES = (
        "slots",
        "slots_free",
        "memory_mib",
        "memory_free",
        "core_units",
        "cores_free",
        "doubts",
        "kinds",
        "in_service",
        "usable",
        "partitioned",
    )

    def __init__(self, width: int) -> None:
        self.width = width
        self.size = 0
        self.rows: IntArray = np.zeros(_FIRST_CAPACITY, dtype=np.int64)  # each column's row in the totals
        self.cards: IntArray = np.zeros(_FIRST_CAPACITY, dtype=np.int64)  # how many places of it have a card
        self.slots: IntArray = self._zeros(np.int64)
        self.slots_free: IntArray = self._zeros(np.int64)
        self.memory_mib: IntArray = self._zeros(np.int64)
        self.memory_free: IntArray = self._zeros(np.int64)
        self.core_units: IntArray = self._zeros(np.int64)
        self.cores_free: IntArray = self._zeros(np.int64)
        self.doubts: NDArray[np.int32] = self._zeros(np.int32)  # pods whose record of the card contradicts it
        self.kinds: NDArray[np.int32] = self._zeros(np.int32)  # numbers that stand for model and mode
        self.in_service: BoolArray = self._zeros(np.bool_)  # healthy and not cordoned
        self.usable: BoolArray = self._zeros(np.bool_)  # in service and not in doubt
        self.partitioned: BoolArray = self._zeros(np.bool_)

    def _zeros(self, dtype: type[np.generic]) -> NDArray[Any]:
        return np.zeros((self.width, len(self.rows)), dtype=dtype)

    def add(self, row: int) -> int:
        """Take a column for the node at `row` of the totals; `write` then says what is in it."""
        if self.size == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
            self.cards = np.concatenate([self.cards, np.zeros_like(self.cards)])
            for name in self._NAMES:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)], axis=1))
        column = self.size
        self.size += 1
        self.rows[column] = row
        return column

    def drop(self, column: int) -> int | None:
        """Free a column. The last one moves into its place; returns the row of the node that moved, if one did."""
        last = self.size - 1
        for name in self._NAMES:
            array = getattr(self, name)
            array[:, column] = array[:, last]
        self.rows[column], self.cards[column] = self.rows[last], self.cards[last]
        self.size = last
        return None if column == last else int(self.rows[column])

    def write(self, column: int, devices: Sequence[Device], kinds: Sequence[int], cordoned: frozenset[str]) -> None:
        """Set a node's cards, with nothing taken of them."""
        for name in self._NAMES:
            getattr(self, name)[:, column] = 0
        self.cards[column] = len(devices)
        for place, (device, kind) in enumerate(zip(devices, kinds, strict=True)):
            self.slots[place, column] = self.slots_free[place, column] = device.slots
            self.memory_mib[place, column] = self.memory_free[place, column] = device.memory_mib
            self.core_units[place, column] = self.cores_free[place, column] = device.core_units
            self.kinds[place, column] = kind
            self.in_service[place, column] = device.healthy and device.uuid not in cordoned
            self.partitioned[place, column] = is_partitioned(device)
        self.usable[:, column] = self.in_service[:, column]

    def take(self, place: int, column: int, taken: Taken, times: int) -> None:
        """Take (`times` 1) or give back (-1) a pod's part of one card."""
        self.slots_free[place, column] -= times * taken.slots
        self.memory_free[place, column] -= times * taken.memory_mib
        self.cores_free[place, column] -= times * taken.core_units

    def doubt(self, places: int | BoolArray, column: int, times: int) -> None:
        """Put cards in doubt (`times` 1) or take a doubt back (-1); a card in doubt is given to nobody."""
        self.doubts[places, column] += times
        self.usable[:, column] = self.in_service[:, column] & (self.doubts[:, column] == 0)

    def used(self, column: int) -> list[tuple[int, int, int, bool]]:
        """Slots, memory MiB and core units taken of each card of a node, and whether anything about it is in doubt."""
        slots = (self.slots[:, column] - self.slots_free[:, column]).tolist()
        memory = (self.memory_mib[:, column] - self.memory_free[:, column]).tolist()
        cores = (self.core_units[:, column] - self.cores_free[:, column]).tolist()
        doubtful = (self.doubts[:, column] != 0).tolist()
        return list(zip(slots, memory, cores, doubtful, strict=True))

    def copy(self) -> Block:
        """An independent copy."""
        other = Block(self.width)
        other.size, other.rows, other.cards = self.size, self.rows.copy(), self.cards.copy()
        for name in self._NAMES:
            setattr(other, name, getattr(self, name).copy())
        return other


class Totals:
    """Sums over all cards of each node, one row a node; when it last changed; its place in the order of names."""

    _NAMES = (
        "slots",
        "slots_used",
        "memory_mib",
        "memory_used_mib",
        "core_units",
        "core_units_used",
        "stamps",
        "ranks",
    )

    def __init__(self) -> None:
        self.clock = 0
        self.capacity = _FIRST_CAPACITY
        self._free: list[int] = []
        self._next = 0
        self._names: list[str] = []
        self.slots, self.slots_used, self.memory_mib, self.memory_used_mib, self.core_units, self.core_units_used = (
            np.zeros(_FIRST_CAPACITY, dtype=np.int64) for _ in range(6)
        )
        self.stamps: IntArray = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self.ranks: IntArray = np.full(_FIRST_CAPACITY, -1, dtype=np.int64)  # place in name order; -1: row not in use

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes, sorted."""
        return tuple(self._names)

    def add(self, name: str) -> int:
        """Take a row for the node of that name."""
        row = self._free.pop() if self._free else self._extend()
        rank = bisect.bisect_left(self._names, name)
        if rank < len(self._names):
            self.ranks[self.ranks >= rank] += 1
        self._names.insert(rank, name)
        self.ranks[row] = rank
        return row

    def _extend(self) -> int:
        if self._next == self.capacity:
            for name in self._NAMES:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.full_like(old, -1 if name == "ranks" else 0)]))
            self.capacity *= 2
        self._next += 1
        return self._next - 1

    def drop(self, row: int) -> None:
        """Free a row."""
        self.write(row, ())
        rank = int(self.ranks[row])
        del self._names[rank]
        self.ranks[self.ranks > rank] -= 1
        self.ranks[row] = -1
        self._free.append(row)

    def write(self, row: int, devices: Sequence[Device]) -> None:
        """Set a node's totals, with nothing used."""
        self.slots[row] = sum(device.slots for device in devices)
        self.memory_mib[row] = sum(device.memory_mib for device in devices)
        self.core_units[row] = sum(device.core_units for device in devices)
        self.slots_used[row] = self.memory_used_mib[row] = self.core_units_used[row] = 0
        self.touch(row)

    def take(self, row: int, taken: Taken, times: int) -> None:
        """Take (`times` 1) or give back (-1) a pod's part of one card."""
        self.slots_used[row] += times * taken.slots
        self.memory_used_mib[row] += times * taken.memory_mib
        self.core_units_used[row] += times * taken.core_units

    def touch(self, row: int) -> None:
        """Note that the node has changed, for whoever keeps answers about it."""
        self.clock += 1
        self.stamps[row] = self.clock

    def changed_since(self, clock: int) -> NDArray[np.intp]:
        """Rows that changed after `clock`."""
        return np.flatnonzero(self.stamps > clock)

    def columns(self, rows: NDArray[np.intp]) -> NodeColumns:
        """The columns as policies see them, of some rows."""
        return NodeColumns(
            slots=self.slots[rows],
            slots_used=self.slots_used[rows],
            core_units=self.core_units[rows],
            core_units_used=self.core_units_used[rows],
            memory_mib=self.memory_mib[rows],
            memory_used_mib=self.memory_used_mib[rows],
        )

    def copy(self) -> Totals:
        """An independent copy."""
        other = Totals()
        other.clock, other.capacity, other._next = self.clock, self.capacity, self._next
        other._free, other._names = self._free[:], self._names[:]
        for name in self._NAMES:
            setattr(other, name, getattr(self, name).copy())
        return other
