"""PyTorch over the test double of the CUDA runtime, which has to be loaded before it looks for NVIDIA's."""

from __future__ import annotations

import ctypes
import os

if "HAMI_CUDART" in os.environ:
    ctypes.CDLL(os.environ["HAMI_CUDART"], mode=ctypes.RTLD_GLOBAL)

import torch.multiprocessing
import torch.utils.data

__all__ = ["torch", "used_mib"]


def used_mib() -> int:
    """What the first card shows as in use."""
    free, total = torch.cuda.mem_get_info(0)
    return (total - free) >> 20
