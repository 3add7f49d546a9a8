"""What the probe says of a card that only this vendor knows: names in `Device.custom`."""

SGPU_MODULE = "sgpu_module"
"""True where the kernel module that shares out cards, and holds containers to memory and weight, is loaded."""
