"""kubelet's APIs: the generated code is the proto's, and calls go to where kubelet listens."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hami_core.node.api.v1 import podresources_pb2
from hami_core.node.api.v1beta1 import deviceplugin_pb2

ROOT = Path(__file__).resolve().parents[2]
GENERATED = Path("hami_core/node/api")


def test_the_committed_code_is_what_the_protos_generate(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".boot" / "bin" / "uv")
    command = [uv, "run", "--quiet", "--script", str(ROOT / "proto" / "generate.py"), "--python-out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    made = sorted(path.relative_to(tmp_path) for path in (tmp_path / GENERATED).rglob("*.py*"))
    assert len(made) == 8
    for path in made:
        assert (ROOT / "src" / path).read_text() == (tmp_path / path).read_text(), f"{path} is stale; run make proto"


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (deviceplugin_pb2.DESCRIPTOR.services_by_name["Registration"], "v1beta1.Registration"),
        (deviceplugin_pb2.DESCRIPTOR.services_by_name["DevicePlugin"], "v1beta1.DevicePlugin"),
        (podresources_pb2.DESCRIPTOR.services_by_name["PodResourcesLister"], "v1.PodResourcesLister"),
    ],
)
def test_services_have_kubelets_names(service: object, name: str) -> None:
    assert getattr(service, "full_name", "") == name
