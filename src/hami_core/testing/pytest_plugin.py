"""The kit for a plugin that has no test class: ``pytest --hami-plugin acme``, a test for each rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hami_core.testing.conformance import Check, Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("hami", "HAMi plugins")
    group.addoption("--hami-plugin", metavar="NAME", help="hold a HAMi plugin to the rules of the conformance kit")
    group.addoption("--hami-machine", metavar="FILE", type=Path, help="a machine file with cards to try it on")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which hooks a plugin is held to."""
    name = config.getoption("--hami-plugin")
    if name is None:
        return None
    from hami_core.hook_api import API_VERSION  # noqa: PLC0415 - pytest loads this module in every run

    return f"hami: plugin {name}, hook API {API_VERSION}"


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the rules to what was collected."""
    name = config.getoption("--hami-plugin")
    if name is None:
        return
    from hami_core.errors import HamiError  # noqa: PLC0415 - as above
    from hami_core.testing.conformance import examine  # noqa: PLC0415

    try:
        subject = examine(name, machine=config.getoption("--hami-machine"))
    except HamiError as err:
        raise pytest.UsageError(f"--hami-plugin: {err}") from err
    rules = Rules.from_parent(session, name=f"hami-{name}", nodeid=f"hami-{name}", subject=subject)
    items.extend(rules.collect())


class Rules(pytest.Collector):
    """The rules that one plugin can keep."""

    def __init__(self, *, subject: Subject, **node: Any) -> None:
        super().__init__(**node)
        self.subject = subject

    def collect(self) -> Iterator[pytest.Item]:
        """A test for each."""
        from hami_core.testing.conformance import applicable  # noqa: PLC0415 - as above

        for check in applicable(self.subject):
            yield Rule.from_parent(self, name=check.id, check=check)


class Rule(pytest.Item):
    """One rule on one plugin."""

    def __init__(self, *, check: Check, **node: Any) -> None:
        super().__init__(**node)
        self.check = check

    def runtest(self) -> None:
        """Fail with the advice, without a traceback into the kit."""
        from hami_core.testing.conformance import State, run_check  # noqa: PLC0415 - as above

        assert isinstance(self.parent, Rules)
        result = run_check(self.check, self.parent.subject)
        if result.state is State.BROKEN:
            pytest.fail(
                f"{self.check.title}: {result.found}\n  {result.advice}\n  Why: {self.check.why}", pytrace=False
            )

    def reportinfo(self) -> tuple[Path, None, str]:
        """How reports call it."""
        return self.path, None, self.check.title
