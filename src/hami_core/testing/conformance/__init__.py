"""The conformance kit: what every plugin is held to, in groups along the life of a pod.

`PluginConformance` is the kit as a test class; `examine` and `run_checks` are what `hami conformance` does.
"""

from hami_core.testing.conformance.check import Ability, Check, NotConforming
from hami_core.testing.conformance.report import CHECKS, Report, Result, State, applicable, run_check, run_checks
from hami_core.testing.conformance.subject import Subject, examine

__all__ = [
    "CHECKS",
    "Ability",
    "Check",
    "NotConforming",
    "Report",
    "Result",
    "State",
    "Subject",
    "applicable",
    "examine",
    "run_check",
    "run_checks",
]
