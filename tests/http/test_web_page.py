"""The page's files as served: complete, unchanged, with a strict policy and entity tags."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import gapcast.http
from gapcast.http.guards.token_guard import is_open
from tests.http.conftest import Rest
from tests.http.test_predict import assert_problem

FILES = Path(gapcast.http.__file__).parent / "page"
LIBRARY = FILES / "uplot"
NAMES = sorted(str(path.relative_to(FILES)) for path in FILES.rglob("*") if path.is_file())
SCRIPTS = sorted(path.name for path in FILES.glob("*.js"))


def test_page_refers_to_its_own_files_only(rest: Rest) -> None:
    page = rest.client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "//" not in page.text  # nothing from elsewhere, nothing that a prefix would break
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    for name in named:
        assert not name.startswith("/")
        assert rest.client.get(f"/{name}").status_code == 200, name
    assert {f"page/{name}" for name in SCRIPTS} <= set(named)  # each module is known at once, none at second hand
    assert " style=" not in page.text
    assert not re.search(r"\son\w+=", page.text)


@pytest.mark.parametrize("path", ["/", *(f"/page/{name}" for name in NAMES)])
def test_page_headers(rest: Rest, path: str) -> None:
    first = rest.client.get(path)
    assert first.status_code == 200
    policy = first.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "no-cache"
    for encodings in ("identity", "gzip;q=0, *;q=0.5"):
        plain = rest.client.get(path, headers={"accept-encoding": encodings})
        assert (plain.content, plain.headers["etag"]) == (first.content, first.headers["etag"])
        assert "content-encoding" not in plain.headers
    assert (first.headers["content-encoding"], first.headers["vary"]) == ("gzip", "accept-encoding")
    again = rest.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert rest.client.head(path).headers["content-length"] == first.headers["content-length"]
    assert is_open(path)


def test_page_unknown_file_and_method(rest: Rest) -> None:
    for path in ("/page/nothing.js", "/page/", "/page/..%2fguard.py", "/page/%2e%2e/guard.py"):
        answer = rest.client.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
    assert_problem(rest.client.get("/page/nothing.js"), 404, "no such file")
    refused = rest.client.post("/")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("name", SCRIPTS)
def test_page_scripts_write_no_markup(name: str) -> None:
    text = (FILES / name).read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    assert not re.search(r"https?://", text)
    for imported in re.findall(r'from "([^"]+)"', text):
        assert imported.startswith("./")
        assert imported[2:] in SCRIPTS


def test_page_chart_library_matches_its_release() -> None:
    release = json.loads((LIBRARY / "release.json").read_text(encoding="utf-8"))
    assert set(release["files"]) == {path.name for path in LIBRARY.iterdir()} - {"release.json"}
    for name, sha512 in release["files"].items():
        assert hashlib.sha512((LIBRARY / name).read_bytes()).hexdigest() == sha512, name
    script = (LIBRARY / "uPlot.iife.min.js").read_text(encoding="utf-8")
    assert f"(v{release['version']})" in script.splitlines()[0]
    assert release["integrity"].startswith("sha512-")
    assert "MIT" in (LIBRARY / "LICENSE").read_text(encoding="utf-8")
