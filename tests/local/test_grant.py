"""From an ask to a lease: nothing is promised twice, and every refusal has a reason."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hami_nvidia
from hami_core.behaviour import ProbedDevice
from hami_core.errors import UnknownName
from hami_core.local.grant import Ask, NoRoom, NothingToShare, asked_cards, full_uuids, take
from hami_core.local.leases import Leases
from hami_core.local.machine import Machine
from hami_core.local.sight import SLOTS_PER_CARD, Card, Sight
from hami_core.model import Device
from hami_core.objects import NodeFacts
from hami_core.registry import load_registry
from hami_core.score import builtin
from hami_core.verdict import Reason, Rejected

REGISTRY = load_registry(plugins=[hami_nvidia, builtin])
TOTAL_MIB = 46068
BOX = NodeFacts(name="box")


def card(
    index: int, *, vendor: str = "nvidia", family: str = "NVIDIA", model: str = "NVIDIA A40", mode: str = ""
) -> Card:
    uuid = f"GPU-{index}"
    probed = ProbedDevice(uuid=uuid, index=index, model=model, memory_mib=TOTAL_MIB, mode=mode)
    device = Device(uuid=uuid, family=family, model=model, index=index, memory_mib=TOTAL_MIB, slots=SLOTS_PER_CARD,
                    mode=mode)  # fmt: skip
    return Card(vendor=vendor, probed=probed, device=device)


def sight(*cards: Card, **notes: dict[str, str]) -> Sight:
    return Sight(machine=Machine(name="box", folder=Path("/nowhere")), cards=cards, **notes)


ASKS = st.builds(
    lambda count, memory, cores, uuids, over: Ask(
        count=count, **memory, cores=cores, uuids=uuids, oversubscribe=over
    ),
    count=st.integers(1, 3),
    memory=st.one_of(
        st.just({}),
        st.builds(lambda mib: {"memory_mib": mib}, st.integers(1, TOTAL_MIB + 1000)),
        st.builds(lambda percent: {"memory_percent": percent}, st.integers(1, 100)),
    ),
    cores=st.integers(0, 100),
    uuids=st.sampled_from([(), ("GPU-0",), ("GPU-0", "GPU-1")]),
    over=st.booleans(),
)  # fmt: skip


@settings(deadline=None)
@given(asks=st.lists(ASKS, max_size=12), releases=st.lists(st.integers(0, 11), max_size=6))
def test_leases_never_promise_more_of_a_card_than_it_has(asks: list[Ask], releases: list[int]) -> None:
    cards = (card(0), card(1))
    with tempfile.TemporaryDirectory() as folder:
        books = Leases(Path(folder), in_use=lambda _folder: False)
        for number, ask in enumerate(asks):
            outcome = take(books, cards, ask, ("train",), machine=BOX, registry=REGISTRY)
            out = books.look()
            if isinstance(outcome, NoRoom):
                assert isinstance(outcome.verdict, Rejected)
                assert outcome.verdict.tally
            else:
                assert outcome in out
                assert len({share.uuid for share in outcome.shares}) == ask.count
                assert not ask.uuids or {share.uuid for share in outcome.shares} <= set(ask.uuids)
                assert all(share.memory_mib == ask.limit_on(TOTAL_MIB) for share in outcome.shares)
            memory, cores, slots = Counter[str](), Counter[str](), Counter[str]()
            for lease in out:
                for share in lease.shares:
                    memory[share.uuid] += 0 if lease.oversubscribe else share.memory_mib
                    cores[share.uuid] += share.core_units
                    slots[share.uuid] += 1
            assert all(mib <= TOTAL_MIB for mib in memory.values())
            assert all(percent <= 100 for percent in cores.values())
            assert all(count <= SLOTS_PER_CARD for count in slots.values())
            if number in releases and out:
                books.release(out[0].id)
        books.close()


def test_a_refusal_says_whether_an_empty_machine_would_have_room(tmp_path: Path) -> None:
    books = Leases(tmp_path, in_use=lambda _folder: False)
    cards = (card(0),)

    def refused(ask: Ask) -> NoRoom:
        outcome = take(books, cards, ask, ("train",), machine=BOX, registry=REGISTRY)
        assert isinstance(outcome, NoRoom)
        return outcome

    assert not refused(Ask(memory_mib=TOTAL_MIB + 1)).ever
    take(books, cards, Ask(memory_mib=TOTAL_MIB - 100), ("train",), machine=BOX, registry=REGISTRY)
    late = refused(Ask(memory_mib=101))
    assert late.ever
    assert isinstance(late.verdict, Rejected)
    assert dict(late.verdict.tally) == {Reason.MEMORY: 1}
    books.close()


def test_a_card_cut_into_partitions_is_not_shared_by_the_library(tmp_path: Path) -> None:
    books = Leases(tmp_path, in_use=lambda _folder: False)
    cards = (card(0, mode="mig"), card(1, mode="hami-core"))
    first = take(books, cards, Ask(memory_mib=1000), ("a",), machine=BOX, registry=REGISTRY)
    second = take(books, cards, Ask(memory_mib=1000, uuids=("GPU-0",)), ("b",), machine=BOX, registry=REGISTRY)
    assert not isinstance(first, NoRoom)
    assert [share.uuid for share in first.shares] == ["GPU-1"]
    assert isinstance(second, NoRoom)
    assert "ModeNotFit" in str(second.verdict) or "CardTypeMismatch" in str(second.verdict)
    books.close()


@pytest.mark.parametrize(
    ("seen", "vendor", "message"),
    [
        pytest.param(sight(), None, "box has no accelerator cards; try it with --simulate a40x2", id="bare"),
        pytest.param(sight(missing={"nvidia": "libnvidia-ml.so.1 is not installed"}), "nvidia",
                     r"box has no nvidia cards \(nvidia: libnvidia-ml.so.1 is not installed\); try", id="no driver"),
        pytest.param(sight(failed={"nvidia": "did not answer in 10 s"}), None,
                     r"box has no accelerator cards \(nvidia: did not answer in 10 s\); try", id="driver hangs"),
        pytest.param(sight(card(0), card(1, vendor="mlu", family="MLU")), None,
                     "box has cards of mlu and nvidia; say which with --vendor", id="two vendors"),
        pytest.param(sight(card(0, vendor="ascend", family="A310"), card(1, vendor="ascend", family="A910")),
                     None, "box has A310 and A910; say which with --device-type", id="two families"),
    ],
)  # fmt: skip
def test_no_card_to_ask_for_is_said_with_what_was_found(seen: Sight, vendor: str | None, message: str) -> None:
    with pytest.raises(NothingToShare, match=message):
        asked_cards(seen, vendor)


def test_the_vendor_and_the_model_narrow_the_cards() -> None:
    nvidia, small = card(0), card(1, vendor="ascend", family="Ascend310P", model="310P3")
    big = card(2, vendor="ascend", family="Ascend910A", model="910A")
    assert asked_cards(sight(nvidia, small, big), "nvidia") == (nvidia,)
    assert asked_cards(sight(small, big), None, models=("910a",)) == (big,)


def test_a_uuid_may_be_cut_short_as_long_as_it_names_one_card() -> None:
    cards = (card(1), card(10))
    assert full_uuids(cards, ("GPU-1", "GPU-10")) == ("GPU-1", "GPU-10")
    with pytest.raises(UnknownName, match='no single card named "GPU-"'):
        full_uuids(cards, ("GPU-",))
    with pytest.raises(UnknownName, match='no card named "MLU-1"; known: GPU-1, GPU-10'):
        full_uuids(cards, ("MLU-1",))
