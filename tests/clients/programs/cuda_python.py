"""What a program on cuda-python's driver bindings does: every way to get memory, streams, a captured graph."""

from __future__ import annotations

from typing import Any

from cuda.bindings import driver as cu

MIB = 1 << 20
PTX = b".version 7.0\n.target sm_70\n.address_size 64\n.visible .entry work() { ret; }\n\0"


def ok(result: tuple[Any, ...]) -> Any:
    """The values of a call that must succeed."""
    assert int(result[0]) == 0, result
    return result[1] if len(result) == 2 else result[1:]


def plain(stream: Any) -> None:
    """Blocks of the plain kinds, filled and copied."""
    first, second = ok(cu.cuMemAlloc(20 * MIB)), ok(cu.cuMemAlloc(3 * MIB + 100))
    pitched, _ = ok(cu.cuMemAllocPitch(1000, 500, 4))
    managed = ok(cu.cuMemAllocManaged(8 * MIB, cu.CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL))
    pinned = ok(cu.cuMemHostAlloc(4 * MIB, 0))
    ok(cu.cuMemsetD8Async(first, 7, 20 * MIB, stream))
    ok(cu.cuMemcpyDtoDAsync(second, int(first) + MIB, MIB, stream))
    ok(cu.cuStreamSynchronize(stream))
    ok(cu.cuMemcpyHtoD(int(first) + 512, bytes(4096), 4096))
    ok(cu.cuMemcpyDtoH(bytearray(4096), second, 4096))
    ok(cu.cuMemGetInfo())
    ok(cu.cuMemFreeHost(pinned))
    for pointer in (managed, pitched, second, first):
        ok(cu.cuMemFree(pointer))
    assert int(cu.cuMemFree(first)[0]) != 0


def ordered(stream: Any, device: Any) -> None:
    """Out of the device's pool and of one of its own."""
    own = cu.CUmemPoolProps()
    own.allocType = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    own.location.type = cu.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    own.location.id = 0
    pool = ok(cu.cuMemPoolCreate(own))
    default = ok(cu.cuDeviceGetDefaultMemPool(device))
    threshold = cu.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    ok(cu.cuMemPoolSetAttribute(default, threshold, cu.cuuint64_t(64 * MIB)))
    for mib in (1, 30, 5, 100):
        pointers = [ok(cu.cuMemAllocAsync(mib * MIB, stream)), ok(cu.cuMemAllocFromPoolAsync(mib * MIB, pool, stream))]
        for pointer in pointers:
            ok(cu.cuMemFreeAsync(pointer, stream))
    ok(cu.cuStreamSynchronize(stream))
    ok(cu.cuMemGetInfo())
    ok(cu.cuMemPoolTrimTo(default, 0))
    ok(cu.cuMemPoolDestroy(pool))


def mapped() -> None:
    """A reservation that physical memory is mapped into, piece by piece."""
    props = cu.CUmemAllocationProp()
    props.type = cu.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    props.location.type = cu.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    props.location.id = 0
    access = cu.CUmemAccessDesc()
    access.location = props.location
    access.flags = cu.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
    start = ok(cu.cuMemAddressReserve(256 * MIB, 0, 0, 0))
    for at in range(0, 60 * MIB, 20 * MIB):
        handle = ok(cu.cuMemCreate(20 * MIB, props, 0))
        ok(cu.cuMemMap(int(start) + at, 20 * MIB, 0, handle, 0))
        ok(cu.cuMemSetAccess(int(start) + at, 20 * MIB, [access], 1))
        ok(cu.cuMemRelease(handle))
    ok(cu.cuMemGetInfo())
    for at in range(0, 60 * MIB, 20 * MIB):
        ok(cu.cuMemUnmap(int(start) + at, 20 * MIB))
    ok(cu.cuMemAddressFree(start, 256 * MIB))


def launched(stream: Any) -> None:
    """Kernels one by one and in a graph."""
    kernel = ok(cu.cuModuleGetFunction(ok(cu.cuModuleLoadData(PTX)), b"work"))
    event = ok(cu.cuEventCreate(0))
    for _ in range(50):
        ok(cu.cuLaunchKernel(kernel, 4, 1, 1, 32, 1, 1, 0, stream, 0, 0))
    ok(cu.cuEventRecord(event, stream))
    ok(cu.cuEventSynchronize(event))
    ok(cu.cuStreamBeginCapture(stream, cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
    for _ in range(10):
        ok(cu.cuLaunchKernel(kernel, 4, 1, 1, 32, 1, 1, 0, stream, 0, 0))
    graph = ok(cu.cuStreamEndCapture(stream))
    executable = ok(cu.cuGraphInstantiate(graph, 0))
    ok(cu.cuGraphDestroy(graph))
    for _ in range(5):
        ok(cu.cuGraphLaunch(executable, stream))
    ok(cu.cuStreamSynchronize(stream))
    ok(cu.cuGraphExecDestroy(executable))
    ok(cu.cuEventDestroy(event))


def main() -> None:
    """Everything once, on the first device's primary context."""
    ok(cu.cuInit(0))
    device = ok(cu.cuDeviceGet(0))
    ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(device))))
    stream = ok(cu.cuStreamCreate(cu.CUstream_flags.CU_STREAM_NON_BLOCKING))
    plain(stream)
    ordered(stream, device)
    mapped()
    launched(stream)
    ok(cu.cuStreamDestroy(stream))
    ok(cu.cuCtxSynchronize())
    print("done")


if __name__ == "__main__":
    main()
