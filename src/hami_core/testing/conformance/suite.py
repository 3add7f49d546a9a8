"""The kit as a class for pytest: name the plugin, get a test for each rule it can keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from hami_core.testing.conformance.check import Check
from hami_core.testing.conformance.report import State, applicable, run_check
from hami_core.testing.conformance.subject import Subject, examine

if TYPE_CHECKING:
    from _pytest.python import Metafunc


class PluginConformance:
    """Holds a plugin to the rules of the kit.

    A vendor writes::

        class TestAcme(PluginConformance):
            plugin = hami_acme
            machine = HERE / "machines" / "acme-4.json"
            docs = ROOT / "README.md"
            examples = ROOT / "examples"

    `machine`, `docs` and `examples` may be left out, and so are the checks of them. A vendor whose probe can be pointed
    at a fake host says how in `simulate`.
    """

    # Not ClassVar: a type checker would then want the annotation in every class of a vendor.
    plugin: object
    machine: Path | None = None
    docs: Path | None = None
    examples: Path | None = None

    @classmethod
    def simulate(cls, folder: Path) -> Mapping[str, str]:  # noqa: ARG003 - for those who override it
        """Lay out the machine under `folder`; return the environment in which the probe sees it."""
        return {}

    @classmethod
    def subject(cls) -> Subject:
        """The plugin, loaded once for all checks."""
        made: Subject | None = cls.__dict__.get("_subject")
        if made is None:
            says_how = next(base for base in cls.__mro__ if "simulate" in vars(base)) is not PluginConformance
            made = examine(
                cls.plugin,
                machine=cls.machine,
                docs=cls.docs,
                examples=cls.examples,
                simulate=cls.simulate if says_how else None,
            )
            cls._subject = made
        return made

    _subject: ClassVar[Subject | None] = None

    def pytest_generate_tests(self, metafunc: Metafunc) -> None:
        """A test for each rule that the plugin can keep; rules about what it does not offer are not there."""
        if "rule" in metafunc.fixturenames and metafunc.cls is not None:
            checks = applicable(metafunc.cls.subject())
            metafunc.parametrize("rule", checks, ids=[check.id for check in checks])

    def test_keeps_the_rule(self, rule: Check) -> None:
        """One rule; a failure is the advice, without a traceback into the kit."""
        result = run_check(rule, self.subject())
        if result.state is State.BROKEN:
            pytest.fail(f"{rule.title}: {result.found}\n  {result.advice}\n  Why: {rule.why}", pytrace=False)
