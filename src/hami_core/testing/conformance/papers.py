"""Checks of what people read first: the page and the example pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hami_core.errors import HamiError
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.subject import Subject, node_item
from hami_core.whatif import decide

CLUSTER = "cluster.yaml"


@check("docs", Ability.DOCS)
def the_page_names_every_resource(subject: Subject) -> None:
    """People search for the words that they write into a pod."""
    assert subject.docs is not None
    there = subject.docs.is_file()
    require(there, f"{subject.docs} is not there", "Write a page: enable it, ask for a share, what is limited and how.")
    text = subject.docs.read_text(encoding="utf-8")
    for loaded in subject.families:
        for name in loaded.family.resources.names:
            require(
                name in text, f"{subject.docs.name} does not mention {name}", "Add it, with its unit and an example."
            )
    for policy in subject.policies:
        require(policy.name in text, f"{subject.docs.name} does not mention the policy {policy.name}", "Add it.")


@check("docs", Ability.EXAMPLES)
def example_pods_find_a_place(subject: Subject) -> None:
    """An example that does not work costs more trust than none."""
    assert subject.examples is not None
    files = sorted(path for path in subject.examples.rglob("*.yaml") if path.name != CLUSTER)
    pods = [(path, item) for path in files for item in _objects(path) if item.get("kind") == "Pod"]
    require(pods, f"{subject.examples} has no example pods", "Write one for each thing that people want to do.")
    nodes = _nodes(subject)
    for path, item in pods:
        try:
            decision = decide(nodes, item, registry=subject.registry)
        except HamiError as err:
            require(holds=False, found=f"{path.name}: {err}", advice="Correct the example.")
        else:
            why = decision.admission.message or {name: str(verdict) for name, verdict in decision.verdicts.items()}
            require(
                decision.node, f"{path.name} finds no place: {why}", f"Correct the example, or {CLUSTER} beside it."
            )


def _nodes(subject: Subject) -> list[dict[str, Any]]:
    assert subject.examples is not None
    cluster = subject.examples / CLUSTER
    if cluster.is_file():
        return _objects(cluster)
    return [node_item(subject.node(loaded)) for loaded in subject.families]


def _objects(path: Path) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return [document for document in documents if isinstance(document, dict)]
