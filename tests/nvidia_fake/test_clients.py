"""Clients that know nothing of the doubles run on them: pynvml, gpustat, nvitop, cuda-python."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable
from pathlib import Path

from tests.nvidia_fake.hosts import Host

SCRIPTS = Path(sysconfig.get_path("scripts"))
HostMaker = Callable[[str | Path], Host]


def test_pynvml_sees_the_machine(host: HostMaker) -> None:
    answer = host("a40x2").python(
        """
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        answer = {
            "driver": nvml.nvmlSystemGetDriverVersion(),
            "cuda": nvml.nvmlSystemGetCudaDriverVersion(),
            "names": [nvml.nvmlDeviceGetName(h) for h in handles],
            "total_mib": [nvml.nvmlDeviceGetMemoryInfo(h).total >> 20 for h in handles],
            "found_again": [nvml.nvmlDeviceGetIndex(nvml.nvmlDeviceGetHandleByUUID(nvml.nvmlDeviceGetUUID(h)))
                            for h in handles],
            "by_bus": nvml.nvmlDeviceGetIndex(nvml.nvmlDeviceGetHandleByPciBusId("0000:AF:00.0")),
            "power_w": nvml.nvmlDeviceGetPowerUsage(handles[0]) // 1000,
        }
        """
    )
    assert answer == {
        "driver": "580.82.07",
        "cuda": 13000,
        "names": ["NVIDIA A40"] * 2,
        "total_mib": [46068] * 2,
        "found_again": [0, 1],
        "by_bus": 1,
        "power_w": 32,
    }


def test_gpustat_lists_the_cards(host: HostMaker) -> None:
    shown = json.loads(host("a40x2").command(str(SCRIPTS / "gpustat"), "--json"))
    assert [card["name"] for card in shown["gpus"]] == ["NVIDIA A40"] * 2
    assert [card["memory.total"] for card in shown["gpus"]] == [46068] * 2
    assert [card["processes"] for card in shown["gpus"]] == [[], []]


def test_nvitop_shows_the_cards_once(host: HostMaker) -> None:
    shown = host("h100x8").command(str(SCRIPTS / "nvitop"), "--once", "--ascii", "--colorful")
    assert shown.count("H100 80GB HBM3") == 8
    assert "79.65GiB" in shown


def test_nvitop_shows_mig_instances(host: HostMaker) -> None:
    shown = host("a100-mig").command(str(SCRIPTS / "nvitop"), "--once", "--ascii")
    assert "3g.20gb @ GI/CI: 1/0" in shown
    assert "1g.5gb @ GI/CI: 3/0" in shown


def test_cuda_python_allocates_copies_and_is_refused_past_the_card(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        free, total = ok(cu.cuMemGetInfo())
        pointer = ok(cu.cuMemAlloc(1 << 20))
        text = bytes(range(256)) * 16
        ok(cu.cuMemcpyHtoD(pointer, text, len(text)))
        back = bytearray(len(text))
        ok(cu.cuMemcpyDtoH(back, pointer, len(back)))
        after = ok(cu.cuMemGetInfo())[0]
        answer = {
            "same": bytes(back) == text, "taken": free - after, "total_mib": total >> 20,
            "refused": code(cu.cuMemAlloc(total)), "freed": code(cu.cuMemFree(pointer)),
            "whole_again": ok(cu.cuMemGetInfo())[0] == free,
        }
        """
    )
    assert answer == {
        "same": True,
        "taken": 1 << 20,
        "total_mib": 15360 - 430,
        "refused": 2,
        "freed": 0,
        "whole_again": True,
    }


