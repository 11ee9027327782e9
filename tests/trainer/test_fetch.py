"""``fetch`` from a real HTTP server that disconnects, fails, refuses, or serves something else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.core.errors import SourceError
from gapcast.recordings.formats import uci
from gapcast_trainer.cli import main
from gapcast_trainer.data.download import PAUSES_S, download
from gapcast_trainer.errors import FetchError
from tests.support.http_servers import QuietHandler, serving
from tests.support.ports import LOOPBACK, free_port
from tests.support.uci_files import rows, write_zip

CONTENT = bytes(range(256)) * 2_000


class Server:
    """Serves ``content``; ``plan`` has a step for each request, and its last step repeats."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.plan: list[str] = ["serve"]
        self.ranges: list[str | None] = []
        server = self

        class Answer(QuietHandler):
            def answer_get(self) -> None:
                server.answer(self)

        self.handler = Answer
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        step = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        wanted = request.headers["Range"]
        self.ranges.append(wanted)
        if step.isdigit():
            request.send_error(int(step))
            return
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and step != "serve from the beginning" else 0
        if first >= len(self.content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = self.content[first:]
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if step == "cut" else body)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with serving(made.handler) as url:
        made.url = f"{url}/set.zip"
        yield made


def fetched(server: Server, path: Path) -> list[float]:
    """Download to ``path``; return the pauses that were made."""
    pauses: list[float] = []
    download(server.url, path, lambda _: None, pause=pauses.append)
    assert path.read_bytes() == server.content
    assert list(path.parent.iterdir()) == [path]
    return pauses


def test_download_whole_file(server: Server, tmp_path: Path) -> None:
    assert fetched(server, tmp_path / "set.zip") == []
    assert server.ranges == [None]


def test_download_resumes_after_a_disconnect(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "cut", "serve"]
    assert fetched(server, tmp_path / "set.zip") == list(PAUSES_S[:2])
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]


def test_download_resumes_in_a_later_call(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT[:1_000])
    fetched(server, tmp_path / "set.zip")
    assert server.ranges == ["bytes=1000-"]


def test_download_complete_file_is_not_repeated(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetched(server, tmp_path / "set.zip") == []
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_download_discards_a_part_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT * 2)
    fetched(server, tmp_path / "set.zip")
    assert server.ranges == [f"bytes={2 * len(CONTENT)}-", None]


def test_download_restarts_without_range_support(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "serve from the beginning"]
    fetched(server, tmp_path / "set.zip")


def test_download_retries_server_errors(server: Server, tmp_path: Path) -> None:
    server.plan = ["500", "503", "429", "serve"]
    assert fetched(server, tmp_path / "set.zip") == list(PAUSES_S[:3])


def test_download_gives_up_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "500"]
    with pytest.raises(FetchError, match="the server answers 500"):
        fetched(server, tmp_path / "set.zip")
    assert len(server.ranges) == len(PAUSES_S) + 1
    assert (tmp_path / "set.zip.part").stat().st_size == len(CONTENT) // 2
    assert not (tmp_path / "set.zip").exists()


def test_download_gives_up_on_disconnects_with_a_fix(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut"]
    with pytest.raises(FetchError, match=r"broke off.*run it again to resume"):
        fetched(server, tmp_path / "set.zip")


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_download_client_error_is_reported_at_once(server: Server, tmp_path: Path, status: str) -> None:
    server.plan = [status]
    with pytest.raises(FetchError, match=f"the server answers {status}"):
        fetched(server, tmp_path / "set.zip")
    assert len(server.ranges) == 1


def test_download_unreachable_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1.*cannot be reached"):
        download(f"http://{LOOPBACK}:{free_port()}/set.zip", tmp_path / "set.zip", lambda _: None, pause=lambda _: None)


def test_download_from_no_address_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"^set\.zip: is no address of a file \(.*\): correct --url$"):
        download("set.zip", tmp_path / "set.zip", lambda _: None)


def test_download_unwritable_path_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").mkdir()
    with pytest.raises(FetchError, match="cannot be written"):
        download(server.url, tmp_path / "set.zip", lambda _: None)


def test_download_into_a_folder_that_cannot_be_created_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"a file")
    with pytest.raises(FetchError, match=r"cannot be written to .* \(Not a directory\)"):
        download(server.url, tmp_path / "folder" / "new" / "set.zip", lambda _: None)


def test_download_failed_check_keeps_the_old_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"old")
    with pytest.raises(SourceError, match="line 1"):
        download(server.url, tmp_path / "set.zip", uci.check_whole)
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]
    assert (tmp_path / "set.zip").read_bytes() == b"old"


@pytest.mark.wholeset
def test_fetch_whole_set_resumes_and_is_checked(server: Server, tmp_path: Path, whole_set: Path) -> None:
    server.content = whole_set.read_bytes()
    server.plan = ["cut", "serve"]
    out = tmp_path / "household.zip"
    result = CliRunner().invoke(main, ["fetch", "--url", server.url, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "2,075,259 minutes, 25,979 of them missing, mean 1.0916150365 kW" in result.output
    assert out.read_bytes() == server.content


def test_fetch_set_with_another_mean_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "set.zip", rows([1.0, 2.0, np.nan, 1.5]))
    monkeypatch.setattr(uci, "N_ROWS", 4)
    monkeypatch.setattr(uci, "N_MISSING", 1)
    with pytest.raises(SourceError, match=r"mean power is 1\.5000000000 kW, not 1\.0916150365 kW"):
        uci.check_whole(path)
    monkeypatch.setattr(uci, "MEAN_KW", 1.5)
    uci.check_whole(path)


def test_fetch_wrong_file_is_one_sentence_and_exit_2(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>moved</html>\n" * 100
    result = CliRunner().invoke(main, ["fetch", "--url", server.url, "--out", str(tmp_path / "set.zip")])
    assert result.exit_code == 2
    assert "line 1" in result.output
    assert list(tmp_path.iterdir()) == []


def test_fetch_without_the_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "gapcast_trainer.data.download", raising=False)
    result = CliRunner().invoke(main, ["fetch", "--out", str(tmp_path / "set.zip")])
    assert result.exit_code == 2
    assert "httpx is not installed; this command needs the trainer extra: pip install" in result.output
