"""A tensor of 200 MiB that another process opens; prints what is in use before, with it opened, and after."""

from __future__ import annotations

import json
from typing import Any

from runtime import torch, used_mib


def _other(tensors: Any, answers: Any) -> None:
    torch.zeros(1, device="cuda")
    answers.put(used_mib())
    tensor = tensors.get()
    tensor.add_(1)
    torch.cuda.synchronize()
    answers.put(used_mib())
    del tensor
    torch.cuda.ipc_collect()
    tensors.get()


def main() -> None:
    """Share it once."""
    torch.multiprocessing.set_start_method("spawn")
    tensors, answers = torch.multiprocessing.Queue(), torch.multiprocessing.Queue()
    tensor = torch.empty(200 << 20, dtype=torch.uint8, device="cuda")
    other = torch.multiprocessing.Process(target=_other, args=(tensors, answers))
    other.start()
    apart = answers.get(timeout=60)
    tensors.put(tensor)
    shared = answers.get(timeout=60)
    tensors.put(None)
    other.join()
    print(json.dumps({"apart_mib": apart, "shared_mib": shared, "exit_status": other.exitcode}))


if __name__ == "__main__":
    main()
