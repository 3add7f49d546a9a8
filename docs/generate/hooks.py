"""A page for each hook, from its specification, its changelog and an example that is tested."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from hami_core import hookspecs
from hami_core.hook_api import API_VERSION, CHANGES

ROOT = Path(__file__).parents[2]
EXAMPLES = (
    ROOT / "examples/plugins/hami-acme/hami_acme/__init__.py",
    ROOT / "examples/plugins/hami-policy-cheapest/hami_policy_cheapest/__init__.py",
    *sorted((ROOT / "docs/hooks/examples").glob("*.py")),
)
QUESTIONS = {
    "Caller": "Who calls it, and when",
    "May touch": "What it may touch",
    "Empty": "What an empty answer means",
    "Raises": "What an exception does",
    "Since": "Since",
}


def hooks() -> Mapping[str, Callable[..., object]]:
    """The specifications, in the order a pod meets them."""
    return {name: value for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}


def pages() -> Mapping[str, str]:
    """File name and text of each page, and of the list of them."""
    made = {f"{name}.md": _page(name, spec) for name, spec in hooks().items()}
    return {"README.md": _index(), **made}


def _index() -> str:
    rows = "".join(f"| [`{name}`]({name}.md) | {_summary(spec)} |\n" for name, spec in hooks().items())
    return (
        f"# Hooks\n\nIn the order in which a pod meets them; hook API {API_VERSION}. A plugin implements what it "
        'needs,\nand says which versions it is made for: `HAMI_API = ">=1,<2"` in its module.\n\n'
        f"| Hook | In one line |\n|---|---|\n{rows}"
    )


def _page(name: str, spec: Callable[..., object]) -> str:
    source, file = _example(name)
    answers = _answers(spec)
    parts = [
        f"# {name}\n\n{_summary(spec)}\n\n```python\n{_signature(name, spec)}\n```\n",
        *(f"\n**{title}.** {_sentence(answers[key])}\n" for key, title in QUESTIONS.items()),
        f"\n## Example\n\nFrom `{file.relative_to(ROOT)}`:\n\n```python\n{source}\n```\n",
        "\n## Changes\n\n| Hook API | Change |\n|---|---|\n",
        *(f"| {version} | {text} |\n" for version, text in CHANGES[name].items()),
    ]
    return "".join(parts)


def _summary(spec: Callable[..., object]) -> str:
    return (inspect.getdoc(spec) or "").partition("\n")[0]


def _signature(name: str, spec: Callable[..., object]) -> str:
    signature = inspect.signature(spec)
    arguments = ", ".join(f"{item.name}: {item.annotation}" for item in signature.parameters.values())
    return f"@hookimpl\ndef {name}({arguments}) -> {signature.return_annotation}: ..."


def _answers(spec: Callable[..., object]) -> Mapping[str, str]:
    text = inspect.getdoc(spec) or ""
    words = "|".join(QUESTIONS)
    found = re.findall(rf"^({words}):\s+(.*?)(?=^(?:{words}):|\Z)", text, re.MULTILINE | re.DOTALL)
    return {key: " ".join(answer.split()) for key, answer in found}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _example(name: str) -> tuple[str, Path]:
    for file in EXAMPLES:
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                first = min(decorator.lineno for decorator in node.decorator_list)
                return "\n".join(text.splitlines()[first - 1 : node.end_lineno]), file
    raise LookupError(f"no example implements {name}; add docs/hooks/examples/{name}.py")
