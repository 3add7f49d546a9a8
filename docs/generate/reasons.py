"""Every reason why a card or node is passed over. A reason without a text here fails the test."""

from __future__ import annotations

from hami_core.verdict import Reason

_TEXT = {
    Reason.TYPE_MISMATCH: "The pod wants, or refuses, models or modes, and this card's is not one that it takes.",
    Reason.UUID_MISMATCH: "The pod names cards and this is not one of them, or it refuses this one.",
    Reason.SLOTS_EXHAUSTED: "As many containers share the card as may.",
    Reason.CORES_EXHAUSTED: "The container sets no limit on cores, and all cores of the card are promised to others.",
    Reason.MEMORY: "Less memory is free on the card than was asked for.",
    Reason.CORES: "Fewer cores are free on the card than were asked for.",
    Reason.UNHEALTHY: "The card was reported unhealthy.",
    Reason.CORDONED: "An operator took the card out of service with the node annotation `hami.io/device-cordon`.",
    Reason.NUMA: "The pod is bound to one NUMA node, and this card's node has too few cards that fit.",
    Reason.EXCLUSIVE: "The card is wanted alone (all cores, or the policy mutex), and somebody uses it.",
    Reason.CUSTOM_RULE: "A rule of the vendor's own passes over the card; its plugin's page says which.",
    Reason.PARTITION: "The card is used through hardware partitions, and none of the size is free.",
    Reason.QUOTA: "The namespace's ResourceQuota leaves less than this card would give.",
    Reason.MODE: "The pod asks for a mode of sharing that the node does not offer.",
    Reason.TOO_FEW: "Cards fit, but fewer than the container asks for.",
    Reason.NODE_TOO_SMALL: "The node has fewer cards of the family than the container asks for.",
    Reason.TYPE_NOT_FOUND: "No plugin that is loaded knows the family.",
    Reason.UNREGISTERED: "The node is unknown, or no vendor has registered cards on it.",
}

_HEAD = """# Reasons

Why a pod does not fit a node. `hami schedule --explain` shows them card by card, with numbers. The words are HAMi's.
A reason that eviction can cure makes the node worth looking at for preemption.

| Reason | Means | Can eviction cure it? |
|---|---|---|
"""


def page() -> str:
    """The page. Raises KeyError for a reason that nobody has described."""
    rows = (f"| `{reason}` | {_TEXT[reason]} | {'yes' if reason.curable else 'no'} |\n" for reason in Reason)
    return _HEAD + "".join(rows)
