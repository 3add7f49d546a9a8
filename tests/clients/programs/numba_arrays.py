"""What a program on numba's CUDA target does with memory: device, pinned, mapped and managed arrays, streams, IPC."""

from __future__ import annotations

import numpy
from numba import cuda


def main() -> None:
    """Everything once; arrays that went to the device come back as they were."""
    numbers = numpy.arange(1 << 20, dtype=numpy.float32)
    stream = cuda.stream()
    array = cuda.to_device(numbers)
    other = cuda.device_array_like(numbers)
    other.copy_to_device(array)
    assert (other.copy_to_host() == numbers).all()
    with cuda.pinned(numbers):
        later = cuda.to_device(numbers, stream=stream)
        assert (later.copy_to_host(stream=stream) == numbers)[: stream.synchronize() or None].all()
    blocks = [cuda.device_array(megabytes << 20, dtype=numpy.uint8) for megabytes in (1, 2, 20, 100, 3)]
    managed, mapped = cuda.managed_array(1 << 20, dtype=numpy.uint8), cuda.mapped_array(1 << 16, dtype=numpy.uint8)
    pinned = cuda.pinned_array(1 << 16, dtype=numpy.uint8)
    managed[:10], mapped[:10], pinned[:10] = 1, 2, 3
    handle = array.get_ipc_handle()
    cuda.current_context().get_memory_info()
    with cuda.defer_cleanup():
        del blocks, other
    event = cuda.event()
    event.record(stream)
    event.wait(stream)
    stream.synchronize()
    del handle, array, later, managed, mapped, pinned
    cuda.current_context().deallocations.clear()
    cuda.synchronize()
    cuda.current_context().get_memory_info()
    print("done")


if __name__ == "__main__":
    main()
