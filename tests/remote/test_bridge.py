"""A vendor's agent as a plugin: found, asked on time, and no trouble to anybody when it is dead, hung or strange."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import attrs
import pytest
from tests.remote.vendor import Vendor, card, description, family, serving

from hami_core.behaviour import AllocationContext, ContainerEdits, DeviceEvent
from hami_core.errors import PluginFault, ProbeFailed
from hami_core.manager import load_plugins
from hami_core.model import Device, DeviceShare
from hami_core.node.discovery import Discovery
from hami_core.node.settings import NodeSettings
from hami_core.node.watching import watch
from hami_core.probing import probe_vendor
from hami_core.registry import Registry, load_registry
from hami_core.remote import session
from hami_core.remote.bridge import table_of
from hami_core.remote.description import table_text
from hami_core.remote.places import Place, place_of
from hami_core.remote.plugin.v1 import plugin_pb2 as pb
from hami_core.remote.session import RemoteFailed

CONTEXT = AllocationContext(
    shares=(DeviceShare(uuid="b-0", memory_mib=1000, core_units=30),),
    devices={"b-0": Device(uuid="b-0", family="BOREALIS", model="B1", index=3, memory_mib=32768)},
    limits_file=Path("/run/hami/limits"),
    region_file=Path("/run/hami/region"),
    priority=0,
    files={"share.conf": "30"},
    others=({"share.conf": "40"},),
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    monkeypatch.setenv("HAMI_PLUGINS", "borealis")


def write_table(environ: dict[str, str], message: pb.Description) -> None:
    Path(environ["HAMI_PLUGIN_TABLES"], "borealis.json").write_text(table_text(message), encoding="utf-8")


def problem(registry: Registry) -> str:
    (info,) = (info for info in registry.plugins if info.source.name == "borealis")
    return info.problem


def allocate(registry: Registry) -> ContainerEdits:
    allocator = registry.family("BOREALIS").allocate
    assert allocator is not None
    return allocator(CONTEXT)


def test_an_agent_that_answers_is_a_plugin_with_its_own_tables(place: Place) -> None:
    with serving(Vendor(), place) as vendor:
        registry = load_registry()
    assert problem(registry) == ""
    assert registry.family("BOREALIS").source.version == "1.2.0"
    assert (vendor.asked[0].api.major, vendor.asked[0].agent) == (1, "hami 0.1.0")


def test_with_a_table_no_socket_is_touched_so_that_schedulers_need_none(environ: dict[str, str]) -> None:
    write_table(environ, description())
    registry = load_registry()
    assert problem(registry) == ""
    assert registry.family("BOREALIS").allocate is not None


def test_the_table_counts_where_the_agent_says_otherwise_and_the_state_says_so(
    place: Place, environ: dict[str, str]
) -> None:
    write_table(environ, description())
    with serving(Vendor(description=description(families=[family("AURORA")])), place):
        loaded = load_plugins().plugins[-1].module
        assert loaded.state().startswith("answers with other tables than ")  # type: ignore[union-attr]
        assert [item.name for item in load_registry().families.values() for item in [item.family]] == ["BOREALIS"]


def test_the_table_of_a_running_agent_can_be_written_over_a_broken_one(place: Place, environ: dict[str, str]) -> None:
    Path(environ["HAMI_PLUGIN_TABLES"], "borealis.json").write_text("", encoding="utf-8")
    with serving(Vendor(), place):
        assert table_of("borealis", environ) == table_text(description())


@pytest.mark.parametrize("call", ["Describe"])
@pytest.mark.usefixtures("impatient")
def test_an_agent_that_hangs_at_the_start_is_left_out_with_the_reason(place: Place, call: str) -> None:
    with serving(Vendor(hangs=(call,)), place):
        registry = load_registry()
    assert problem(registry) == f"plugin borealis ({place.socket}): Describe: no answer within 0.3 s"


def test_an_agent_of_another_major_version_is_left_out_with_both_versions(place: Place) -> None:
    with serving(Vendor(description=description(api=pb.ApiVersion(major=2))), place):
        registry = load_registry()
    assert "speaks plugin API 2.0, and this is 1.0" in problem(registry)


def test_two_agents_are_found_and_the_strange_one_does_not_hide_the_other(
    place: Place, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAMI_PLUGINS", "aurora,borealis")
    with serving(Vendor(), place), serving(Vendor(description=description(name="x")), place_of("aurora", environ)):
        registry = load_registry()
    problems = {info.source.name: info.problem for info in registry.plugins if info.problem}
    assert list(problems) == ["aurora"]
    assert list(registry.families) == ["BOREALIS"]


def test_an_agent_with_the_name_of_an_installed_plugin_is_left_out(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAMI_PLUGINS", "mlu")
    with serving(Vendor(description=description(name="mlu")), place_of("mlu", environ)):
        registry = load_registry()
    (info,) = (info for info in registry.plugins if info.problem)
    assert info.source.name == "mlu (outside)"
    assert info.problem.startswith("has the name of an installed plugin, mlu (hami-mlu")


def test_what_the_agent_cannot_do_is_not_asked_of_it(place: Place) -> None:
    with serving(Vendor(description=description(capabilities=[])), place):
        registry = load_registry()
    assert registry.family("BOREALIS").allocate is None
    assert probe_vendor(registry, "borealis") is None


def test_the_agent_learns_all_that_an_allocation_is_about_and_its_edits_come_back(place: Place) -> None:
    with serving(Vendor(), place) as vendor:
        edits = allocate(load_registry())
    assert edits.env == {"SEES": "b-0"}
    assert vendor.asked[-1] == pb.AllocateRequest(
        family="BOREALIS",
        shares=[pb.Share(uuid="b-0", index=3, model="B1", memory_mib=1000, core_units=30)],
        limits_file="/run/hami/limits",
        region_file="/run/hami/region",
        priority=0,
        core_policy="default",
        files={"share.conf": "30"},
        others=[pb.Files(files={"share.conf": "40"})],
    )


@pytest.mark.usefixtures("impatient")
def test_an_allocation_that_hangs_is_refused(place: Place) -> None:
    with serving(Vendor(hangs=("Allocate",)), place):
        registry = load_registry()
        with pytest.raises(RemoteFailed, match=r"borealis\.sock\): Allocate: no answer within 0\.3 s"):
            allocate(registry)


def test_an_allocation_that_the_vendor_refuses_says_why(place: Place) -> None:
    with serving(Vendor(fails="Allocate"), place):
        registry = load_registry()
        with pytest.raises(RemoteFailed, match='Allocate: INTERNAL: "the card fell off the bus"'):
            allocate(registry)


def test_an_agent_that_was_restarted_is_found_by_the_next_call(place: Place) -> None:
    with serving(Vendor(), place):
        registry = load_registry()
    with pytest.raises(PluginFault, match="is the vendor's agent running"):
        allocate(registry)
    with serving(Vendor(edits=pb.AllocateResponse(env={"SEES": "again"})), place):
        assert allocate(registry).env == {"SEES": "again"}


def test_an_agent_that_is_another_version_after_a_restart_is_refused_then(place: Place) -> None:
    with serving(Vendor(), place):
        registry = load_registry()
    with (
        serving(Vendor(description=description(api=pb.ApiVersion(major=1, minor=9))), place),
        pytest.raises(PluginFault, match=r"needs plugin API 1\.9, and this is 1\.0; upgrade HAMi"),
    ):
        allocate(registry)


def test_a_socket_that_serves_something_else_is_said_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.remote.vendor.add_PluginServiceServicer_to_server", lambda *_: None)
    with serving(Vendor(), place):
        registry = load_registry()
    assert "does not serve hami.plugin.v1.PluginService" in problem(registry)


def test_a_probe_runs_in_a_child_and_reports_the_agents_cards(place: Place) -> None:
    with serving(Vendor(), place):
        report = probe_vendor(load_registry(), "borealis")
    assert report is not None
    assert [(found.uuid, found.memory_mib) for found in report.devices] == [("b-0", 32768)]


def test_a_probe_that_fails_says_what_the_vendor_said(place: Place) -> None:
    with serving(Vendor(fails="Probe"), place):
        registry = load_registry()
        with pytest.raises(ProbeFailed, match="the card fell off the bus"):
            probe_vendor(registry, "borealis")


def test_the_last_inventory_is_kept_while_the_agent_is_away(place: Place) -> None:
    two = pb.ProbeResponse(driver="9.1", devices=[card("b-0"), card("b-1", index=1)])
    with serving(Vendor(probe=two), place):
        registry = load_registry()
        settings = NodeSettings(node="n")
        discovery = Discovery(registry, settings)
        asyncio.run(discovery.look())
    before = [(device.uuid, device.healthy) for device in discovery.devices]
    asyncio.run(discovery.look())
    assert [(device.uuid, device.healthy) for device in discovery.devices] == before == [("b-0", True), ("b-1", True)]
    assert "is the vendor's agent running?" in discovery.problems["borealis"]
    with serving(Vendor(), place):
        asyncio.run(discovery.look())
    assert [(device.uuid, device.healthy) for device in discovery.devices] == [("b-0", True), ("b-1", False)]


def test_a_watch_passes_on_what_the_agent_tells(place: Place) -> None:
    async def first(registry: Registry) -> DeviceEvent:
        seen: asyncio.Queue[DeviceEvent] = asyncio.Queue()
        watching = asyncio.create_task(watch(registry, "borealis", seen.put_nowait, environ=dict(os.environ)))
        try:
            return await seen.get()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    with serving(Vendor(events=[pb.WatchResponse(uuid="b-0", note="hot")]), place):
        assert asyncio.run(first(load_registry())) == DeviceEvent(uuid="b-0", note="hot")


def test_a_watch_of_an_agent_that_cannot_tell_is_none(place: Place) -> None:
    with serving(Vendor(description=description(capabilities=[pb.CAPABILITY_PROBE])), place):
        registry = load_registry()
    asyncio.run(watch(registry, "borealis", lambda _event: None))


def test_deadlines_leave_the_child_that_probes_time_to_say_what_hung() -> None:
    from hami_core.probing import DEADLINE_S

    assert session.DESCRIBE_S + session.PROBE_S < DEADLINE_S


def test_a_context_of_several_shares_keeps_their_order(place: Place) -> None:
    devices = {f"b-{n}": attrs.evolve(CONTEXT.devices["b-0"], uuid=f"b-{n}", index=n) for n in (2, 0)}
    shares = tuple(DeviceShare(uuid=uuid) for uuid in devices)
    with serving(Vendor(), place) as vendor:
        allocator = load_registry().family("BOREALIS").allocate
        assert allocator is not None
        allocator(attrs.evolve(CONTEXT, shares=shares, devices=devices))
    assert [share.uuid for share in vendor.asked[-1].shares] == ["b-2", "b-0"]
