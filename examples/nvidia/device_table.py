"""Print the cards that this process sees, as nvidia-smi would: run it inside and outside a share and compare."""

import pynvml

pynvml.nvmlInit()
for index in range(pynvml.nvmlDeviceGetCount()):
    card = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(card)
    name = pynvml.nvmlDeviceGetName(card)
    print(f"| {index}  {name:24} | {memory.used >> 20:6}MiB / {memory.total >> 20}MiB |")
