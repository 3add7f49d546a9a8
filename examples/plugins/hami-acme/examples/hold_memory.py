"""Take memory of an Acme card a GiB at a time until the driver refuses, and say what happened.

hami run --simulate acme-ring8 --memory 16384 -- python examples/hold_memory.py
"""

from __future__ import annotations

import ctypes

GIB = 1024**3


def main() -> None:
    """Print the card's size as a program sees it, and how much of it there was to have."""
    acme = ctypes.CDLL("libacme.so")
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    acme.acmeMemInfo(ctypes.byref(free), ctypes.byref(total))
    print(f"the card has {total.value // 1024**2} MiB, {free.value // 1024**2} MiB free")
    held = 0
    address = ctypes.c_void_p()
    while (status := acme.acmeMalloc(ctypes.byref(address), ctypes.c_size_t(GIB))) == 0:
        held += 1
    print(f"got {held} GiB, then status {status}")


if __name__ == "__main__":
    main()
