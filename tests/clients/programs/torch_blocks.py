"""What PyTorch's allocator asks of the driver: tensors over two streams, a captured graph, a cache given back.

PYTORCH_ALLOC_CONF chooses the allocator. Nothing is computed, so that it says the same on the simulated driver, where
HAMI_CUDART names the test double of the CUDA runtime.
"""

from __future__ import annotations

import ctypes
import os

if "HAMI_CUDART" in os.environ:
    ctypes.CDLL(os.environ["HAMI_CUDART"], mode=ctypes.RTLD_GLOBAL)

import torch

KIB, MIB = 1 << 10, 1 << 20


def block(size: int) -> torch.Tensor:
    """A tensor of so many bytes, zeroed."""
    return torch.empty(size, dtype=torch.uint8, device="cuda").zero_()


def main() -> None:
    """Everything once."""
    side = torch.cuda.Stream()
    kept = [block(size) for size in (512, 3 * KIB, 900 * KIB, MIB, 5 * MIB, 12 * MIB, 40 * MIB, 130 * MIB)]
    for _ in range(3):
        steps = [block(size) for size in (20 * MIB, 64 * KIB, 33 * MIB, 7 * MIB)]
        with torch.cuda.stream(side):
            side.wait_stream(torch.cuda.current_stream())
            other = block(16 * MIB)
            other.copy_(steps[0][: 16 * MIB])
        steps[0].record_stream(side)
        del steps, other
    kept[3].cpu()
    del kept[::2]
    torch.cuda.empty_cache()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        block(24 * MIB)
    for _ in range(4):
        graph.replay()
    torch.cuda.synchronize()
    del graph, kept
    torch.cuda.empty_cache()
    torch.cuda.mem_get_info()
    print("done")


if __name__ == "__main__":
    main()
