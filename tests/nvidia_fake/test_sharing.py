"""Processes on one simulated machine share its cards, as on a real one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.nvidia_fake.hosts import Host

HostMaker = Callable[[str | Path], Host]

HOLD_1_GIB = """
begin()
pointer = ok(cu.cuMemAlloc(1 << 30))
print("ready", flush=True)
sys.stdin.readline()
"""
# Two kinds of launch in a closed loop: one piece of work ahead, then wait.
WORK = """
begin()
spin = kernel(b"hami_spin_ns")
print("ready", flush=True)
sys.stdin.readline()
for _ in range({count}):
    ok(launch(spin, ns={ns}))
ok(cu.cuCtxSynchronize())
control = ctypes.CDLL("libcuda.so.1")
control.hami_fake_busy_ns.restype = ctypes.c_uint64
print(control.hami_fake_busy_ns(os.getpid(), 0), flush=True)
sys.stdin.readline()
"""


@contextmanager
def running(host: Host, code: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A program that has said that it is ready; gone afterwards."""
    program = host.start(code, **more)
    assert program.stdin
    assert program.stdout
    try:
        assert program.stdout.readline() == "ready\n"
        yield program
    finally:
        program.kill()
        program.wait()
        program.stdin.close()
        program.stdout.close()


USES = """
nvml.nvmlInit()
handle = nvml.nvmlDeviceGetHandleByIndex(0)
answer = {
    "used_mib": nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2).used >> 20,
    "processes": [[p.pid, p.usedGpuMemory >> 20] for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle)],
}
"""


def test_nvml_lists_what_each_process_holds(host: HostMaker) -> None:
    machine = host("t4")
    with running(machine, HOLD_1_GIB) as one, running(machine, HOLD_1_GIB) as two:
        answer = machine.python(USES)
    assert answer["used_mib"] == 2 * (1024 + 104)
    assert sorted([[one.pid, 1128], [two.pid, 1128]]) == sorted(answer["processes"])


def test_a_killed_process_leaves_the_list_and_its_memory(host: HostMaker) -> None:
    machine = host("t4")
    with running(machine, HOLD_1_GIB) as program:
        os.kill(program.pid, signal.SIGKILL)
        # Not collected yet: the driver frees the memory of a zombie, too.
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        assert machine.python(USES) == {"used_mib": 0, "processes": []}


def test_a_neighbour_makes_the_card_smaller(host: HostMaker) -> None:
    machine = host("t4")
    code = """
        begin()
        answer = code(cu.cuMemAlloc(14_000 << 20))
        """
    with running(machine, HOLD_1_GIB):
        assert machine.python(code) == 2
    assert machine.python(code) == 0


def test_device_time_is_counted_by_process_and_adds_up(host: HostMaker) -> None:
    machine = host("t4")
    first = WORK.format(count=40, ns=2_000_000)
    second = WORK.format(count=20, ns=1_000_000)
    with running(machine, first) as one, running(machine, second) as two:
        busy = []
        for program in (one, two):
            assert program.stdin
            program.stdin.write("go\n")
            program.stdin.flush()
        for program in (one, two):
            assert program.stdout
            busy.append(int(program.stdout.readline()))
        total = machine.python(
            """
            control = ctypes.CDLL("libcuda.so.1")
            control.hami_fake_busy_ns.restype = ctypes.c_uint64
            answer = control.hami_fake_busy_ns(0, 0)
            """
        )
    assert busy == [80_000_000, 20_000_000]
    assert total == 100_000_000


def test_utilisation_follows_the_work(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(0)
        spin = kernel(b"hami_spin_ns")
        idle = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        ok(launch(spin, ns=3_000_000_000))
        ok(cu.cuCtxSynchronize())
        samples = nvml.nvmlDeviceGetProcessUtilization(handle, 0)
        answer = {"idle": idle, "busy": nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
                  "own": [[s.pid == os.getpid(), s.smUtil] for s in samples]}
        """,
        HAMI_FAKE_TIME_SCALE="0",
    )
    assert answer == {"idle": 0, "busy": 100, "own": [[True, 100]]}


def test_an_ipc_handle_opens_the_same_memory_in_another_process(host: HostMaker) -> None:
    machine = host("t4")
    owner = """
begin()
pointer = ok(cu.cuMemAlloc(5000))
ok(cu.cuMemsetD8(pointer, 65, 5000))
print("ready", flush=True)
print(ctypes.string_at(ok(cu.cuIpcGetMemHandle(pointer)).getPtr(), 64).hex(), flush=True)
sys.stdin.readline()
"""
    with running(machine, owner) as program:
        assert program.stdout
        handle = program.stdout.readline().strip()
        answer = machine.python(
            f"""
            begin()
            before = ok(cu.cuMemGetInfo())[0]
            handle = cu.CUipcMemHandle()
            ctypes.memmove(handle.getPtr(), bytes.fromhex({handle!r}), 64)
            pointer = ok(cu.cuIpcOpenMemHandle(handle, 1))
            back = bytearray(3)
            ok(cu.cuMemcpyDtoH(back, pointer, 3))
            charged = before - ok(cu.cuMemGetInfo())[0]
            ok(cu.cuIpcCloseMemHandle(pointer))
            answer = {{"text": back.decode(), "charged": charged}}
            """
        )
    assert answer == {"text": "AAA", "charged": 0}


def test_an_xid_reaches_whoever_waits_for_events(host: HostMaker) -> None:
    answer = host("a40x2").python(
        """
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(1)
        events = nvml.nvmlEventSetCreate()
        nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
        control = ctypes.CDLL("libnvidia-ml.so.1")
        posted = [control.hami_fake_post_xid(device, ctypes.c_uint64(79)) for device in (0, 1, 99)]
        event = nvml.nvmlEventSetWait_v2(events, 1000)
        try:
            nvml.nvmlEventSetWait_v2(events, 0)
            more = True
        except nvml.NVMLError_Timeout:
            more = False
        answer = {"posted": posted, "xid": event.eventData, "index": nvml.nvmlDeviceGetIndex(event.device),
                  "more": more}
        """
    )
    assert answer == {"posted": [0, 0, -1], "xid": 79, "index": 1, "more": False}


def test_two_machine_files_do_not_mix_in_one_state_file(host: HostMaker) -> None:
    code = "answer = code(cu.cuInit(0))"
    assert host("t4").python(code) == 0
    assert host("a40x2").python(code) == 999
