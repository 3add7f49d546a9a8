"""A kernel that Triton compiles and launches by itself, past the CUDA runtime; prints how long the launches took."""

from __future__ import annotations

import json
import time

import triton
import triton.language as tl
from runtime import torch


@triton.jit
def increase(source, target, count, block: tl.constexpr):
    """One more than each number."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(target + at, tl.load(source + at, mask=at < count) + 1, mask=at < count)


def main() -> None:
    """Launch it often enough for a share of the device's time to show."""
    source = torch.zeros(1000, device="cuda")
    target = torch.empty_like(source)
    increase[(4,)](source, target, 1000, block=256)
    torch.cuda.synchronize()
    begun = time.monotonic()
    for _ in range(400):
        increase[(4,)](source, target, 1000, block=256)
    torch.cuda.synchronize()
    print(json.dumps({"seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
