"""Batches from forked workers by way of pinned memory onto the card; prints how many came and what is in use."""

from __future__ import annotations

import json

from runtime import torch, used_mib


def main() -> None:
    """Two epochs."""
    total = torch.zeros(10, device="cuda")
    before = used_mib()
    numbers = torch.utils.data.TensorDataset(torch.arange(640.0).reshape(64, 10))
    batches = 0
    for _ in range(2):
        for (batch,) in torch.utils.data.DataLoader(numbers, batch_size=8, num_workers=2, pin_memory=True):
            total += batch.to("cuda", non_blocking=True).sum(0)
            batches += 1
    torch.cuda.synchronize()
    print(json.dumps({"batches": batches, "grown_mib": used_mib() - before}))


if __name__ == "__main__":
    main()
