"""Strategies for what the wire carries."""

from __future__ import annotations

from hypothesis import strategies as st

from hami_core.model import Device, DeviceShare, Partition, PartitionPlacement, PartitionProfile
from hami_core.units import INT32_MAX

FAMILY = "NVIDIA"
whole = st.integers(0, INT32_MAX)
words = st.text(st.characters(exclude_characters=",:;", exclude_categories=["Cs"]), min_size=1, max_size=20)
placements = st.builds(PartitionPlacement, start=st.integers(0, 20), size=st.integers(1, 8))
profiles = st.builds(
    PartitionProfile,
    name=words,
    memory_mib=st.integers(1, INT32_MAX),
    core_units=whole,
    slice_count=whole,
    placements=st.lists(placements, max_size=3).map(tuple),
)
partitions = st.builds(Partition, profile=words, placement=placements)
shares = st.builds(DeviceShare, uuid=words, memory_mib=whole, core_units=whole)


def devices(*, with_profiles: bool) -> st.SearchStrategy[list[Device]]:
    """Cards of one node, each uuid once."""
    one = st.builds(
        Device,
        uuid=words,
        family=st.just(FAMILY),
        model=words | st.just(""),
        index=whole,
        memory_mib=whole,
        core_units=whole,
        slots=whole,
        numa=st.integers(-1, 8),
        healthy=st.booleans(),
        mode=words | st.just(""),
        profiles=st.lists(profiles, max_size=2).map(tuple) if with_profiles else st.just(()),
    )
    return st.lists(one, max_size=4, unique_by=lambda device: device.uuid)
