"""The fit engine: where a pod fits, on which cards, and if nowhere, why."""

from hami_core.fit.advice import Advice, advise
from hami_core.fit.choice import Choice, Reservation
from hami_core.fit.fleet import Fleet
from hami_core.fit.state import Holding, Stray

__all__ = ["Advice", "Choice", "Fleet", "Holding", "Reservation", "Stray", "advise"]
