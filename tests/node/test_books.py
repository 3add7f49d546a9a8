"""kubelet's checkpoint as the real kubelet wrote it, and as nobody should have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hami_core.node.books import CHECKPOINT, read_entries

RECORDED = Path(__file__).with_name("kubelet_checkpoint.json")


def _written(folder: Path, content: bytes) -> Path:
    (folder / CHECKPOINT).write_bytes(content)
    return folder


def test_a_recorded_checkpoint_names_every_container_with_what_it_was_promised(tmp_path: Path) -> None:
    entries = read_entries(_written(tmp_path, RECORDED.read_bytes()))

    by_container = {entry.container: entry for entry in entries}
    assert sorted(by_container) == ["beside", "first", "main"]
    first, beside, main = by_container["first"], by_container["beside"], by_container["main"]
    assert {entry.uid for entry in entries} == {first.uid}
    assert {entry.resource for entry in entries} == {"nvidia.com/gpu"}
    assert first.ids == beside.ids, "an init container's id went on to the sidecar"
    assert len(main.ids) == 2
    assert len({entry.cdi_device for entry in entries}) == 3


def test_a_kubelet_that_gave_nothing_out_has_no_entries(tmp_path: Path) -> None:
    assert read_entries(tmp_path) == ()
    assert (
        read_entries(_written(tmp_path, b'{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":1}'))
        == ()
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"Data":7}', b'{"Data":{"PodDeviceEntries":[{}]}}', b"\xff\xfe", b'{"Checksum":1}'],
)
def test_what_cannot_be_read_counts_as_not_there_and_is_said(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_entries(_written(tmp_path, content)) == ()
    assert "pods with init containers wait" in caplog.text


@pytest.mark.parametrize("answer", ["null", '""', '"!"', '"AAAA"', '"ChNvdGhlci5pby9jYXJkPWE="'])
def test_an_answer_that_is_not_ours_promises_nothing(tmp_path: Path, answer: str) -> None:
    entry = {"PodUID": "u", "ContainerName": "c", "ResourceName": "r", "DeviceIDs": {"0": ["a"], "1": ["b"]}}
    data = {"PodDeviceEntries": [{**entry, "AllocResp": json.loads(answer)}], "RegisteredDevices": {}}

    (found,) = read_entries(_written(tmp_path, json.dumps({"Data": data, "Checksum": 1}).encode()))

    assert (found.uid, found.container, found.ids, found.cdi_device) == ("u", "c", {"a", "b"}, None)
