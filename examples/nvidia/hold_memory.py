"""Take MIB on the first card, say what the driver answered, and hold it until stdin closes: hold_memory.py MIB."""

import sys

from cuda.bindings import driver


def check(answer: tuple[object, ...]) -> object:
    """Return what a driver call gave, or end with the name of its error."""
    error, *values = answer
    if error != driver.CUresult.CUDA_SUCCESS:
        sys.exit(f"refused: {error.name}")
    return values[0] if values else None


mib = int(sys.argv[1])
check(driver.cuInit(0))
check(driver.cuCtxSetCurrent(check(driver.cuDevicePrimaryCtxRetain(check(driver.cuDeviceGet(0))))))
memory = check(driver.cuMemAlloc(mib << 20))
print(f"holds {mib} MiB", flush=True)
for _line in sys.stdin:
    check(driver.cuMemsetD8(memory, 1, mib << 20))
    check(driver.cuCtxSynchronize())
    print(f"still works on its {mib} MiB", flush=True)
