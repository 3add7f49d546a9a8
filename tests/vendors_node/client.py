"""A program of each vendor's users, on the driver's functions alone. Run as ``client.py VENDOR VERB ...``.

look           what the program sees of its first card
fill MIB       takes pieces of so many MiB until one is refused
hold MIB       takes so many MiB, says so, and keeps them until its input ends
busy NS COUNT  launches so many kernels of so many ns, and waits for them

Says one JSON object.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from ctypes import byref, c_int32, c_size_t, c_uint, c_uint16, c_uint64, c_void_p
from functools import partial
from typing import ClassVar, Protocol

MIB = 1024 * 1024
MOST_PIECES = 1000


class Driver(Protocol):
    """What the verbs need of a vendor."""

    def info(self) -> tuple[int, int]:
        """Free and total bytes."""

    def take(self, size: int) -> int:
        """The driver's code."""

    def launch(self, duration: c_uint64) -> int:
        """The driver's code for a kernel of that many ns."""

    def wait(self) -> None:
        """Until everything launched has ended."""


class Ascend:
    """libruntime."""

    HBM = c_int32(1)

    def __init__(self) -> None:
        self.driver = ctypes.CDLL("libruntime.so")
        assert self.driver.rtSetDevice(c_int32(0)) == 0

    def info(self) -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        assert self.driver.rtMemGetInfoEx(self.HBM, byref(free), byref(total)) == 0
        return free.value, total.value

    def take(self, size: int) -> int:
        return int(self.driver.rtMalloc(byref(c_void_p()), c_uint64(size), c_uint(2), c_uint16(0)))

    def launch(self, duration: c_uint64) -> int:
        none = c_void_p()
        return int(self.driver.rtKernelLaunch(byref(duration), c_uint(1), none, c_uint(0), none, none))

    def wait(self) -> None:
        assert self.driver.rtStreamSynchronize(c_void_p()) == 0


class Mlu:
    """libcndrv."""

    def __init__(self) -> None:
        self.driver = ctypes.CDLL("libcndrv.so")

    def info(self) -> tuple[int, int]:
        free, total = c_uint64(), c_uint64()
        assert self.driver.cnMemGetInfo(byref(free), byref(total)) == 0
        return free.value, total.value

    def take(self, size: int) -> int:
        return int(self.driver.cnMalloc(byref(c_uint64()), c_uint64(size)))

    def launch(self, duration: c_uint64) -> int:
        one, none = c_uint(1), c_void_p()
        return int(self.driver.cnInvokeKernel(byref(duration), one, one, one, c_int32(4), c_uint(), none, none, none))

    def wait(self) -> None:
        assert self.driver.cnQueueSync(c_void_p()) == 0


class Dim3(ctypes.Structure):
    """Three sizes, passed by value."""

    _fields_: ClassVar = [("x", c_uint), ("y", c_uint), ("z", c_uint)]


class Dcu:
    """libgalaxyhip."""

    def __init__(self) -> None:
        self.driver = ctypes.CDLL("libgalaxyhip.so.5")

    def info(self) -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        assert self.driver.hipMemGetInfo(byref(free), byref(total)) == 0
        return free.value, total.value

    def take(self, size: int) -> int:
        return int(self.driver.hipMalloc(byref(c_void_p()), c_size_t(size)))

    def launch(self, duration: c_uint64) -> int:
        # The double wants these sizes, to see that structures by value arrive whole.
        grid, block, none = Dim3(7, 8, 9), Dim3(10, 11, 12), c_void_p()
        return int(self.driver.hipLaunchKernel(byref(duration), grid, block, none, c_size_t(13), none))

    def wait(self) -> None:
        assert self.driver.hipDeviceSynchronize() == 0


class Cuda:
    """A driver with CUDA's calls under a prefix of its own, whose double takes a duration for a kernel."""

    def __init__(self, library: str, prefix: str) -> None:
        self.driver = ctypes.CDLL(library)
        self.prefix = prefix

    def call(self, name: str, *arguments: object) -> int:
        return int(getattr(self.driver, self.prefix + name)(*arguments))

    def info(self) -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        assert self.call("MemGetInfo_v2", byref(free), byref(total)) == 0
        return free.value, total.value

    def take(self, size: int) -> int:
        return self.call("MemAlloc_v2", byref(c_uint64()), c_size_t(size))

    def launch(self, duration: c_uint64) -> int:
        one, none = c_uint(1), c_void_p()
        return self.call("LaunchKernel", byref(duration), one, one, one, one, one, one, c_uint(0), none, none, none)

    def wait(self) -> None:
        assert self.call("CtxSynchronize") == 0


class Nvidia:
    """libcuda."""

    SPIN = b".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry hami_spin_ns(.param .u64 ns) { ret; }\n"

    def __init__(self) -> None:
        self.driver = ctypes.CDLL("libcuda.so.1")
        assert self.driver.cuInit(c_uint()) == 0
        assert self.driver.cuDevicePrimaryCtxRetain(byref(context := c_void_p()), c_int32(0)) == 0
        assert self.driver.cuCtxSetCurrent(context) == 0
        self.kernel = c_void_p()

    def info(self) -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        assert self.driver.cuMemGetInfo_v2(byref(free), byref(total)) == 0
        return free.value, total.value

    def take(self, size: int) -> int:
        return int(self.driver.cuMemAlloc_v2(byref(c_uint64()), c_size_t(size)))

    def launch(self, duration: c_uint64) -> int:
        if not self.kernel:
            module = c_void_p()
            assert self.driver.cuModuleLoadData(byref(module), self.SPIN) == 0
            assert self.driver.cuModuleGetFunction(byref(self.kernel), module, b"hami_spin_ns") == 0
        parameters = (c_void_p * 1)(ctypes.addressof(duration))
        one = c_uint(1)
        sizes = (one, one, one, one, one, one, c_uint(0))
        return int(self.driver.cuLaunchKernel(self.kernel, *sizes, c_void_p(), parameters, c_void_p()))

    def wait(self) -> None:
        assert self.driver.cuCtxSynchronize() == 0


DRIVERS: dict[str, Callable[[], Driver]] = {
    "ascend": Ascend,
    "dcu": Dcu,
    "iluvatar": partial(Cuda, "libcuda.so.1", "cu"),
    "mlu": Mlu,
    "mthreads": partial(Cuda, "libmusa.so.1", "mu"),
    "nvidia": Nvidia,
}


def main(vendor: str, verb: str, *words: str) -> None:
    """Do what the verb says."""
    driver = DRIVERS[vendor]()
    numbers = [int(word) for word in words]
    if verb == "look":
        free, total = driver.info()
        print(json.dumps({"free_mib": free // MIB, "total_mib": total // MIB}))
    elif verb == "fill":
        codes = [0]
        while codes[-1] == 0 and len(codes) < MOST_PIECES:
            codes.append(driver.take(numbers[0] * MIB))
        print(json.dumps({"pieces": len(codes) - 2, "code": codes[-1]}))
    elif verb == "hold":
        print(json.dumps({"code": driver.take(numbers[0] * MIB)}), flush=True)
        sys.stdin.read()
    elif verb == "busy":
        duration = c_uint64(numbers[0])
        codes = [driver.launch(duration) for _ in range(numbers[1])]
        driver.wait()
        print(json.dumps({"codes": sorted(set(codes))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
