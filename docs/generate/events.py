"""Every event on pods and nodes, found in the modules that write some. One without a text here fails the test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from hami_core.node.health import Condition

ROOT = Path(__file__).parents[2]

_PODS = {
    "FilteringSucceed": "The scheduler chose a node and holds the share.",
    "FilteringFailed": "No node fits; the message counts the reasons.",
    "BindingSucceed": "The pod is bound, and its annotations say to which cards.",
    "BindingFailed": "The binding was not made; it is tried again.",
    "UnknownPolicy": "An annotation names a policy that no plugin has; the message says what could be meant.",
    "Resized": "The pod's share has the size that was wished for.",
    "ResizeRefused": "It has not, and why.",
    "DevicesRefused": "The node agent does not give out what does not agree; the container is not created.",
    "LimitBelowUse": "A new limit is below what is in use; no more is given until enough was freed.",
    "IsolationBypassed": "A process of the pod uses a card without the library.",
    "EvictedFromUnhealthyCard": "The card was out of order for longer than `--evict-after`.",
}
_NODES = {
    "CardHealthy": "A card is given out again.",
    "CardSuspect": "The driver did not answer; the card is still given out.",
    "CardUnhealthy": "The driver reports a fault, or the card is gone; it is not given out.",
    "CardRecovering": "Good again, but not for long enough.",
    "CardCordoned": "An operator took the card out of service.",
}
# Reasons of node conditions, which `node-agent.md` describes.
_CONDITIONS = {"CardsHealthy", "CardsUnhealthy", "DriverSilent"}
_WORD = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+|Resized")
# Fields of Kubernetes' objects, and kinds.
_OTHER = {"PodRef", "NodeRef", "NoSchedule", "NoExecute"}

_HEAD = """# Events

What `kubectl describe` shows of a pod or a node under Events. Complaints are warnings. While many pods are placed,
events of success are left out beyond 10 a second; complaints only where 1000 events wait for the API server.
"""


def page() -> str:
    """The page. Raises LookupError for an event that nobody has described."""
    if unknown := sorted(set(reasons()) - set(_PODS) - set(_NODES)):
        raise LookupError(f"say in docs/generate/events.py what these events tell: {', '.join(unknown)}")
    return _HEAD + _table("On pods", _PODS) + _table("On nodes", _NODES)


def reasons() -> Iterator[str]:
    """Reasons of events in the sources."""
    yield from (f"Card{condition.capitalize()}" for condition in Condition)
    for folder in ("kube", "node"):
        for file in (ROOT / "src/hami_core" / folder).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.Attribute) and node.attr == "say" for node in ast.walk(tree)):
                yield from _words(tree)


def _words(tree: ast.Module) -> Iterator[str]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    words = (value for value in constants if isinstance(value, str) and _WORD.fullmatch(value))
    yield from (word for word in words if word not in _CONDITIONS | _OTHER)


def _table(title: str, table: dict[str, str]) -> str:
    rows = "".join(f"| `{reason}` | {text} |\n" for reason, text in table.items())
    return f"\n## {title}\n\n| Reason | Tells |\n|---|---|\n{rows}"
