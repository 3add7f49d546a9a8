"""Ways to break the good plugin: for each rule of the kit a change after which it is not kept."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

PLUGIN, MACHINE, PAGE, POD = "__init__.py", "machine.json", "page.md", "pods/share.yaml"

_COUNTED = "_CALLS: list[int] = []\n\n\n"
_ROTATED = {
    "def choose(": f"{_COUNTED}def choose(",
    "    return chosen\n": (
        "    _CALLS.append(1)\n    start = len(_CALLS) % len(candidates)\n"
        "    return [*candidates[start:], *candidates[:start]][: request.count]\n"
    ),
}
_STRANGER = {
    "    return chosen\n": (
        "    import attrs\n    return [attrs.evolve(c, share=attrs.evolve(c.share, uuid='stranger')) for c in chosen]\n"
    )
}


def _asked(text: str) -> dict[str, str]:
    return {"    return asked\n": f"    {text}\n    return asked\n"}


def _codec(text: str) -> dict[str, str]:
    return {"        return cards\n": f"        {text}\n        return cards\n"}


def _written(text: str) -> dict[str, str]:
    return {'    written = {"good.test/at": str(now_ns)}\n': f"    written = {text}\n"}


@attrs.frozen
class Sabotage:
    """A rule, what is replaced to break it, and what the kit must then have found."""

    rule: str
    changes: Mapping[str, str]
    found: str
    file: str = PLUGIN


SABOTAGES = (
    Sabotage("something is declared", {"@hookimpl\n": ""}, "declares no family and no policy"),
    Sabotage("names can travel", {'name="Good"': 'name="Go,od"'}, 'family name "Go,od"'),
    Sabotage("resources are extended resources", {"good.test/card": "kubernetes.io/card"}, "kubernetes.io/card"),
    Sabotage(
        "no key has two meanings", {"good.test/to-allocate": "good.test/allocated"}, "good.test/allocated is Good"
    ),
    Sabotage("it loads beside every installed plugin", {"good.test/card": "hygon.com/dcunum"}, "already served by"),
    Sabotage(
        "declaring twice gives the same",
        {
            "@hookimpl\ndef hami_families": f"{_COUNTED}@hookimpl\ndef hami_families",
            "    return (family(),)": (
                "    import attrs\n    _CALLS.append(1)\n"
                "    return (attrs.evolve(family(), cards_per_pod=len(_CALLS)),)"
            ),
        },
        "answers differently the second time",
    ),
    Sabotage(
        "declaring touches nothing",
        {"    return (family(),)": '    list(Path("/sys/class").iterdir())\n    return (family(),)'},
        "/sys/class",
    ),
    Sabotage(
        "cards are heard of",
        {'register="good.test/register"': "register=None", "    return Codec()": "    return None"},
        "no way to hear of its cards",
    ),
    Sabotage("numbers agree with units", {"default_cores=20": "default_cores=200"}, "default_cores is 200 of 100"),
    Sabotage(
        "a container that asks for nothing gets nothing",
        _asked('asked = asked or DeviceRequest(family="Good", count=1, memory_mib=1)'),
        "are read as DeviceRequest",
    ),
    Sabotage(
        "a request is read the same however it is written",
        _asked("asked = None if isinstance(container.limits.get(COUNT), str) else asked"),
        "when the numbers are strings",
    ),
    Sabotage(
        "a request is within what a card has",
        _asked("import attrs; asked = asked and attrs.evolve(asked, core_units=999)"),
        "core_units=999",
    ),
    Sabotage(
        "a count of zero asks for nothing",
        _asked('asked = asked or DeviceRequest(family="Good", count=1, memory_mib=1)'),
        "a count of 0 is read as",
    ),
    Sabotage(
        "nonsense is refused with its place",
        {
            "    asked = TableRequest(family())(pod, container)\n": (
                "    try:\n        asked = TableRequest(family())(pod, container)\n"
                "    except Exception:\n        asked = None\n"
            )
        },
        "is read as None",
    ),
    Sabotage(
        "more than an int32 is refused",
        {
            "    asked = TableRequest(family())(pod, container)\n": (
                "    if container.limits.get(MEMORY) == 2**31:\n        return None\n"
                "    asked = TableRequest(family())(pod, container)\n"
            )
        },
        "good.test/memory: 2147483648 is read as None",
    ),
    Sabotage(
        "admitting twice changes nothing",
        {
            "    return edits\n": (
                "    more = {MEMORY: str(int(container.limits[MEMORY]) + 1)} if MEMORY in container.limits else {}\n"
                "    import attrs\n    return attrs.evolve(edits, limits=more)\n"
            )
        },
        "again changes",
    ),
    Sabotage("an admitted container asks for cards", _asked("asked = None"), "is admitted, but asks for nothing"),
    Sabotage(
        "edits are well formed",
        {"    return edits\n": '    import attrs\n    return attrs.evolve(edits, env={"GOOD MODE": "1"})\n'},
        'the variable "GOOD MODE"',
    ),
    Sabotage("registered cards are read back", _codec("cards = cards[:-1]"), "good-3 is not read"),
    Sabotage(
        "the machine file agrees with its node",
        {'  "vendor": "good",': '  "vendor": "good",\n  "node": {"annotations": {}},'},
        "good-0 is not read",
        MACHINE,
    ),
    Sabotage(
        "a node without cards has none",
        _codec('cards = cards or (Device(uuid="ghost", family="Good", model="good", memory_mib=1),)'),
        "ghost",
    ),
    Sabotage(
        "reading a node twice gives the same",
        {
            "class Codec:\n": f"{_COUNTED}class Codec:\n",
            "        return cards\n": "        _CALLS.append(1)\n        return cards[: len(_CALLS)]\n",
        },
        "answers differently",
    ),
    Sabotage(
        "malformed registers are refused or read",
        {
            "        cards = Reg": (
                '        import json\n        json.loads(node.annotations.get("good.test/register", "[]"))\n'
                "        cards = Reg"
            )
        },
        "JSONDecodeError",
    ),
    Sabotage(
        "shares are read back from a pod",
        _codec('import attrs; cards = tuple(attrs.evolve(card, uuid=f"{card.uuid}:0") for card in cards)'),
        "must not contain",
    ),
    Sabotage(
        "no card is promised twice",
        {"    taken = [partition.placement for partition in use.partitions]\n": "    taken = []\n"},
        "at once",
    ),
    Sabotage(
        "a container gets what it asked for",
        {"    return chosen\n": "    return [candidates[0]] * request.count\n"},
        "is given",
    ),
    Sabotage(
        "no code of the plugin fails",
        {"    return True\n": "    return use.device.custom['ring'] == 0\n"},
        "KeyError",
    ),
    Sabotage("the same world gives the same answer", _ROTATED, "two runs differ"),
    Sabotage("the order of cards and nodes does not matter", _ROTATED, "listed in another order"),
    Sabotage(
        "releasing restores the cards",
        {
            "    return True\n": (
                "    use.device.custom['looks'] = use.device.custom.get('looks', 0) + 1\n    return True\n"
            )
        },
        "cards are not free",
    ),
    Sabotage(
        "room never turns a yes into a no",
        {"    return True\n": "    return use.device.memory_mib < 70_000\n"},
        "does not fit larger cards",
    ),
    Sabotage(
        "an idle machine takes the simplest pod", {"    return True\n": "    return False\n"}, "does not fit 4 idle"
    ),
    Sabotage(
        "sick and missing cards are not given",
        {"-> Reason | None:\n    return None": "-> Reason | None:\n    return Reason.MODE"},
        "expected CardNotHealth",
    ),
    Sabotage("selectors select", _STRANGER, "gives ['stranger']"),
    Sabotage("a chooser takes only what it is offered", _STRANGER, "is given ['stranger']"),
    Sabotage(
        "a placement is read back from the pod", _written('{ALLOCATED: "nonsense,;"}'), "the placement cannot be read"
    ),
    Sabotage("annotations of a bind are well formed", _written('{"good.test/a b": "1"}'), "good.test/a b"),
    Sabotage("a writer keeps to its own keys", _written('{"hami.io/vgpu-node": "other"}'), "hami.io/vgpu-node"),
    Sabotage("edits of a container are well formed", {'"/dev/good", "rw"': '"good", "rw"'}, "device node 'good'"),
    Sabotage("a container sees its cards and no others", {'",".join(uuids)': '",".join(reversed(uuids))'}, "good-1"),
    Sabotage("the isolation library can be loaded", {"lib/libgood.so": "lib/libother.so"}, "libother.so"),
    Sabotage(
        "a probe can be imported by a fresh interpreter",
        {"    return probe\n": "    return lambda: probe()\n"},
        "lambda",
    ),
    Sabotage("a missing driver is said to be missing", {', missing="no driver"': ""}, "reports ProbeReport"),
    Sabotage(
        "a hanging driver is never no devices",
        {
            "        lines = read_driver()\n": (
                "        import threading\n        lines = []\n"
                "        thread = threading.Thread(target=lambda: lines.extend(read_driver()), daemon=True)\n"
                "        thread.start()\n        thread.join(0.1)\n"
            )
        },
        "when the driver hangs",
    ),
    Sabotage(
        "a crashing driver is never no devices",
        {
            "        lines = read_driver()\n": (
                "        child = os.fork()\n        if child == 0:\n            read_driver()\n"
                "        os.waitpid(child, 0)\n        lines = []\n"
            )
        },
        "when the driver crashes",
    ),
    Sabotage("the probe sees the machine", {"index=int(index)": "index=int(index) + 1"}, "are read as"),
    Sabotage("names can stand in a pod", {"good-nodes": "Good Nodes"}, 'policy "Good Nodes"'),
    Sabotage(
        "every node gets one finite score",
        {"(nodes.memory_mib - nodes.memory_used_mib)": "(nodes.memory_used_mib / nodes.memory_mib)"},
        "nan",
    ),
    Sabotage(
        "a score depends on its own node only",
        {"    return scores\n": "    return scores - scores.max() if len(scores) else scores\n"},
        "one by one",
    ),
    Sabotage(
        "a policy changes nothing it is shown",
        {"    return scores\n": "    nodes.memory_used_mib[:] = 0\n    return scores\n"},
        "writes into its columns",
    ),
    Sabotage("every card gets one finite preference", {"return -fullness": 'return float("nan")'}, "nan"),
    Sabotage(
        "the best node is taken from a real fleet",
        {"    return scores\n": '    raise ValueError("no")\n'},
        "ValueError: no",
    ),
    Sabotage(
        "reading a node grows with its cards",
        _codec("_ = [one.uuid.lower().upper() for one in cards for _other in cards]"),
        "256 cards in",
    ),
    Sabotage(
        "a decision stays small",
        {
            "    return chosen\n": (
                "    import itertools\n"
                "    for cards in itertools.permutations(candidates, min(5, request.count)):\n"
                "        [card.share.uuid.lower().upper() for card in cards]\n"
                "    return chosen\n"
            )
        },
        "8 of 16 cards take",
    ),
    Sabotage("importing the plugin loads nothing heavy", {"import os\n": "import os\nimport torch\n"}, "loads torch"),
    Sabotage(
        "the page names every resource", {"`good.test/memory` MiB": "MiB"}, "does not mention good.test/memory", PAGE
    ),
    Sabotage("example pods find a place", {"good.test/card: 1": "good.test/card: 99"}, "finds no place", POD),
)
