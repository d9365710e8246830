"""What the site does beyond mkdocs: links that leave docs/ lead to the repository, and pictures take the page's colours.

Pages stay plain Markdown, which reads the same in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/durable-fn/durable-fn/blob/main/"
LINK = re.compile(r"(?<!!)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
PICTURE = re.compile(r'<img alt="[^"]*" src="(?P<source>[^"]*pictures/[\w-]+\.svg)"[^>]*>')
COLOURS = re.compile(r'<style class="colours">.*?</style>', re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_: Any) -> str:
    """A link to what is no page is one to the repository, where it is a file or a folder there."""
    folder = posixpath.dirname(page.file.src_uri)

    def outward(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, match["target"]))
        known = files.get_file_from_path(posixpath.relpath(path, "docs"))
        if known is not None and known.inclusion.is_included():
            return match[0]
        if not (ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: there is no {path}, to which it links")
        return f"]({REPOSITORY}{path}{match['anchor'] or ''})"

    return LINK.sub(outward, markdown)


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """A picture becomes a part of the page, without its own colours: assets/style.css has them for both schemes."""
    folder = posixpath.dirname(page.file.src_uri)

    def inlined(match: re.Match[str]) -> str:
        path = ROOT / "docs" / posixpath.normpath(posixpath.join(folder, match["source"]))
        return f'<span class="frame" tabindex="0">{COLOURS.sub("", path.read_text(encoding="utf-8")).strip()}</span>'

    return PICTURE.sub(inlined, html)
