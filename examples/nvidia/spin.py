"""Keep the first card busy with kernels of MS milliseconds each until stdin closes: spin.py MS."""

import ctypes
import select
import sys

from cuda.bindings import driver

KERNEL = b"""
.version 7.0
.target sm_50
.address_size 64
.visible .entry hami_spin_ns(.param .u64 for_ns) {
  .reg .u64 %rd<4>;
  .reg .pred %p;
  ld.param.u64 %rd1, [for_ns];
  mov.u64 %rd2, %globaltimer;
again:
  mov.u64 %rd3, %globaltimer;
  sub.u64 %rd3, %rd3, %rd2;
  setp.lt.u64 %p, %rd3, %rd1;
  @%p bra again;
  ret;
}
"""


def check(answer: tuple[object, ...]) -> object:
    """Return what a driver call gave, or end with the name of its error."""
    error, *values = answer
    if error != driver.CUresult.CUDA_SUCCESS:
        sys.exit(f"failed: {error.name}")
    return values[0] if values else None


duration_ns = int(float(sys.argv[1]) * 1e6)
check(driver.cuInit(0))
check(driver.cuCtxSetCurrent(check(driver.cuDevicePrimaryCtxRetain(check(driver.cuDeviceGet(0))))))
function = check(driver.cuModuleGetFunction(check(driver.cuModuleLoadData(KERNEL + b"\0")), b"hami_spin_ns"))
launched = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    check(driver.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, 0, ((duration_ns,), (ctypes.c_uint64,)), 0))
    check(driver.cuCtxSynchronize())
    launched += 1
    if launched == 1:
        print("spins", flush=True)
print(f"launched {launched}")
