"""Links to documents: relative links and anchors in Markdown resolve, and so do pages that code and alerts name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

#: Folders that are not part of the repository (.gitignore); folders whose name begins with a dot are left out too.
NOT_IN_REPOSITORY = {"build", "data", "dist", "node_modules", "runs", "state"}

FENCE = re.compile(r"^ {0,3}(```+|~~~+)[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
#: ``](target)`` and ``](<target> "title")``: the end of a link or of a picture.
INLINE = re.compile(r"\]\(\s*(?:<([^>\n]*)>|([^\s()]*(?:\([^\s()]*\)[^\s()]*)*))(?:\s+[\"'(][^)]*)?\s*\)")
#: ``[label]: target`` on a line of its own.
DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s+<?([^\s>]+)>?", re.MULTILINE)
ATTRIBUTE = re.compile(r"<[a-z]+\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)[\"']", re.IGNORECASE)
#: ``docs/operations.md#upgrading`` in code, help texts and alerts.
MENTION = re.compile(r"(?<![\w/.-])(docs/[\w./-]+\.md(?:#[\w-]+)?)")
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
NAMED = re.compile(r"<[a-z]+\b[^>]*?\b(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)


def markdown_files() -> Iterator[Path]:
    """Yield every Markdown file of the repository, relative to its root."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".") and name not in NOT_IN_REPOSITORY]
        yield from (Path(folder, file).relative_to(ROOT) for file in files if file.endswith(".md"))


def links_of(text: str) -> list[str]:
    """Return the targets of all links and pictures in a Markdown ``text``, as they are written."""
    prose = CODE.sub("code", FENCE.sub("", COMMENT.sub("", text)))
    inline = [quoted or bare for quoted, bare in INLINE.findall(prose)]
    return [target for target in [*inline, *DEFINITION.findall(prose), *ATTRIBUTE.findall(prose)] if target]


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)  # a link's text alone
    kept = re.sub(r"[^\w\- ]", "", text.lower())
    return kept.replace(" ", "-")


@cache
def anchors_of(path: Path) -> frozenset[str]:
    """Return every anchor of a Markdown file: of its headings, and those that its HTML names."""
    prose = FENCE.sub("", COMMENT.sub("", path.read_text(encoding="utf-8")))
    anchors: set[str] = set(NAMED.findall(prose))
    times: dict[str, int] = {}
    for heading in HEADING.findall(prose):
        anchor = anchor_of(heading)
        n_before = times.get(anchor, 0)
        times[anchor] = n_before + 1
        anchors.add(f"{anchor}-{n_before}" if n_before else anchor)
    return frozenset(anchors)


def problem_of(link: str, page: Path) -> str | None:
    """Return what is wrong with a relative ``link`` on a ``page``, or None."""
    address, _, anchor = link.partition("#")
    target = (page.parent / unquote(address)).resolve() if address else page
    if not target.is_relative_to(ROOT):
        return f"{link}: outside the repository"
    if not target.exists():
        return f"{link}: no such file"
    if anchor and target.suffix == ".md" and unquote(anchor) not in anchors_of(target):
        return f"{link}: {target.relative_to(ROOT)} has no heading #{anchor}"
    return None


@pytest.mark.parametrize("page", sorted(markdown_files()), ids=str)
def test_every_relative_link_resolves(page: Path) -> None:
    path = ROOT / page
    links = links_of(path.read_text(encoding="utf-8"))
    problems = [problem_of(link, path) for link in links if not ADDRESS.match(link)]
    assert [problem for problem in problems if problem] == []


@pytest.mark.parametrize("folder", ["edge", "fleet", "monitoring", "scripts", "trainer"])
def test_code_names_existing_pages(folder: str) -> None:
    sources = [path for path in (ROOT / folder).rglob("*") if path.suffix in {"", ".py", ".sh", ".toml", ".yml"}]
    texts = {path: path.read_text(encoding="utf-8") for path in sources if path.is_file()}
    mentions = {(path.name, page) for path, text in texts.items() for page in MENTION.findall(text)}
    assert texts
    problems = [(name, problem_of(page, ROOT / "README.md")) for name, page in sorted(mentions)]
    assert [problem for problem in problems if problem[1]] == []


def test_links_of_finds_each_kind_and_skips_code() -> None:
    text = (
        'a [b](c.md#d) ![e](<f g.png> "title") [`h`](i_(j).md)\n[k]: l.md\n<img src="m.png">\n'
        "`[n](o.md)`\n\n```\n[p](q.md)\n```\n<!-- [r](s.md) -->\n"
    )
    assert links_of(text) == ["c.md#d", "f g.png", "i_(j).md", "l.md", "m.png"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Who may ask", "who-may-ask"),
        ("`GET /events`: what happens", "get-events-what-happens"),
        ("MQTT 5 & paho", "mqtt-5--paho"),
        ("[Decision 3](decisions/0003-import-layers.md)", "decision-3"),
        ("3. Imports run one way, and a check holds them to it", "3-imports-run-one-way-and-a-check-holds-them-to-it"),
    ],
)
def test_anchor_of_heading_is_githubs(heading: str, anchor: str) -> None:
    assert anchor_of(heading) == anchor


def test_problem_of_broken_link_names_it(tmp_path: Path) -> None:
    page = ROOT / "docs" / "README.md"
    assert problem_of("architecture.md", page) is None
    assert problem_of("decisions/", page) is None
    assert problem_of("no-such-page.md", page) == "no-such-page.md: no such file"
    assert problem_of("glossary.md#no-such", page) == "glossary.md#no-such: docs/glossary.md has no heading #no-such"
    assert problem_of(os.path.relpath(tmp_path, page.parent), page) is not None
