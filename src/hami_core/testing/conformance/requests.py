"""Checks of what containers may ask for: the request parser and admission."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hami_core.errors import HamiError
from hami_core.model import DeviceRequest
from hami_core.objects import read_pod
from hami_core.registry import LoadedFamily
from hami_core.testing.conformance.check import check, require
from hami_core.testing.conformance.families import valid_key
from hami_core.testing.conformance.subject import Subject, pod_item
from hami_core.units import INT32_MAX

_COUNTS = (1, 2, 3)
_NONSENSE: tuple[object, ...] = ("", "abc", "-1", "1.5", "0x10", "١", "1e400", "9" * 60, True, [], {"a": 1})  # noqa: RUF001 - a digit of another script


def _read(loaded: LoadedFamily, limits: Mapping[str, object]) -> DeviceRequest | None:
    pod = read_pod(pod_item(limits))
    return loaded.request(pod, pod.containers[0])


def _matrix(loaded: LoadedFamily) -> Iterator[dict[str, object]]:
    """Counts with and without memory, percentage and cores, as a person would write them."""
    family = loaded.family
    resources, units = family.resources, family.units
    memories: list[tuple[str, object]] = []
    if resources.memory:
        memories += [(resources.memory, 8), (resources.memory, 64)]
        memories += [(resources.memory, template.memory_mib) for template in family.templates[:1]]
    if resources.memory_percent:
        memories += [(resources.memory_percent, 50), (resources.memory_percent, 100)]
    for count in _COUNTS:
        yield {resources.count: count}
        for memory in memories:
            yield {resources.count: count, memory[0]: memory[1]}
        if resources.cores:
            yield {resources.count: count, resources.cores: units.cores_per_card}
            yield {resources.count: count, resources.cores: 1}


@check("requests")
def a_container_that_asks_for_nothing_gets_nothing(subject: Subject) -> None:
    """Most pods of a cluster want no card; they must pass untouched."""
    strange = {"cpu": "2", "memory": "1Gi", "example.test/other-card": 1}
    for loaded in subject.families:
        for limits in ({}, strange):
            asked = _read(loaded, limits)
            advice = "Return None where the count resource is absent."
            require(asked is None, f"limits {limits} are read as {asked} of {loaded.family.name}", advice)
    admitted = subject.admit(pod_item(strange))
    limits_after = admitted.pod["spec"]["containers"][0]["resources"]["limits"]
    require(
        admitted.admitted and limits_after == strange,
        f"admission changes the limits of a container without cards to {limits_after}",
        "Return Edits() with found=False unless the container names one of the family's resources.",
    )


@check("requests")
def a_request_is_read_the_same_however_it_is_written(subject: Subject) -> None:
    """YAML gives numbers, JSON patches give strings; limits and requests both count."""
    for loaded in subject.families:
        for limits in _matrix(loaded):
            try:
                number = _read(loaded, limits)
            except HamiError:
                continue
            text = _read(loaded, {name: str(amount) for name, amount in limits.items()})
            advice = "Read quantities with hami_core.units, which takes both."
            found = f"{loaded.family.name}: {limits} is read as {number}, and as {text} when the numbers are strings"
            require(number == text, found, advice)


@check("requests")
def a_request_is_within_what_a_card_has(subject: Subject) -> None:
    """What is read must be of this family, and cores at most a card's worth."""
    for loaded in subject.families:
        units = loaded.family.units
        for limits in _matrix(loaded):
            try:
                asked = _read(loaded, limits)
            except HamiError as err:
                require(str(err), f"{limits} is refused without a word", "Say what to write instead.")
                continue
            found = f"{loaded.family.name}: {limits} is read as {asked}"
            require(asked is not None, found, "A count of 1 or more is a request.")
            assert asked is not None
            require(asked.family == loaded.family.name, found, "Set DeviceRequest.family to the family's own name.")
            require(asked.count == limits[loaded.family.resources.count], found, "Keep the count as it was asked for.")
            cores = f"Cores are for each card: {units.cores_per_card} {units.core_unit} at most."
            require(asked.core_units <= units.cores_per_card, found, cores)


