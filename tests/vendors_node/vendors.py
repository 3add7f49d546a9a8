"""The vendors under test: what differs between them is in this table, and in `client.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

import hami_ascend
import hami_dcu
import hami_iluvatar
import hami_mlu
import hami_mthreads
import hami_nvidia
from hami_core.local.machine import Machine, simulated
from hami_core.machine_file import MachineFile, read_machine
from hami_core.registry import Registry, load_registry
from hami_core.score import builtin

CLIENT = Path(__file__).with_name("client.py")
TIMEOUT_S = 60


@attrs.frozen(kw_only=True)
class Vendor:
    """One vendor as its tests need to know it."""

    name: str
    plugin: ModuleType
    family: str
    machine: str  # of two cards at least
    library: str  # the management library's file name
    start: str  # its functions by what they do, where a fault in each is a fault of the whole
    count: str
    uuid: str
    start_code: int  # an answer of `start` that says more than that there is no driver
    health: bool = True  # whether the driver tells of a card's health by itself, beside events
    processes: bool = True  # whether it lists processes
    numa: bool = True  # whether the driver tells the NUMA node
    shown_by_runtime: bool = False  # whether a container sees its own cards by the runtime's doing, which tests must do
    places: bool = True  # whether HAMI_<VENDOR>_LIBRARY can name the library
    out_of_memory: int  # what a program gets past its share
    count_resource: str
    memory_resource: str
    memory_unit_mib: int = 1
    extra_limits: Mapping[str, str] = attrs.field(factory=dict)
    pod_annotations: Mapping[str, str] = attrs.field(factory=dict)
    doubles: str  # where the package has them
    device_nodes: tuple[str, ...] = ()  # what a container of one card gets by CDI, by the card's index

    @property
    def registry(self) -> Registry:
        """This vendor alone."""
        return load_registry(plugins=[self.plugin, builtin])

    @property
    def file(self) -> MachineFile:
        """The machine as its file has it."""
        return read_machine(self.registry.machine_files[self.machine])

    def __str__(self) -> str:
        return self.name


VENDORS = (
    Vendor(
        name="ascend",
        plugin=hami_ascend,
        family="Ascend910B3",
        machine="ascend910b3x8",
        library="libdcmi.so",
        start="dcmi_init",
        count="dcmi_get_card_list",
        uuid="dcmi_get_device_die_v2",
        start_code=-8005,
        numa=False,  # from the kernel, by the card's bus: tests/ascend/test_probe.py
        out_of_memory=207001,
        count_resource="huawei.com/Ascend910B3",
        memory_resource="huawei.com/Ascend910B3-memory",
        pod_annotations={"huawei.com/vnpu-mode": "hami-core"},
        doubles="lib/fake/ascend",
        device_nodes=("/dev/davinci{index}", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"),
    ),
    Vendor(
        name="dcu",
        plugin=hami_dcu,
        family="DCU",
        machine="k100x4",
        library="librocm_smi64.so.2",
        start="rsmi_init",
        count="rsmi_num_monitor_devices",
        uuid="rsmi_dev_serial_number_get",
        start_code=6,
        out_of_memory=2,
        count_resource="hygon.com/dcunum",
        memory_resource="hygon.com/dcumem",
        extra_limits={"hygon.com/dcucores": "30"},
        doubles="lib/fake/dcu",
        device_nodes=("/dev/kfd", "/dev/mkfd", "/dev/dri/card{index}", "/dev/dri/renderD{render}"),
    ),
    Vendor(
        name="iluvatar",
        plugin=hami_iluvatar,
        family="BI-V150",
        machine="biv150x4",
        library="libixml.so",
        start="nvmlInit_v2",
        count="nvmlDeviceGetCount_v2",
        uuid="nvmlDeviceGetUUID",
        start_code=999,
        numa=False,
        shown_by_runtime=True,
        out_of_memory=2,
        count_resource="iluvatar.ai/BI-V150-vgpu",
        memory_resource="iluvatar.ai/BI-V150.vMem",
        memory_unit_mib=256,
        extra_limits={"iluvatar.ai/BI-V150.vCore": "30"},
        doubles="lib/fake/iluvatar",
        device_nodes=("/dev/iluvatar{index}",),
    ),
    Vendor(
        name="mlu",
        plugin=hami_mlu,
        family="MLU",
        machine="mlu370x4",
        library="libcndev.so",
        start="cndevInit",
        count="cndevGetDeviceCount",
        uuid="cndevGetUUID",
        start_code=2,
        out_of_memory=100100,
        count_resource="cambricon.com/vmlu",
        memory_resource="cambricon.com/mlu.smlu.vmemory",
        memory_unit_mib=256,
        extra_limits={"cambricon.com/mlu.smlu.vcore": "30"},
        doubles="lib/fake/mlu",
        device_nodes=("/dev/cambricon_dev{index}", "/dev/cambricon_ctl"),
    ),
    Vendor(
        name="mthreads",
        plugin=hami_mthreads,
        family="Mthreads",
        machine="s4000x4",
        library="libmtml.so.2",
        start="mtmlLibraryInit",
        count="mtmlLibraryCountDevice",
        uuid="mtmlDeviceGetUUID",
        start_code=2,
        processes=False,
        out_of_memory=2,
        count_resource="mthreads.com/vgpu",
        memory_resource="mthreads.com/sgpu-memory",
        memory_unit_mib=512,
        extra_limits={"mthreads.com/sgpu-core": "4"},
        doubles="lib/fake/mthreads",
        device_nodes=("/dev/mtgpu{index}", "/dev/dri/card{index}", "/dev/dri/renderD{render}"),
    ),
    Vendor(
        name="nvidia",
        plugin=hami_nvidia,
        family="NVIDIA",
        machine="a40x2",
        library="libnvidia-ml.so.1",
        start="nvmlInitWithFlags",
        count="nvmlDeviceGetCount_v2",
        uuid="nvmlDeviceGetUUID",
        start_code=999,
        health=False,  # by events alone: tests/node/test_xid.py
        places=False,  # pynvml finds it, and takes one that does not load for one that is not there
        out_of_memory=2,
        count_resource="nvidia.com/gpu",
        memory_resource="nvidia.com/gpumem",
        doubles="lib/fake",
    ),
)


@attrs.frozen(kw_only=True)
class Host:
    """A simulated machine and the environment in which its drivers are found."""

    vendor: Vendor
    machine: Machine
    state: Path
    doubles: Path

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of a process on this host."""
        assert self.machine.file is not None
        return {
            **os.environ,
            "HAMI_FAKE_MACHINE": str(self.machine.file),
            "HAMI_FAKE_STATE": str(self.state),
            "LD_LIBRARY_PATH": str(self.doubles),
            **more,
        }

    def without(self, function: str, folder: Path) -> str:
        """A folder to search first, with a management library that lacks one function."""
        content = (self.doubles / self.vendor.library).read_bytes()
        name = f"\0{function}\0".encode()
        assert name in content
        # Another first letter: the loader finds the hash of the old name, and not the name.
        (folder / self.vendor.library).write_bytes(content.replace(name, f"\0X{function[1:]}\0".encode()))
        return f"{folder}{os.pathsep}{self.doubles}"

    def control(self, call: str, *arguments: int) -> None:
        """Call a function of the doubles' own, such as ``hami_fake_set_health``."""
        code = (
            "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]);"
            "sys.exit(getattr(library, sys.argv[2])(*map(int, sys.argv[3:])))"
        )
        command = [sys.executable, "-c", code, self.vendor.library, call, *map(str, arguments)]
        done = subprocess.run(
            command, env=self.environ(), capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        assert done.returncode == 0, done.stderr

    def client(self, *words: str, prefix: Sequence[str] = (), **more: str) -> dict[str, Any]:
        """What a program of this vendor says that does `words`, see `client.py`."""
        command = [*prefix, sys.executable, str(CLIENT), self.vendor.name, *words]
        environ = self.environ(**more)
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def host(vendor: Vendor, folder: Path) -> Host:
    """The vendor's machine, its state in `folder`."""
    registry = vendor.registry
    machine = simulated(vendor.machine, registry)
    doubles = Path(machine.simulation(registry)["LD_LIBRARY_PATH"].split(os.pathsep)[0])
    return Host(vendor=vendor, machine=machine, state=folder / "driver-state", doubles=doubles)
