"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# Wall time says nothing on a busy machine: the per-test timeout is the only clock.
settings.register_profile("hami", deadline=None)
settings.load_profile("hami")
