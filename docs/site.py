"""Hooks of MkDocs: links to files of the repository that are not part of the site.

On a code host ``[core](../native/core)`` opens the folder. On the site it becomes a link under `repo_url`, or the path
as text where no repository address is configured. A link to a file that does not exist stops the build either way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?:\.\./|\./)?[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' call
    """Replace links that leave the site's folder."""
    folder = PurePosixPath("docs", page.file.src_uri).parent

    def replaced(match: re.Match[str]) -> str:
        path = os.path.normpath(folder / match["target"])
        if path.startswith("docs/") and not path.endswith(".py"):
            return match[0]
        if not (_ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: {match['target']} leads to {path}, which does not exist")
        text = match["text"].strip("`")
        # A file has the same address below "blob" and "tree" on the usual hosts; folders need the latter.
        if config.repo_url:
            return f"[`{text}`]({config.repo_url}/tree/main/{path})"
        return f"`{path}`" if text == path else f"{match['text']} (`{path}`)"

    return _outside_code(markdown, replaced)


def _outside_code(markdown: str, replaced: Callable[[re.Match[str]], str]) -> str:
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else _LINK.sub(replaced, part) for index, part in enumerate(parts))
