"""HAMi's core: share accelerators of many vendors, knowingly.

Everything public is here, loaded on first use, so that importing the package costs nothing:

    from hami_core import Fleet, PodRequest, decide
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hami_core.errors import HamiError as HamiError
    from hami_core.fit import Choice as Choice
    from hami_core.fit import Fleet as Fleet
    from hami_core.fit import Reservation as Reservation
    from hami_core.hookspecs import hookimpl as hookimpl
    from hami_core.model import ContainerKind as ContainerKind
    from hami_core.model import ContainerRequest as ContainerRequest
    from hami_core.model import ContainerShares as ContainerShares
    from hami_core.model import Device as Device
    from hami_core.model import DeviceRequest as DeviceRequest
    from hami_core.model import DeviceShare as DeviceShare
    from hami_core.model import DeviceUse as DeviceUse
    from hami_core.model import Placement as Placement
    from hami_core.model import PodRequest as PodRequest
    from hami_core.model import ScoringWeights as ScoringWeights
    from hami_core.model import Selector as Selector
    from hami_core.objects import NodeFacts as NodeFacts
    from hami_core.registry import Registry as Registry
    from hami_core.registry import load_registry as load_registry
    from hami_core.verdict import Broken as Broken
    from hami_core.verdict import Fits as Fits
    from hami_core.verdict import Reason as Reason
    from hami_core.verdict import Rejected as Rejected
    from hami_core.verdict import Verdict as Verdict
    from hami_core.whatif import Decision as Decision
    from hami_core.whatif import decide as decide

__version__ = "0.1.0"

_HOME = {
    "hami_core.whatif": ("Decision", "decide"),
    "hami_core.errors": ("HamiError",),
    "hami_core.fit": ("Choice", "Fleet", "Reservation"),
    "hami_core.hookspecs": ("hookimpl",),
    "hami_core.model": (
        "ContainerKind",
        "ContainerRequest",
        "ContainerShares",
        "Device",
        "DeviceRequest",
        "DeviceShare",
        "DeviceUse",
        "Placement",
        "PodRequest",
        "ScoringWeights",
        "Selector",
    ),
    "hami_core.objects": ("NodeFacts",),
    "hami_core.registry": ("Registry", "load_registry"),
    "hami_core.verdict": ("Broken", "Fits", "Reason", "Rejected", "Verdict"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE_OF, "__version__"]  # noqa: PLE0604 - the table above is the list


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
