"""`hami cordon` on this machine: kept in a file, honoured by `hami run`, lifted by `hami uncordon`."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Hami

MACHINE = ("--simulate", "a40x2")
FIRST, SECOND = "GPU-b0398273-1d16-5056-8113-8e1497fc00e0", "GPU-ff046de2-7067-5d75-8a58-2e41067c3c40"


def cordoned(hami: Hami) -> dict[str, bool]:
    devices = json.loads(hami("devices", *MACHINE, "-o", "json").out)["devices"]
    return {device["uuid"]: device["cordoned"] for device in devices}


def card_of_a_run(hami: Hami, *options: str) -> str:
    outcome = hami("run", *MACHINE, *options, "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert outcome.code == 0, outcome.err
    return outcome.out.strip()


def test_a_cordoned_card_is_given_to_nobody_until_it_is_uncordoned(hami: Hami) -> None:
    first = card_of_a_run(hami)
    other = {FIRST: SECOND, SECOND: FIRST}[first]
    outcome = hami("cordon", first[:8], *MACHINE)
    assert (outcome.code, outcome.out) == (0, f"card {first} of a40x2 is cordoned\n")
    assert cordoned(hami) == {first: True, other: False}
    assert card_of_a_run(hami) == other
    refused = hami("run", *MACHINE, "--uuid", first, "--", "true")
    assert refused.code == 75
    assert "cordoned" in refused.err
    assert hami("cordon", first, *MACHINE).out.endswith("is cordoned already\n")
    assert hami("uncordon", first, *MACHINE).out == f"card {first} of a40x2 is in service\n"
    assert card_of_a_run(hami) == first


def test_the_node_that_a_machine_would_be_carries_its_cordons(hami: Hami) -> None:
    hami("cordon", FIRST, *MACHINE)
    node = json.loads(hami("devices", *MACHINE, "-o", "node").out)
    assert node["metadata"]["annotations"]["hami.io/device-cordon"] == FIRST


def test_top_and_devices_show_which_cards_are_cordoned_and_which_are_sick(hami: Hami, environ: dict[str, str]) -> None:
    hami("cordon", FIRST, *MACHINE)
    for verb in (("devices",), ("top", "--once")):
        first, second = (line for line in hami(*verb, *MACHINE).out.splitlines() if "GPU-" in line)
        assert FIRST in first
        assert "cordoned" in first
        assert "cordoned" not in second
    told = json.loads(hami("top", *MACHINE, "--once", "-o", "json").out)["devices"]
    assert {each["uuid"]: each["cordoned"] for each in told} == {FIRST: True, SECOND: False}
    environ["HAMI_FAKE_FAULTS"] = "nvmlDeviceGetMemoryInfo=15,nvmlDeviceGetMemoryInfo_v2=15"
    for verb in (("devices",), ("top", "--once")):
        (first,) = (line for line in hami(*verb, *MACHINE).out.splitlines() if FIRST in line)
        assert "GPU is lost, cordoned" in first


def test_a_card_that_is_not_there_is_refused_with_those_that_are(hami: Hami) -> None:
    outcome = hami("cordon", "GPU-nope", *MACHINE)
    assert outcome.code == 2
    assert f"known: {FIRST}, {SECOND}" in outcome.err


def test_a_list_of_cordons_that_cannot_be_read_gives_no_card_out(hami: Hami, environ: dict[str, str]) -> None:
    hami("cordon", FIRST, *MACHINE)
    (file,) = Path(environ["HAMI_STATE_DIR"]).rglob("cordoned")
    file.write_bytes(b"\xff")
    outcome = hami("run", *MACHINE, "--", "true")
    assert outcome.code == 2
    assert "one UUID a line" in outcome.err


def test_options_of_a_cluster_need_a_node(hami: Hami) -> None:
    assert "need --node" in hami("cordon", FIRST, "--context", "c").err
    assert "give one of them" in hami("cordon", FIRST, "--node", "n1", *MACHINE).err
