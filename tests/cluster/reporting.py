"""What a failed test of a cluster shows beside its traceback; a folder's conftest imports the hook."""

from __future__ import annotations

import pytest
from tests.cluster.control_plane import ControlPlane


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """A failed test shows the end of every component's log."""
    report = yield
    plane = getattr(item, "funcargs", {}).get("control_plane")
    if report.failed and isinstance(plane, ControlPlane):
        report.sections.append(("logs of the cluster", plane.tails()))
    return report
