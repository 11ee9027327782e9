"""MkDocs hooks: pages from outside ``docs/``, links to other files of the repository, nothing loaded from other hosts.

The pages are written for the repository's file view, where a link such as ``../SECURITY.md`` works. For the site the
hooks add those pages, point links at them, and replace links to source files by their text.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import TYPE_CHECKING

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
log = get_plugin_logger("gapcast")

#: Pages outside ``docs/``: path in the repository, path on the site.
PAGES_ELSEWHERE = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "homeassistant-addon/DOCS.md": "home-assistant-addon.md",
    "models/README.md": "model-cards.md",
}
PATH_OF_PAGE = {page: path for path, page in PAGES_ELSEWHERE.items()}

FENCE = re.compile(r"^([ \t]*)(```+|~~~+)[^\n]*\n.*?^\1\2[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^()\s#]+)(?P<anchor>#[^()\s]*)?\)")
#: A list that Python-Markdown has not recognised, because it lacks a blank line before it or an indentation of four.
LOST_LIST = re.compile(r"^[ ]*(?:[-*]|\d+\.) .*", re.MULTILINE)
PREFORMATTED = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)
#: Places that load something: an element's source, a style sheet, an import, a url(), a script's address.
LOADED = re.compile(
    r"""(?:\bsrc|\bsrcset)=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//(?![^>]*\brel=["']?canonical)"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//|["'`]https?://unpkg\.com""",
    re.IGNORECASE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are outside ``docs/``."""
    for path, page in PAGES_ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links at pages of the site; a link to another file of the repository becomes its text."""
    source = page.file.src_uri
    folder = str(PurePosixPath(PATH_OF_PAGE.get(source, f"docs/{source}")).parent)

    def replace(link: re.Match[str]) -> str:
        target = link["target"]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            return link[0]
        path = normpath(f"{folder}/{target}")
        site_path = PAGES_ELSEWHERE.get(path) or (path[len("docs/") :] if path.startswith("docs/") else None)
        if site_path:
            address = relpath(site_path, str(PurePosixPath(source).parent))
            return f"{link['picture']}[{link['text']}]({address}{link['anchor'] or ''})"
        return link["text"] if (ROOT / path).exists() else link[0]

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(replace, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(replace, markdown[end:])])


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Warn of lists that were rendered as text, on which a strict build fails."""
    for lost in LOST_LIST.findall(PREFORMATTED.sub("", html)):
        log.warning("%s: a list is rendered as text: %s", page.file.src_uri, lost)
    return html


def on_post_build(config: MkDocsConfig) -> None:
    """Remove the theme's fallbacks to a CDN, and warn of anything else that would be loaded from another host."""
    site = Path(config.site_dir)
    for script in site.glob("assets/javascripts/*.js"):
        text = script.read_text(encoding="utf-8")
        text = re.sub(r"https://unpkg\.com/[\w@./-]+", "data:,", text)  # for browsers before 2020; Mermaid is not used
        script.write_text(re.sub(r"\n//# sourceMappingURL=.*", "", text), encoding="utf-8")
    for source_map in site.glob("assets/**/*.map"):
        source_map.unlink()
    for path in [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"}]:
        for found in LOADED.findall(path.read_text(encoding="utf-8")):
            log.warning("%s would load something from another host: %s", path.relative_to(site), found)
