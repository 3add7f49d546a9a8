"""What NVML shows of the first card, as a monitoring tool sees it, as a line of JSON. Needs Python and the driver."""

from __future__ import annotations

import ctypes
import json
import sys


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Process(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


def main() -> int:
    """Print memory and processes."""
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    device, memory = ctypes.c_void_p(), _Memory()
    count, processes = ctypes.c_uint(256), (_Process * 256)()
    for code in (
        nvml.nvmlInit_v2(),
        nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)),
        nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)),
        nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), processes),
    ):
        if code != 0:
            print(f"picture.py: NVML answered {code}", file=sys.stderr)
            return 1
    mib = 1 << 20
    print(
        json.dumps(
            {
                "total_mib": memory.total // mib,
                "used_mib": memory.used // mib,
                "processes": {process.pid: process.used // mib for process in processes[: count.value]},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
