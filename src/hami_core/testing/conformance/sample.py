"""A family of imaginary cards, for policies to be tried on without any vendor."""

from __future__ import annotations

from collections.abc import Iterable

from hami_core.family import Family, Resources, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.wire.device_config import ConfigSections

_FAMILY = Family(
    name="Sample",
    vendor="sample",
    resources=Resources(count="sample.test/card", memory="sample.test/card-memory", cores="sample.test/card-cores"),
    wire=WireNames(register="sample.test/register", allocated="sample.test/allocated"),
)


class SampleFamily:
    """A plugin of one family in the core's JSON form."""

    @hookimpl
    def hami_families(self, config: ConfigSections) -> Iterable[Family]:  # noqa: ARG002 - nothing to configure
        """Declare it."""
        return (_FAMILY,)
