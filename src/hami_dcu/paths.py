"""What Hygon's driver puts on a host beside the cards' own nodes."""

from __future__ import annotations

NODES = ("/dev/kfd", "/dev/mkfd")
FOLDERS = ("/opt/hygondriver", "/opt/hyhal")
DRIVER_PATHS = (*NODES, *FOLDERS)

HOST_PATHS = "host_paths"
"""Key in a device's `custom`: those of `DRIVER_PATHS` that this host has; empty where nobody has looked."""
