"""`hami doctor`: what is wrong with an installation, read from the cluster, and what to do about each thing."""

from hami_core.kube.doctor.examination import examine
from hami_core.kube.doctor.finding import Finding, Level
from hami_core.kube.doctor.look import Look, Wanted

__all__ = ["Finding", "Level", "Look", "Wanted", "examine"]
