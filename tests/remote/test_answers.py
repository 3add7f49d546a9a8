"""What a plugin's process answers is checked before anybody believes it."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from tests.remote.vendor import card

from hami_core.behaviour import DeviceEvent, Link, Mount, ProbedDevice
from hami_core.model import Device
from hami_core.remote.answers import edits_of, event_of, report_of
from hami_core.remote.places import place_of
from hami_core.remote.plugin.v1 import plugin_pb2 as pb
from hami_core.remote.session import RemoteFailed
from hami_core.wire.register import decode_csv, encode_csv

PLACE = place_of("borealis", {"HAMI_PLUGIN_SOCKETS": "/run/hami"})


def test_a_card_is_what_the_driver_says_and_unknown_where_it_says_nothing() -> None:
    full = card(index=3, core_units=16, numa=1, unhealthy=True, health_note="hot", family="BOREALIS")
    full.links.add(peer_uuid="b-1", kind="ring")
    full.process_memory_mib[42] = 100
    json_format.ParseDict({"place": 3, "ratio": 0.5, "names": ["a", 1]}, full.custom)
    report = report_of(pb.ProbeResponse(driver="9.1", devices=[full, pb.Device(uuid="b-9", model="B")]), PLACE)
    assert (report.vendor, report.driver) == ("borealis", "9.1")
    assert report.devices == (
        ProbedDevice(
            uuid="b-0",
            index=3,
            model="Borealis B1",
            memory_mib=32768,
            core_units=16,
            process_memory_mib={42: 100},
            numa=1,
            healthy=False,
            health_note="hot",
            links=(Link(peer_uuid="b-1", kind="ring"),),
            custom={"place": 3, "ratio": 0.5, "names": ["a", 1], "family": "BOREALIS"},
        ),
        ProbedDevice(uuid="b-9", index=0, model="B", memory_mib=None),
    )


def test_a_missing_driver_is_no_failure() -> None:
    report = report_of(pb.ProbeResponse(missing="no driver"), PLACE)
    assert (report.driver, report.missing, report.devices) == (None, "no driver", ())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (pb.ProbeResponse(), "driver must be the driver's version, or absent"),
        (pb.ProbeResponse(missing="none", devices=[card()]), "driver must be the driver's version, or absent"),
        (pb.ProbeResponse(driver=""), "driver must be 1 to 4096 characters"),
        (pb.ProbeResponse(driver="1", devices=[card(), card()]), 'devices must be distinct; got "b-0"'),
        (pb.ProbeResponse(driver="1", devices=[card("a,b")]), "devices[0].uuid must be letters, digits"),
        (pb.ProbeResponse(driver="1", devices=[card("")]), "devices[0].uuid must be letters, digits"),
        (pb.ProbeResponse(driver="1", devices=[card(), card("b", memory_mib=-1)]), "devices[1].memory_mib must be 0"),
        (pb.ProbeResponse(driver="1", devices=[card(index=-1)]), "devices[0].index must be 0 or more; got -1"),
        (pb.ProbeResponse(driver="1", devices=[card(core_busy_percent=101)]), "core_busy_percent must be 0 to 100"),
        (pb.ProbeResponse(driver="1", devices=[card(model="a:b")]), "devices[0].model must be printable text without"),
        (pb.ProbeResponse(driver="1", devices=[card(model="a\nb")]), "devices[0].model must be printable text without"),
        (pb.ProbeResponse(driver="1", devices=[card(process_memory_mib={0: 1})]), "process_memory_mib must be 1"),
        (pb.ProbeResponse(driver="1", devices=[card(str(n)) for n in range(1025)]), "devices must be at most 1024"),
    ],
)
def test_a_report_that_is_none_is_refused_with_its_place(message: pb.ProbeResponse, said: str) -> None:
    with pytest.raises(RemoteFailed) as caught:
        report_of(message, PLACE)
    assert "plugin borealis (/run/hami/borealis.sock): Probe: the answer's " in str(caught.value)
    assert said in str(caught.value)


def test_edits_are_what_the_vendor_says() -> None:
    edits = edits_of(
        pb.AllocateResponse(
            env={"B": "2", "A": "1"},
            mounts=[pb.Mount(host_path="/opt/b", container_path="/usr/lib/b", writable=True)],
            device_nodes=[pb.DeviceNode(path="/dev/b0"), pb.DeviceNode(path="/dev/ctl", permissions="rwm")],
            annotations={"k": "v"},
            files={"share.conf": "30"},
        ),
        PLACE,
    )
    assert list(edits.env.items()) == [("A", "1"), ("B", "2")]
    assert edits.mounts == (Mount(host_path="/opt/b", container_path="/usr/lib/b", read_only=False),)
    assert edits.device_nodes == (("/dev/b0", "rw"), ("/dev/ctl", "rwm"))
    assert edits.annotations == {"k": "v"}
    assert edits.files == {"share.conf": "30"}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (pb.AllocateResponse(env={"A B": "1"}), "env must be named with letters, digits and '_'"),
        (pb.AllocateResponse(env={"A": "1\0"}), "env[A] must be 4096 characters at most"),
        (pb.AllocateResponse(mounts=[pb.Mount(host_path="b", container_path="/b")]), "mounts[0].host_path must be an"),
        (pb.AllocateResponse(mounts=[pb.Mount(host_path="/a", container_path="/b/../c")]), "mounts[0].container_path"),
        (pb.AllocateResponse(mounts=[pb.Mount(host_path="/a", container_path="/")]), "mounts[0].container_path"),
        (pb.AllocateResponse(mounts=[pb.Mount(host_path="/a", container_path="/b")] * 2), "mounts must be distinct"),
        (pb.AllocateResponse(device_nodes=[pb.DeviceNode(path="/etc/x")]), "device_nodes[0].path must be an absolute"),
        (pb.AllocateResponse(device_nodes=[pb.DeviceNode(path="/dev/../x")]), "device_nodes[0].path must be an"),
        (pb.AllocateResponse(device_nodes=[pb.DeviceNode(path="/dev/x", permissions="x")]), "permissions must be of r"),
        (pb.AllocateResponse(env={f"A{n}": "" for n in range(1025)}), "env must be at most 1024 entries; got 1025"),
    ],
)
def test_edits_that_are_none_are_refused_with_their_place(message: pb.AllocateResponse, said: str) -> None:
    with pytest.raises(RemoteFailed) as caught:
        edits_of(message, PLACE)
    assert said in str(caught.value)


def test_an_event_names_a_card() -> None:
    assert event_of(pb.WatchResponse(uuid="b-0", note="hot"), PLACE) == DeviceEvent(uuid="b-0", note="hot")
    with pytest.raises(RemoteFailed, match="Watch: the answer's uuid must be letters"):
        event_of(pb.WatchResponse(uuid="b 0"), PLACE)


TEXT = st.text(max_size=12) | st.sampled_from(["b-0", "/dev/b0", "a:b", "..", "/a/../b"])
NUMBER = st.none() | st.integers(-(2**31), 2**31 - 1)
DEVICES = st.builds(
    pb.Device,
    uuid=TEXT,
    model=TEXT,
    index=NUMBER,
    memory_mib=NUMBER,
    core_units=NUMBER,
    memory_busy_percent=NUMBER,
    health_note=TEXT,
    links=st.lists(st.builds(pb.Link, peer_uuid=TEXT, kind=TEXT, count=NUMBER), max_size=2),
)


@given(st.lists(DEVICES, max_size=3))
def test_cards_of_any_contents_are_refused_or_can_be_registered(devices: list[pb.Device]) -> None:
    try:
        report = report_of(pb.ProbeResponse(driver="1", devices=devices), PLACE)
    except RemoteFailed:
        return
    cards = [
        Device(uuid=found.uuid, family="B", model=found.model, index=found.index, memory_mib=found.memory_mib or 0)
        for found in report.devices
    ]
    if cards:
        assert decode_csv(encode_csv(cards), family="B", what="annotation") == tuple(cards)


@given(
    st.builds(
        pb.AllocateResponse,
        env=st.dictionaries(TEXT, TEXT, max_size=3),
        mounts=st.lists(st.builds(pb.Mount, host_path=TEXT, container_path=TEXT), max_size=3),
        device_nodes=st.lists(st.builds(pb.DeviceNode, path=TEXT, permissions=TEXT), max_size=3),
    )
)
def test_edits_of_any_contents_are_refused_or_stay_within_their_folders(message: pb.AllocateResponse) -> None:
    try:
        edits = edits_of(message, PLACE)
    except RemoteFailed:
        return
    paths = [path for mount in edits.mounts for path in (mount.host_path, mount.container_path)]
    nodes = [path for path, _ in edits.device_nodes]
    assert all(PurePath(path).is_absolute() and ".." not in PurePath(path).parts for path in [*paths, *nodes])
    assert all(PurePath(path).is_relative_to("/dev") for path in nodes)
