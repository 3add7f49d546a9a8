"""The limits file: what hosts write is what comes back, and what cannot be written is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.behaviour import AllocationContext
from hami_core.errors import BadConfig
from hami_core.isolation.limits import CorePolicy, DeviceLimits, LimitsFile, limits_of, parse_limits, render_limits
from hami_core.isolation.rewriting import set_limits
from hami_core.model import Device, DeviceShare

words = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="="), min_size=1, max_size=60)
devices = st.builds(
    DeviceLimits,
    uuid=words,
    memory_mib=st.none() | st.integers(0, 1 << 40),
    core_percent=st.none() | st.integers(1, 100),
    contended=st.none() | st.booleans(),
    yields=st.booleans(),
)
files = st.builds(
    LimitsFile,
    devices=st.lists(devices, min_size=1, max_size=5, unique_by=lambda device: device.uuid).map(tuple),
    region=st.none() | words.map(lambda name: Path("/run") / name / "a region"),
    core_policy=st.sampled_from(CorePolicy),
    priority=st.none() | st.integers(0, 1),
    oversubscribe=st.booleans(),
)


@given(limits=files)
def test_what_is_written_is_read_back(limits):
    assert limits == parse_limits(limits.render())


def test_the_text_is_the_documented_one():
    limits = LimitsFile(
        region=Path("/run/hami/region"),
        priority=0,
        devices=(DeviceLimits(uuid="GPU-a", memory_mib=23034, core_percent=30), DeviceLimits(uuid="GPU-b")),
    )
    assert limits.render() == (
        "hami-limits 1\n"
        "region /run/hami/region\n"
        "core-policy default\n"
        "priority 0\n"
        "oversubscribe no\n"
        "device GPU-a memory_mib=23034 core_percent=30\n"
        "device GPU-b core_percent=0\n"
    )


def test_cores_that_something_else_holds_have_no_percent_and_get_none(tmp_path):
    context = AllocationContext(
        shares=(DeviceShare(uuid="a", memory_mib=16, core_units=30),),
        devices={},
        limits_file=tmp_path / "limits",
        region_file=tmp_path / "region",
    )
    limits = limits_of(context, cores_elsewhere=True)
    assert limits.render().endswith("device a memory_mib=16 core_percent=0 cores=elsewhere\n")
    assert parse_limits(limits.render()) == limits
    limits.write(context.limits_file)
    assert set_limits(context.limits_file, {"a": DeviceLimits(uuid="a", memory_mib=32, core_percent=50)})
    assert context.limits_file.read_text().endswith("device a memory_mib=32 core_percent=0 cores=elsewhere\n")
    with pytest.raises(ValueError, match="core_percent must not be set where something else holds the cores"):
        DeviceLimits(uuid="a", core_percent=30, cores_elsewhere=True)


def test_the_limits_of_a_container_come_from_its_shares():
    context = AllocationContext(
        shares=(
            DeviceShare(uuid="a", memory_mib=16, core_units=5),
            DeviceShare(uuid="b", core_units=20),
            DeviceShare(uuid="c"),
        ),
        devices={"a": Device(uuid="a", family="F", model="M", memory_mib=32, core_units=20)},
        limits_file=Path("/x/limits"),
        region_file=Path("/x/region"),
        core_policy="force",
    )
    limits = limits_of(context)
    assert limits.devices == (
        DeviceLimits(uuid="a", memory_mib=16, core_percent=25),
        DeviceLimits(uuid="b", core_percent=20),
        DeviceLimits(uuid="c"),
    )
    assert limits.core_policy is CorePolicy.FORCE
    assert render_limits(context) == limits.render()


def test_the_file_appears_whole_read_only_and_alone(tmp_path):
    path = tmp_path / "limits"
    limits = LimitsFile(devices=(DeviceLimits(uuid="GPU-a", memory_mib=1),))
    limits.write(path)
    LimitsFile(devices=(DeviceLimits(uuid="GPU-a", memory_mib=2),)).write(path)
    assert "memory_mib=2" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o444
    assert [path] == list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_earlier_file_and_no_draft(tmp_path):
    path = tmp_path / "limits"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        LimitsFile(devices=(DeviceLimits(uuid="GPU-a"),)).write(path)
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "uuid",
    [
        pytest.param("", id="empty"),
        pytest.param("GPU a", id="two words"),
        pytest.param("a\nregion /etc", id="a line break"),
        pytest.param("memory_mib=5", id="a setting"),
        pytest.param("x" * 96, id="longer than the library reads"),
    ],
)
def test_a_device_that_would_break_the_text_is_refused(uuid):
    with pytest.raises(ValueError, match=r"DeviceLimits\.uuid"):
        DeviceLimits(uuid=uuid)


def test_limits_that_the_library_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="1 to 256 devices; got 257"):
        LimitsFile(devices=tuple(DeviceLimits(uuid=f"GPU-{i}") for i in range(257)))
    with pytest.raises(ValueError, match="'GPU-a' twice"):
        LimitsFile(devices=(DeviceLimits(uuid="GPU-a"), DeviceLimits(uuid="GPU-a")))
    with pytest.raises(ValueError, match=r"LimitsFile\.region"):
        LimitsFile(devices=(DeviceLimits(uuid="GPU-a"),), region=Path("/a\nb"))
    with pytest.raises(ValueError, match="core_percent"):
        DeviceLimits(uuid="GPU-a", core_percent=101)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1"),
        ("hami-limits 1\ndevice\n", "line 2: must name a device"),
        ("hami-limits 1\ndevice a memory_mib=2x\n", "line 2: must be a whole number; got '2x'"),
        ("hami-limits 1\ndevice a\noversubscribe maybe\n", "line 3"),
        ("hami-limits 1\ncore-policy sometimes\n", "line 2"),
        ("hami-limits 1\n", "1 to 256 devices; got 0"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(content, says):
    with pytest.raises(BadConfig, match=says):
        parse_limits(content)


def test_unknown_words_are_ignored():
    assert parse_limits("hami-limits 1\nnew thing\ndevice a other=1\n").devices == (DeviceLimits(uuid="a"),)
