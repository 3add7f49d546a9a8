"""Every verb of ``hami``, from the commands themselves. An option without a help text fails the test."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from hami_core.cli.group import VERBS, hami

_HEAD = """# Commands

What `hami VERB --help` says, on one page. Times are written `500ms`, `30s`, `5m` or `1h`.

Exit codes: 0 done; 2 bad input; 75 no room for the share; 128 plus the number of the signal that ended it; of
`hami run` and `hami exec` otherwise the command's own.

| Verb | Does |
|---|---|
"""


def page() -> str:
    """The page. Raises LookupError for an option that does not say what it is for."""
    rows = "".join(f"| [`{name}`](#hami-{name}) | {verb.help} |\n" for name, verb in VERBS.items())
    return _HEAD + rows + "".join(_verb(name) for name in VERBS)


def _verb(name: str) -> str:
    context = click.Context(hami, info_name="hami")
    command = hami.get_command(context, name)
    assert command is not None
    return "".join(_sections(command, click.Context(command, info_name=name, parent=context)))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    path, usage = context.command_path, " ".join(command.collect_usage_pieces(context))
    yield f"\n## {path}\n\n```text\n{path} {usage}\n```\n\n{_text(command.help or '')}\n"
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if options:
        yield "\n| Option | Default | Says |\n|---|---|---|\n"
        yield from (_option(option, context) for option in options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _sections(inner, click.Context(inner, info_name=name, parent=context))


def _text(text: str) -> str:
    r"""Click's paragraphs; those that it must not wrap (after a line with ``\b``) are code."""
    parts = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        parts.append(kept if kept == paragraph else f"```text\n{kept}\n```")
    return "\n\n".join(parts)


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag:
        names += f" {option.make_metavar(context)}"
    if not option.help:
        raise LookupError(f"{context.command_path} {option.opts[0]} has no help text; say what it is for")
    says = [option.help]
    if option.envvar:
        says.append(f"Also `{option.envvar}`.")
    return f"| {_cell(names)} | {_cell(_default(option, context))} | {_cell(' '.join(says))} |\n"


def _default(option: click.Option, context: click.Context) -> str:
    if option.required:
        return "required"
    value = option.get_default(context, call=False)
    if option.is_flag or option.multiple or value is None or callable(value) or not str(value).strip():
        return ""
    return "" if str(value).startswith("Sentinel") else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
