"""What would help: the smallest changes to a request under which the pod would fit, each tried before it is offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from hami_core.fit.fleet import Fleet
from hami_core.model import ContainerRequest, DeviceRequest, PodRequest, Selector
from hami_core.verdict import Fits


@attrs.frozen(kw_only=True)
class Advice:
    """A change to the request, and where the pod would then go. `part` is how much of one thing it gives up, 0 to 1."""

    change: str
    part: float
    request: PodRequest
    best: Fits

    def __str__(self) -> str:
        return f"{self.change}: fits {self.best.placement.node}"


def advise(fleet: Fleet, pod: PodRequest, nodes: Sequence[str] | None = None, *, most: int = 3) -> tuple[Advice, ...]:
    """Changes of one thing at a time that would make `pod` fit, the smallest first; of two where no one thing helps.

    Costs some tens of decisions. Empty where nothing of the kind helps, and where the pod fits as it is.
    """
    tries = _Tries(fleet, nodes)
    if tries.fits(pod):
        return ()
    found = [*_one_thing(tries, pod)] or [*_memory_and_cores(tries, pod)]
    return tuple(sorted(found, key=lambda advice: (advice.part, advice.change))[:most])


@attrs.frozen
class _Spot:
    """One container's request to one family, inside the pod."""

    pod: PodRequest
    container: int
    place: int

    @property
    def request(self) -> DeviceRequest:
        return self.pod.containers[self.container].devices[self.place]

    @property
    def name(self) -> str:
        return f"container {self.pod.containers[self.container].name}: {self.request.family}"

    def with_request(self, request: DeviceRequest) -> PodRequest:
        container: ContainerRequest = self.pod.containers[self.container]
        devices = list(container.devices)
        devices[self.place] = request
        containers = list(self.pod.containers)
        containers[self.container] = attrs.evolve(container, devices=tuple(devices))
        return attrs.evolve(self.pod, containers=tuple(containers))

    def with_cores(self, core_units: int) -> PodRequest:
        return self.with_request(attrs.evolve(self.request, core_units=core_units))


@attrs.frozen
class _Tries:
    """Decisions about variants of the pod."""

    fleet: Fleet
    nodes: Sequence[str] | None

    def fits(self, pod: PodRequest) -> Fits | None:
        return self.fleet.decide(pod, self.nodes).best

    def memory_step(self, family: str) -> int:
        """MiB per unit that a pod's author can write."""
        loaded = self.fleet.registry.families.get(family)
        return loaded.family.units.quota_factor if loaded else 1

    def most_below(
        self, limit: int, changed: Callable[[int], PodRequest], *, least: int = 0, step: int = 1
    ) -> int | None:
        """The largest multiple of `step` from `least` to under `limit` that fits, by halving; None where none does."""
        low, high = -(-least // step), (limit - 1) // step
        if high < low or not self.fits(changed(low * step)):
            return None
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(changed(middle * step)):
                low = middle
            else:
                high = middle - 1
        return low * step

    def advice(self, change: str, part: float, pod: PodRequest) -> Iterator[Advice]:
        best = self.fits(pod)
        if best is not None:
            yield Advice(change=change, part=part, request=pod, best=best)


def _spots(pod: PodRequest) -> Iterator[_Spot]:
    for index, container in enumerate(pod.containers):
        for place in range(len(container.devices)):
            yield _Spot(pod, index, place)


def _one_thing(tries: _Tries, pod: PodRequest) -> Iterator[Advice]:
    for spot in _spots(pod):
        yield from _less_memory(tries, spot)
        yield from _fewer_cores(tries, spot)
        yield from _fewer_cards(tries, spot)
    for family, selector in sorted(pod.selectors.items()):
        for constraint, wider in _wider(selector):
            variant = attrs.evolve(pod, selectors={**pod.selectors, family: wider})
            yield from tries.advice(f"{family}: without {constraint}", 1.0, variant)


def _less_memory(tries: _Tries, spot: _Spot) -> Iterator[Advice]:
    request = spot.request
    if request.memory_mib is not None:
        asked, unit, step = request.memory_mib, "MiB", tries.memory_step(request.family)
    else:
        assert request.memory_percent is not None
        asked, unit, step = request.memory_percent, "percent of memory", 1

    def changed(value: int) -> PodRequest:
        if request.memory_mib is None:
            return spot.with_request(attrs.evolve(request, memory_percent=value))
        return spot.with_request(attrs.evolve(request, memory_mib=value))

    less = tries.most_below(asked, changed, least=1, step=step)
    if less is not None:
        yield from tries.advice(f"{spot.name} {less} {unit} instead of {asked}", _part(less, asked), changed(less))


def _fewer_cores(tries: _Tries, spot: _Spot) -> Iterator[Advice]:
    asked = spot.request.core_units
    if asked:
        less = tries.most_below(asked, spot.with_cores, least=1) or 0
        change = f"{spot.name} {less or 'no'} cores instead of {asked}"
        yield from tries.advice(change, _part(less, asked), spot.with_cores(less))


def _fewer_cards(tries: _Tries, spot: _Spot) -> Iterator[Advice]:
    asked = spot.request.count

    def changed(value: int) -> PodRequest:
        return spot.with_request(attrs.evolve(spot.request, count=value))

    less = tries.most_below(asked, changed, least=1)
    if less is not None:
        change = f"{spot.name} {less} card{'s' if less > 1 else ''} instead of {asked}"
        yield from tries.advice(change, _part(less, asked), changed(less))


def _part(less: int, asked: int) -> float:
    return (asked - less) / asked


def _wider(selector: Selector) -> Iterator[tuple[str, Selector]]:
    """The selector without one of its constraints at a time, and what that constraint is called."""
    if selector.allow_types or selector.deny_types:
        yield "its choice of models", attrs.evolve(selector, allow_types=(), deny_types=())
    if selector.allow_uuids or selector.deny_uuids:
        yield "its choice of cards", attrs.evolve(selector, allow_uuids=(), deny_uuids=())
    if selector.numa_bind:
        yield "binding to one NUMA node", attrs.evolve(selector, numa_bind=False)
    if selector.mode is not None:
        yield f"mode {selector.mode}", attrs.evolve(selector, mode=None)


def _memory_and_cores(tries: _Tries, pod: PodRequest) -> Iterator[Advice]:
    """Less memory on cards without a core limit, then as many cores as that leaves room for."""
    for spot in _spots(pod):
        asked = spot.request
        if not asked.core_units:
            continue
        for less_memory in _less_memory(tries, attrs.evolve(spot, pod=spot.with_cores(0))):
            smaller = attrs.evolve(spot, pod=less_memory.request)
            cores = tries.most_below(asked.core_units, smaller.with_cores, least=1) or 0
            change = f"{less_memory.change} and {cores or 'no'} cores instead of {asked.core_units}"
            yield from tries.advice(change, 1.0 + less_memory.part, smaller.with_cores(cores))
