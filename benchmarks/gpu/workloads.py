"""PyTorch programs that a share is measured with; each prints one line of JSON. Usage: workloads.py NAME [SECONDS].

They run on a card and on the simulated driver. There, HAMI_CUDART names the test double of the CUDA runtime, which has
to be loaded before PyTorch looks for NVIDIA's.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

if "HAMI_CUDART" in os.environ:
    ctypes.CDLL(os.environ["HAMI_CUDART"], mode=ctypes.RTLD_GLOBAL)

import torch

MIB = 1 << 20
DEVICE = "cuda:0"
SIMULATED = "HAMI_CUDART" in os.environ


def _info_mib() -> dict[str, int]:
    free, total = torch.cuda.mem_get_info(0)
    return {"free_mib": free // MIB, "total_mib": total // MIB}


def memory() -> dict[str, Any]:
    """Allocate 64 MiB at a time until it is refused, give all back, and allocate half of it again."""
    before = _info_mib()
    held: list[torch.Tensor] = []
    refused = ""
    while not refused and len(held) < 4096:
        try:
            held.append(torch.empty(64 * MIB, dtype=torch.uint8, device=DEVICE))
        except torch.OutOfMemoryError as error:
            refused = str(error)
    full = _info_mib()
    blocks = len(held)
    held.clear()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    emptied = _info_mib()
    again = [torch.empty(64 * MIB, dtype=torch.uint8, device=DEVICE) for _ in range(blocks // 2)]
    return {
        "allocator": torch.cuda.get_allocator_backend(),
        "before": before,
        "held_mib": blocks * 64,
        "full": full,
        "emptied": emptied,
        "again_mib": len(again) * 64,
        "refused": refused,
    }


def hold() -> dict[str, Any]:
    """Take what can be had, say how much, and keep it until there is something to read."""
    held: list[torch.Tensor] = []
    try:
        while len(held) < 4096:
            held.append(torch.empty(64 * MIB, dtype=torch.uint8, device=DEVICE))
    except torch.OutOfMemoryError:
        pass
    print(len(held) * 64, flush=True)
    sys.stdin.readline()
    return _info_mib()


def _network() -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(7)
    network = torch.nn.Sequential(torch.nn.Linear(1024, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 1024))
    return network.to(DEVICE), torch.randn(64, 1024).to(DEVICE)


def _element_wise() -> tuple[Callable[[], Any], torch.Tensor]:
    """Work without matrix products: on the simulated driver there is no cuBLAS."""
    tensor = torch.zeros(1 << 20, device=DEVICE)
    return (lambda: tensor.mul_(0.5).add_(1.0)), tensor


def _training() -> Callable[[], Any]:
    if SIMULATED:
        return _element_wise()[0]
    network, batch = _network()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad(set_to_none=False)
        network(batch).square().mean().backward()
        optimiser.step()

    return step


def _inference() -> Callable[[], Any]:
    if SIMULATED:
        return _element_wise()[0]
    network, batch = _network()

    def step() -> None:
        with torch.inference_mode():
            network(batch)

    return step


def graphs() -> dict[str, Any]:
    """Capture work over memory of its own into a graph and launch it as often as the same work ran without."""
    step, tensor = _element_wise()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        other = torch.empty(64 * MIB, dtype=torch.uint8, device=DEVICE)
        other.zero_()
        step()
    tensor.zero_()
    for _ in range(100):
        graph.replay()
    torch.cuda.synchronize()
    return {"sum": float(tensor.double().sum()), "info": _info_mib()}


def _rate(step: Callable[[], Any], seconds: float) -> float:
    """Steps in a second; waits for the card after each hundred, as a training loop does when it logs."""
    for _ in range(20):
        step()
    torch.cuda.synchronize()
    begun = time.monotonic()
    steps = 0
    while time.monotonic() - begun < seconds:
        for _ in range(100):
            step()
        torch.cuda.synchronize()
        steps += 100
    return steps / (time.monotonic() - begun)


def speed(seconds: float = 5.0) -> dict[str, Any]:
    """How fast training, inference, short launches and allocations go."""
    short = torch.zeros(1, device=DEVICE)

    def allocate() -> None:
        torch.empty(4 * MIB, dtype=torch.uint8, device=DEVICE)
        torch.cuda.empty_cache()

    return {
        "training steps/s": _rate(_training(), seconds),
        "inference steps/s": _rate(_inference(), seconds),
        "short launches/s": _rate(lambda: short.add_(1.0), seconds),
        "allocations/s": _rate(allocate, seconds),
    }


def share(seconds: float = 20.0) -> dict[str, Any]:
    """Device work without a pause until the time is over: how much of it got done, after the first quarter."""
    if SIMULATED:
        step = _element_wise()[0]
    else:
        matrix = torch.randn(4096, 4096, device=DEVICE, dtype=torch.bfloat16)

        def step() -> None:
            matrix @ matrix

    _rate(step, seconds / 4)
    return {"steps/s": _rate(step, seconds * 3 / 4)}


def main(argv: list[str]) -> int:
    """Run one workload and print what it found."""
    workloads: dict[str, Callable[..., dict[str, Any]]] = {
        "memory": memory,
        "hold": hold,
        "graphs": graphs,
        "speed": speed,
        "share": share,
    }
    print(json.dumps(workloads[argv[0]](*map(float, argv[1:]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