def test_cuda_python_launches_a_kernel_and_times_it(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        stream = ok(cu.cuStreamCreate(0))
        start, end = ok(cu.cuEventCreate(0)), ok(cu.cuEventCreate(0))
        spin, seven = kernel(b"hami_spin_ns"), kernel(b"seven_ms")
        missing = code(cu.cuModuleGetFunction(ok(cu.cuModuleLoadData(PTX + b"\\0")), b"nobody"))
        ok(cu.cuEventRecord(start, stream))
        ok(launch(spin, stream, ns=3_000_000))
        ok(launch(seven, stream))
        ok(cu.cuEventRecord(end, stream))
        busy = code(cu.cuStreamQuery(stream))
        ok(cu.cuStreamSynchronize(stream))
        answer = {"missing": missing, "busy": busy, "ms": round(ok(cu.cuEventElapsedTime(start, end)), 3)}
        """,
        HAMI_FAKE_TIME_SCALE="0",
    )
    assert answer == {"missing": 500, "busy": 600, "ms": 10.0}


def test_a_captured_graph_runs_as_often_as_it_is_launched(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        stream, other = ok(cu.cuStreamCreate(0)), ok(cu.cuStreamCreate(0))
        pointer, seven = ok(cu.cuMemAlloc(8)), kernel(b"seven_ms")
        fork = ok(cu.cuEventCreate(cu.CUevent_flags.CU_EVENT_DISABLE_TIMING))
        ok(cu.cuStreamBeginCapture(stream, cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL))
        ok(launch(seven, stream))
        ok(cu.cuEventRecord(fork, stream))
        ok(cu.cuStreamWaitEvent(other, fork, 0))
        ok(cu.cuMemsetD8Async(pointer, 5, 8, other))
        ok(cu.cuEventRecord(fork, other))
        ok(cu.cuStreamWaitEvent(stream, fork, 0))
        poisoned = code(cu.cuEventQuery(fork))
        graph = ok(cu.cuStreamEndCapture(stream))
        nodes = ok(cu.cuGraphGetNodes(graph))[1]
        before = bytearray(1)
        ok(cu.cuMemcpyDtoH(before, pointer, 1))
        executable = ok(cu.cuGraphInstantiate(graph, 0))
        start, end = ok(cu.cuEventCreate(0)), ok(cu.cuEventCreate(0))
        ok(cu.cuEventRecord(start, stream))
        ok(cu.cuGraphLaunch(executable, stream)); ok(cu.cuGraphLaunch(executable, stream))
        ok(cu.cuEventRecord(end, stream)); ok(cu.cuEventSynchronize(end))
        after = bytearray(1)
        ok(cu.cuMemcpyDtoH(after, pointer, 1))
        answer = {"poisoned": poisoned, "nodes": nodes, "before": before[0], "after": after[0],
                  "ms": round(ok(cu.cuEventElapsedTime(start, end)), 3)}
        """,
        HAMI_FAKE_TIME_SCALE="0",
    )
    assert answer == {"poisoned": 907, "nodes": 2, "before": 0, "after": 5, "ms": 14.0}


def test_a_host_function_runs_after_the_work_before_it_and_may_not_call_cuda(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        stream, spin = ok(cu.cuStreamCreate(0)), kernel(b"hami_spin_ns")
        control = ctypes.CDLL("libcuda.so.1")
        control.hami_fake_now_ns.restype = ctypes.c_uint64
        seen = []
        refused = []

        @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        def function(_):
            seen.append(control.hami_fake_now_ns())
            refused.append(control.cuCtxSynchronize())

        ok(launch(spin, stream, ns=5_000_000))
        assert control.cuLaunchHostFunc(ctypes.c_void_p(int(stream)), function, None) == 0
        ok(cu.cuStreamSynchronize(stream))
        answer = {"calls": len(seen), "late_enough": seen[0] >= 5_000_000, "refused": refused}
        """,
        HAMI_FAKE_TIME_SCALE="0",
    )
    assert answer == {"calls": 1, "late_enough": True, "refused": [800]}


def test_without_a_machine_there_is_no_gpu(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        try:
            nvml.nvmlInit()
            loaded = True
        except nvml.NVMLError_DriverNotLoaded:
            loaded = False
        answer = {"cuda": code(cu.cuInit(0)), "nvml": loaded}
        """,
        HAMI_FAKE_MACHINE="",
    )
    assert answer == {"cuda": 100, "nvml": False}


def test_a_broken_machine_file_is_named_with_the_place_of_the_fault(host: HostMaker, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{"devices": [{"uuid": "GPU-1", "model": "M", "memory_mib": "lots"}]}')
    program = host(file).start("print(code(cu.cuInit(0)))")
    assert program.communicate(timeout=60)[0] == "999\n"


def test_visible_devices_choose_and_order_the_cards(host: HostMaker) -> None:
    machine = host("h100x8")
    uuids = [card["uuid"] for card in json.loads(machine.machine.read_text())["devices"]]
    code = """
        ok(cu.cuInit(0))
        answer = [ok(cu.cuDeviceGetPCIBusId(16, ok(cu.cuDeviceGet(i)))).rstrip(b"\\0").decode()[5:7]
                  for i in range(ok(cu.cuDeviceGetCount()))]
        """
    assert machine.python(code, CUDA_VISIBLE_DEVICES="3,1") == ["61", "43"]
    assert machine.python(code, CUDA_VISIBLE_DEVICES=f"{uuids[7]},{uuids[0][:12]}") == ["df", "1b"]
    assert machine.python(code, CUDA_VISIBLE_DEVICES="2,99,1") == ["52"]


def test_a_mig_instance_is_a_small_device(host: HostMaker) -> None:
    machine = host("a100-mig")
    instance = json.loads(machine.machine.read_text())["devices"][0]["mig"]["instances"][1]
    answer = machine.python(
        """
        begin()
        name = ok(cu.cuDeviceGetName(96, 0)).rstrip(b"\\0 ").decode()
        sms = ok(cu.cuDeviceGetAttribute(
            cu.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0))
        total = ok(cu.cuMemGetInfo())[1] >> 20
        answer = {"count": ok(cu.cuDeviceGetCount()), "name": name.split("\\0")[0], "sms": sms, "total_mib": total,
                  "refused": code(cu.cuMemAlloc(9856 << 20))}
        """,
        CUDA_VISIBLE_DEVICES=instance["uuid"],
    )
    assert answer == {
        "count": 1,
        "name": "NVIDIA A100-SXM4-40GB MIG 2g.10gb",
        "sms": 28,
        "total_mib": 9856,
        "refused": 2,
    }
