"""The example pods do what their first line says, on the two nodes beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.parity.replay import PLUGINS

from hami_core import decide
from hami_core.registry import load_registry
from hami_core.verdict import Fits
from hami_core.wire.device_config import ConfigSections

EXAMPLES = Path(__file__).parents[2] / "examples"

# For each vendor and pod: the node, then for each container (MiB, cores) on each of its cards.
EXPECTED = {
    "nvidia": {
        "default_use": ("a40", [[(3000, 30)]]),
        "use_memory_fraction": ("a40", [[(23034, 0)]]),
        "use_exclusive_card": ("a40", [[(46068, 100)]]),
        "use_several_cards": ("a40", [[(8000, 0), (8000, 0)]]),
        "allow_type": ("t4", [[(3000, 0)]]),
        "allow_uuid": ("a40", [[(3000, 30)]]),
        "deny_uuid": ("a40", [[(3000, 30)]]),
        "pack_cards": ("a40", [[(3000, 30)], [(3000, 30)]]),
        "init_container": ("a40", [[(10000, 0)], [(3000, 0)]]),
    },
    "mlu": {
        "default_use": ("mlu370", [[(3072, 30)]]),
        "use_memory_fraction": ("mlu370", [[(12288, 50)]]),
        "use_exclusive_card": ("mlu370", [[(24576, 100)]]),
        "use_several_cards": ("mlu370", [[(8192, 50), (8192, 50)]]),
        "allow_type": ("mlu590", [[(3072, 100)]]),
        "allow_uuid": ("mlu370", [[(3072, 30)]]),
        "deny_uuid": ("mlu370", [[(3072, 30)]]),
        "pack_cards": ("mlu370", [[(3072, 30)], [(3072, 30)]]),
        "init_container": ("mlu370", [[(10240, 50)], [(3072, 20)]]),
    },
    "ascend": {
        "default_use": ("atlas-train", [[(16384, 0)]]),
        "use_memory_fraction": ("atlas-train", [[(32768, 0)]]),
        "use_exclusive_card": ("atlas-train", [[(65536, 0)]]),
        "use_several_cards": ("atlas-train", [[(65536, 0), (65536, 0)]]),
        "allow_type": ("atlas-infer", [[(6144, 0)]]),
        "allow_uuid": ("atlas-train", [[(16384, 0)]]),
        "deny_uuid": ("atlas-train", [[(16384, 0)]]),
        "pack_cards": ("atlas-train", [[(16384, 0)], [(16384, 0)]]),
        "init_container": ("atlas-train", [[(32768, 0)], [(16384, 0)]]),
    },
    "dcu": {
        "default_use": ("k100", [[(2000, 30)]]),
        "use_memory_fraction": ("k100", [[(8192, 50)]]),
        "use_exclusive_card": ("k100", [[(65520, 100)]]),
        "use_several_cards": ("z100", [[(8000, 50), (8000, 50)]]),
        "allow_type": ("k100", [[(2000, 100)]]),
        "allow_uuid": ("z100", [[(2000, 30)]]),
        "deny_uuid": ("k100", [[(2000, 30)]]),
        "pack_cards": ("k100", [[(2000, 30)], [(2000, 30)]]),
        "init_container": ("k100", [[(10000, 50)], [(3000, 20)]]),
    },
    "iluvatar": {
        "default_use": ("bi-v150", [[(4096, 30)]]),
        "use_memory_fraction": ("bi-v150", [[(16384, 50)]]),
        "use_exclusive_card": ("bi-v150", [[(32768, 100)]]),
        "use_several_cards": ("bi-v150", [[(8192, 100), (8192, 100)]]),
        "allow_type": ("mr-v100", [[(4096, 30)]]),
        "allow_uuid": ("bi-v150", [[(4096, 30)]]),
        "deny_uuid": ("bi-v150", [[(4096, 30)]]),
        "pack_cards": ("bi-v150", [[(4096, 30)], [(4096, 30)]]),
        "init_container": ("bi-v150", [[(16384, 50)], [(4096, 20)]]),
    },
    "mthreads": {
        "default_use": ("s3000", [[(4096, 4)]]),
        "use_memory_fraction": ("s3000", [[(16384, 8)]]),
        "use_exclusive_card": ("s4000", [[(49152, 16)]]),
        "use_several_cards": ("s4000", [[(49152, 16), (49152, 16)]]),
        "allow_type": ("s3000", [[(4096, 0)]]),  # the nodes are chosen by a label, which is kube-scheduler's work
        "allow_uuid": ("s4000", [[(4096, 4)]]),
        "deny_uuid": ("s3000", [[(4096, 4)]]),
        "pack_cards": ("s3000", [[(4096, 4)], [(4096, 4)]]),
        "init_container": ("s3000", [[(16384, 8)], [(4096, 4)]]),
    },
}


@pytest.fixture(scope="module")
def registry():
    return load_registry(ConfigSections.empty(), PLUGINS)


@pytest.mark.parametrize(("vendor", "pod"), [(vendor, pod) for vendor, pods in EXPECTED.items() for pod in pods])
def test_a_pod_gets_what_its_first_line_says(registry, vendor: str, pod: str) -> None:
    folder = EXAMPLES / vendor
    nodes = list(yaml.safe_load_all((folder / "cluster.yaml").read_text(encoding="utf-8")))
    item = yaml.safe_load((folder / f"{pod}.yaml").read_text(encoding="utf-8"))
    decision = decide(nodes, item, registry=registry)
    assert decision.problems == ()
    assert decision.node is not None, decision.admission.message or decision.verdicts
    verdict = decision.verdicts[decision.node]
    assert isinstance(verdict, Fits)
    (family,) = verdict.placement.families
    shares = verdict.placement.shares_of(family)
    given = [[(share.memory_mib, share.core_units) for share in container] for container in shares]
    assert EXPECTED[vendor][pod] == (decision.node, given)
    uuids = {share.uuid for container in shares for share in container}
    assert len(uuids) == max(len(container) for container in shares)
    named = [uuid for key, uuid in item["metadata"].get("annotations", {}).items() if "uuid" in key]
    assert all((uuid in uuids) is (pod == "allow_uuid") for uuid in named)


def test_every_vendor_has_a_pod_of_every_name() -> None:
    names = {vendor: sorted(path.stem for path in (EXAMPLES / vendor).glob("*_*.yaml")) for vendor in EXPECTED}
    assert all(sorted(pods) == names[vendor] for vendor, pods in EXPECTED.items())
    assert len({tuple(found) for found in names.values()}) == 1
