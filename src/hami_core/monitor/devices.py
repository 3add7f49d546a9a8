"""The devices of this host as their drivers see them, looked at in a thread of its own: a driver may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import attrs

from hami_core.errors import HamiError
from hami_core.local.sight import Card, Sight

PERIOD_S = 5.0


@attrs.frozen(kw_only=True)
class HostDevice:
    """A device and the machine it is in; whether an operator took it out of service there."""

    node: str
    card: Card
    cordoned: bool = False


@attrs.frozen(kw_only=True)
class Devices:
    """What is known of the devices. `failed` says by vendor why the driver did not answer lately.

    The devices of such a vendor are those of its last answer: unknown is not zero.
    """

    devices: tuple[HostDevice, ...] = ()
    failed: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    vendors: tuple[str, ...] = ()


class DeviceWatch:
    """Looks at the devices of machines again and again.

    Args:
        looks: one look at each machine; each is called in the watch's thread.
        period_s: seconds between looks.
    """

    def __init__(self, looks: Sequence[Callable[[], Sight]], *, period_s: float = PERIOD_S) -> None:
        self._looks = looks
        self._period_s = period_s
        self._known: dict[tuple[str, str], tuple[Card, ...]] = {}
        self._cordoned: dict[str, frozenset[str]] = {}
        self._ended = threading.Event()
        self._now = Devices()

    def now(self) -> Devices:
        """The devices as of the last look."""
        return self._now

    def look(self) -> Devices:
        """Look now."""
        failed: dict[str, str] = {}
        for one in self._looks:
            try:
                sight = one()
            except (HamiError, OSError) as err:  # no child can be started, say; the thread must go on
                failed["any"] = str(err)
                continue
            node = sight.machine.name
            self._cordoned[node] = sight.cordoned
            answered = {card.vendor for card in sight.cards} | {vendor for at, vendor in self._known if at == node}
            for vendor in sorted(answered - set(sight.failed)):
                self._known[node, vendor] = sight.of(vendor)
            failed.update(sight.failed)
        devices = [
            HostDevice(node=node, card=card, cordoned=card.probed.uuid in self._cordoned[node])
            for (node, _), cards in self._known.items()
            for card in cards
        ]
        devices.sort(key=lambda each: (each.node, each.card.vendor, each.card.device.index, each.card.device.uuid))
        vendors = sorted({vendor for _node, vendor in self._known} | set(failed))
        self._now = Devices(devices=tuple(devices), failed=failed, vendors=tuple(vendors))
        return self._now

    def run(self) -> None:
        """Look until `end`."""
        while not self._ended.is_set():
            self.look()
            self._ended.wait(self._period_s)

    def end(self) -> None:
        """Make `run` return after its look."""
        self._ended.set()
