"""What holds for every test."""

from __future__ import annotations

import signal

from hypothesis import settings

# Wall time says nothing on a busy machine: the per-test timeout is the only clock.
settings.register_profile("hami", deadline=None)
settings.load_profile("hami")

# Whoever starts the tests in the background may have SIGINT ignored, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
