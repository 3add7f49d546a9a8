"""The shared region: written by the C core and read in Python, and the other way round, field by field."""

import gzip
import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hami_core.isolation.layout import layout
from hami_core.isolation.region import BadRegion, read_region

GOLDEN = {version: Path(__file__).parent / f"golden/region-{version}.gz" for version in ("1.0", "1.1")}
NEWEST = "1.1"


@pytest.fixture
def region(exchange, tmp_path):
    path = tmp_path / "region"
    exchange("write", path)
    return path


def check_known_values(view, version=NEWEST):
    assert view.version == tuple(map(int, version.split(".")))
    assert (view.created_unix_ns, view.heartbeat_ns, view.reaped_count) == (21, 22, 24)
    assert (view.core_policy, view.priority) == ("force", 1)
    first, second = view.devices
    assert first.uuid == "GPU-00000000-0000-0000-0000-000000000000"
    assert (first.memory_limit_bytes, first.core_percent) == (1000, 30)
    assert (first.busy_ns, first.throttled_ns, first.refused_count, first.launched_ns) == (1003, 1004, 1005, 1006)
    assert (first.others_busy_ns, first.others_seen_ns) == (1007, 1008)
    assert (second.memory_limit_bytes, second.core_percent, second.busy_ns) == (None, None, 2003)
    assert [process.pid for process in view.processes] == [4321, 4322]
    low, high = view.processes
    assert (low.start_ticks, low.pid_namespace, low.uid) == (77, 88, 1000)
    assert (low.attached_ns, low.active_ns) == (11, 12)
    assert low.management_answers is (None if version == "1.0" else False)
    assert low.command == "train ?[2J3"  # an escape sequence does not reach a terminal
    assert low.device_bytes == (300, 301)
    assert high.device_bytes == (6400, 6401)
    assert low.class_bytes[1] == {name: 3010 + i for i, name in enumerate(layout().classes)}
    assert view.used_bytes(0) == 6700
    assert view.used_bytes(0, alive=lambda process: process.pid == 4321) == 300
    assert view.used_bytes_by_class(1)["managed"] == 3011 + 64011


def test_python_reads_every_field_that_the_core_wrote(region):
    check_known_values(read_region(region))


@pytest.mark.parametrize("version", GOLDEN)
def test_a_region_of_every_version_of_the_layout_is_read_for_ever(tmp_path, version):
    path = tmp_path / "region"
    path.write_bytes(gzip.decompress(GOLDEN[version].read_bytes()))
    check_known_values(read_region(path), version)


def test_the_core_writes_the_same_bytes_as_ever(region):
    assert gzip.decompress(GOLDEN[NEWEST].read_bytes()) == region.read_bytes()


def test_the_core_reads_every_field_that_was_written_by_the_description(exchange, region):
    described = layout()
    data = bytearray(region.read_bytes())
    expected = {}
    counter = 50_000
    places = {
        "header": 0,
        "device": described.constants["device_offset"],
        "slot": described.records["header"].read(bytes(data), 0, "head_bytes")
        + described.constants["segment_slots"]
        + 3 * described.records["slot"].size,
    }
    fixed = {"magic", "major", "minor", "head_bytes", "device_bytes", "device_capacity", "segment_bytes"}
    for record, at in places.items():
        for name, field in described.records[record].fields.items():
            if name in fixed | {"segment_count", "boot_id"}:
                continue
            counter += 1
            if field["type"] == "text":
                written = f"text {counter}"
                struct.pack_into(f"{field['length']}s", data, at + field["offset"], written.encode())
                expected[f"{record}.{name}"] = written
            else:
                code = {"u32": "=I", "u64": "=Q", "i64": "=q"}[field["type"]]
                struct.pack_into(code, data, at + field["offset"], counter)
                expected[f"{record}.{name}"] = str(counter)
    # A region of another boot is made anew; this one shall be of none.
    boot = described.records["header"].fields["boot_id"]
    struct.pack_into(f"{boot['length']}s", data, boot["offset"], b"")
    region.write_bytes(data)
    shown = dict(line.split(" ", 1) for line in exchange("show", region).splitlines())
    assert expected.items() <= shown.items()


def test_no_file_and_an_unfinished_one_are_no_region_yet(tmp_path):
    assert read_region(tmp_path / "missing") is None
    empty = tmp_path / "empty"
    empty.touch()
    assert read_region(empty) is None
    unfinished = tmp_path / "unfinished"
    unfinished.write_bytes(bytes(65536))
    assert read_region(unfinished) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"short text", "too short"),
        (b"x" * 5000, "not a region"),
    ],
)
def test_other_files_are_refused_with_their_name(tmp_path, content, says):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(BadRegion, match=f"other.*{says}"):
        read_region(path)


def test_pipes_links_and_folders_are_refused(tmp_path, region):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BadRegion, match="regular file"):
        read_region(pipe)
    link = tmp_path / "link"
    link.symlink_to(region)
    with pytest.raises(OSError, match="link"):
        read_region(link)
    with pytest.raises(BadRegion, match="regular file"):
        read_region(tmp_path)


def test_another_major_version_is_named_in_the_refusal(region):
    data = bytearray(region.read_bytes())
    struct.pack_into("=I", data, layout().records["header"].fields["major"]["offset"], 2)
    region.write_bytes(data)
    with pytest.raises(BadRegion, match=r"layout version 2\.1; known is 1"):
        read_region(region)


def test_a_newer_minor_version_is_read(region):
    data = bytearray(region.read_bytes())
    struct.pack_into("=I", data, layout().records["header"].fields["minor"]["offset"], 7)
    region.write_bytes(data)
    assert read_region(region).version == (1, 7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(8, 300), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 200_000),
)
def test_damage_of_any_kind_is_refused_or_read_within_bounds(region, changes, length):
    data = bytearray(gzip.decompress(GOLDEN[NEWEST].read_bytes()))
    for at, value in changes:
        data[at] = value
    region.write_bytes(data[:length])
    try:
        view = read_region(region)
    except BadRegion:
        return
    assert view is None or all(len(process.device_bytes) == len(view.devices) for process in view.processes)