@check("requests")
def a_count_of_zero_asks_for_nothing(subject: Subject) -> None:
    """Templates of charts often write 0 for "none"."""
    for loaded in subject.families:
        asked = _read(loaded, {loaded.family.resources.count: 0})
        require(asked is None, f"a count of 0 is read as {asked}", "Return None for a count of 0.")


@check("requests")
def nonsense_is_refused_with_its_place(subject: Subject) -> None:
    """A malformed number taken as "no request" gives the pod a node without a card."""
    for loaded in subject.families:
        resources = loaded.family.resources
        for name in (resources.count, resources.memory, resources.memory_percent, resources.cores):
            for value in _NONSENSE if name else ():
                assert name is not None
                _refused(loaded, name, value)


def _refused(loaded: LoadedFamily, name: str, value: object) -> None:
    limits = {loaded.family.resources.count: 1, name: value}
    advice = "Read it with hami_core.units.whole_number or memory_mib, and pass where= the pod, container and resource."
    try:
        asked = _read(loaded, limits)
    except HamiError as err:
        require(name in str(err), f"the refusal of {name}: {value!r} does not name the resource: {err}", advice)
    except Exception as err:  # noqa: BLE001 - any other exception is the fault that is looked for
        require(holds=False, found=f"{name}: {value!r} raises {type(err).__name__}: {err}", advice=advice)
    else:
        require(holds=False, found=f"{name}: {value!r} is read as {asked}", advice=advice)


@check("requests")
def more_than_an_int32_is_refused(subject: Subject) -> None:
    """Other readers of the annotations keep numbers in 32 bits."""
    for loaded in subject.families:
        for name in (loaded.family.resources.count, loaded.family.resources.memory):
            if name:
                _refused(loaded, name, INT32_MAX + 1)


@check("admission")
def admitting_twice_changes_nothing(subject: Subject) -> None:
    """Kubernetes may call a webhook again, and pods are copied from admitted ones."""
    for loaded in subject.families:
        for limits in _matrix(loaded):
            once = subject.admit(pod_item(limits))
            if not once.admitted:
                require(once.message, f"{limits} is refused without a word", "Raise AdmissionRefused with a text.")
                continue
            twice = subject.admit(once.pod)
            require(
                twice.admitted and not twice.patch,
                f"admitting {limits} again {'changes ' + str(twice.patch) if twice.admitted else twice.message}",
                "Write what is missing only, and accept your own output.",
            )


@check("admission")
def an_admitted_container_asks_for_cards(subject: Subject) -> None:
    """A container that admission found but the parser does not see is scheduled without a card."""
    for loaded in subject.families:
        resource = loaded.family.resources.count
        admitted = subject.admit(pod_item({resource: 1}))
        require(admitted.admitted, f"{resource}: 1 is refused: {admitted.message}", "Accept the simplest request.")
        families = subject.request(admitted.pod).families
        require(
            loaded.family.name in families,
            f"{resource}: 1 is admitted, but asks for {', '.join(families) or 'nothing'}",
            "Let hami_admit and hami_request read the same resource.",
        )


@check("admission")
def edits_are_well_formed(subject: Subject) -> None:
    """The API server refuses a patch with anything but strings in environment and annotations."""
    for loaded in subject.families:
        for limits in _matrix(loaded):
            facts = read_pod(pod_item(limits))
            try:
                edits = loaded.admit(facts, facts.containers[0])
            except HamiError:
                continue
            texts = {**edits.limits, **edits.requests, **edits.env, **edits.env_all_containers, **edits.pod_annotations}
            for key, value in texts.items():
                found = f"{loaded.family.name}: admission writes {key!r}: {value!r}"
                require(isinstance(value, str), found, "Write strings; str() the numbers.")
            for key in (*edits.limits, *edits.requests, *edits.pod_annotations):
                require(valid_key(key), f'admission writes the key "{key}"', "Kubernetes does not take such a key.")
            for key in (*edits.env, *edits.env_all_containers):
                good = key.isascii() and key.replace("_", "a").isalnum() and not key[0].isdigit()
                require(good, f'admission writes the variable "{key}"', "Use letters, digits and '_'.")
