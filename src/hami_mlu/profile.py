"""Cambricon's word for a share: ``slot_cores_pieces``, from which its device plugin makes an instance (sMLU)."""

from __future__ import annotations

from hami_core.model import DeviceShare

PROFILE = "CAMBRICON_DSMLU_PROFILE"
ASSIGNED = "CAMBRICON_DSMLU_ASSIGNED"
PIECE_MIB = 256  # the device plugin's min-dsmlu-unit


def instance_profile(share: DeviceShare, slot: int) -> str:
    """The profile of a share of the card in `slot`."""
    return f"{slot}_{share.core_units}_{share.memory_mib // PIECE_MIB}"
