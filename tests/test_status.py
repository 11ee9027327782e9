"""``gapcast status``: its reading of REST answers, and its display."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapcast.core.errors import StatusError
from gapcast.status.metric_series import read_series
from gapcast.status.rendering import TerminalStyle, draw
from gapcast.status.rest_client import RestClient, read_token
from gapcast.status.status_snapshot import StatusSnapshot, snapshot_of, with_windows
from tests.support.http_servers import QuietHandler, serving

NOW = datetime(2026, 1, 1, 12, 1, 5, tzinfo=UTC)
PLAIN, COLOURED = TerminalStyle(colours=False), TerminalStyle(colours=True)
METRICS = """\
# TYPE gapcast_readings counter
gapcast_readings_total{result="accepted"} 12345
gapcast_readings_total{result="rejected"} 2
# TYPE gapcast_forecasts counter
gapcast_forecasts_total{model="blend"} 12300
# TYPE gapcast_forecast_latency_seconds histogram
gapcast_forecast_latency_seconds_bucket{le="0.001"} 90
gapcast_forecast_latency_seconds_bucket{le="0.002"} 100
gapcast_forecast_latency_seconds_bucket{le="+Inf"} 100
# TYPE gapcast_batch_size histogram
gapcast_batch_size_bucket{le="+Inf"} 4
gapcast_batch_size_count 4
gapcast_batch_size_sum 10
gapcast_queue_depth 7
gapcast_devices 2
gapcast_devices_with_clock_offset 1
gapcast_scored_forecasts{period="last_day"} 1440
gapcast_scored_forecasts{period="all_time"} 12
gapcast_scored_forecasts{period="ever"} 12
gapcast_skill_ratio{model="blend",period="last_day"} 0.14
gapcast_skill_ratio{model="linear",period="last_day"} -0.5
gapcast_absolute_error_kw{model="blend",period="last_day"} 0.2
gapcast_absolute_error_kw{model="persistence",period="last_day"} 0.25
gapcast_interval_coverage_ratio{model="blend",period="last_day"} 0.901
gapcast_model_info{model="lstm",default="true"} 1
gapcast_model_info{model="linear",default="false"} 1
gapcast_build_info{version="1.2.3",runtime="ai-edge-litert 2"} 1
process_resident_memory_bytes 9.1e+07
process_start_time_seconds 1767261665
"""
READY = {"status": "pass", "checks": {"mqtt:connection": [{"status": "pass"}]}}
AWAY = {"status": "fail", "checks": {"mqtt:connection": [{"status": "fail", "output": "unreachable: refused"}]}}


def device(name: str, *, sufficient: bool = True, **changes: Any) -> dict[str, Any]:
    """Return one device as in ``GET /devices``; ``changes`` replace fields of its forecast."""
    forecast = {
        "gap_kw": 1.31, "lower_kw": 0.62, "upper_kw": 2.71, "observed_at": "2026-01-01T12:00:00Z",
        "target_at": "2026-01-01T12:05:00Z", "issued_at": "2026-01-01T12:01:00.500Z", "model": "blend", **changes,
    }  # fmt: skip
    return {
        "device": name,
        "last_reading": {"ts": forecast["observed_at"], "gap_kw": 1.234},
        "last_reading_filled": False,
        "forecast": forecast,
        "scores": {"last_day": {"sufficient": sufficient, "skill": 0.12, "coverage": 0.89}},
    }


def picture(
    *devices: dict[str, Any], health: dict[str, Any] | None = None, metrics: str = METRICS, n_more: int = 0
) -> StatusSnapshot:
    page = {"devices": devices, "n_devices": len(devices) + n_more}
    return snapshot_of(health or READY, read_series(metrics), page)


def test_status_matches_the_metrics() -> None:
    seen = picture(device("home"))
    assert (seen.version, seen.status, seen.problems, seen.models) == ("1.2.3", "pass", (), ("lstm", "linear"))
    assert seen.readings == {"accepted": 12345.0, "rejected": 2.0}
    assert (seen.n_queued, seen.n_devices, seen.mean_batch) == (7, 2, 2.5)
    assert seen.latency_p50_s == pytest.approx(0.001 * 50 / 90)
    assert seen.latency_p99_s == pytest.approx(0.0019)
    day, all_time = seen.scores
    assert (day.skill, day.coverage, day.mae_kw, day.persistence_mae_kw) == (0.14, 0.901, 0.2, 0.25)
    assert (all_time.n, all_time.skill) == (12, None)
    (line,) = seen.devices
    assert (line.device, line.reading_kw, line.skill, line.coverage) == ("home", 1.234, 0.12, 0.89)


def test_status_as_text() -> None:
    text = "\n".join(draw(picture(device("home")), None, NOW, PLAIN))
    assert "gapcast 1.2.3  ready  2026-01-01 12:01:05 UTC  up 2 h, 91 MB" in text
    assert "12,345 accepted  2 rejected" in text
    assert "latency p50 0.6 ms, p99 1.9 ms  mean batch size 2.5, messages waiting 7" in text
    assert "2, 1 with a clock offset" in text
    errors = "14% better than persistence (MSE), MAE 0.200 kW (persistence 0.250)"
    assert f"last day   {errors}, 90.1% interval coverage" in text
    assert "all time   12 outcomes: not enough data" in text
    assert re.search(
        r"^home +1\.234 kW +12:00 +4 s ago +1\.310 kW +0\.620 to 2\.710 +12:05 +\+12% +89%$", text, re.MULTILINE
    )


def test_status_not_ready_shows_the_reason() -> None:
    lines = draw(picture(health=AWAY), None, NOW, PLAIN)
    assert "not ready" in lines[0]
    assert lines[1] == "  mqtt:connection: unreachable: refused"
    assert lines[-1].startswith("no forecasts yet")


def test_status_unknown_values_are_blank() -> None:
    bare = device("attic", lower_kw=None, upper_kw=None, observed_at="2010-11-01T00:29:00Z", sufficient=False)
    lines = draw(picture(bare, device("new") | {"forecast": None}), None, NOW, PLAIN)
    assert re.search(r"^attic +1\.234 kW +2010-11-01 00:29 +4 s ago +1\.310 kW +– +12:05 +– +–$", lines[-2])
    assert re.search(r"^new +1\.234 kW +12:00 +– +– +– +– +\+12% +\+?89%$", lines[-1])


def test_status_first_reading_after_a_gap_has_no_forecast() -> None:
    """The gateway's newest forecast is that from before the gap."""
    after = {"last_reading": {"ts": "2026-01-01T12:07:00Z", "gap_kw": 0.5}}
    lines = draw(picture(device("attic") | after, device("home")), None, NOW, PLAIN)
    assert re.search(r"^attic +0\.500 kW +12:07 +– +– +– +– ", lines[-2])
    assert re.search(r"^home +1\.234 kW +12:00 +4 s ago ", lines[-1])


@pytest.mark.parametrize(
    ("n_observed", "reason"),
    [
        (1, "no forecasts yet: they start with the second reading of a device"),
        (70, "no current forecasts: after a start or a change of the models they begin with a device's next reading"),
    ],
)
def test_status_shows_devices_without_forecasts(n_observed: int, reason: str) -> None:
    devices = [device(f"h{i}") | {"forecast": None, "n_observed": n_observed} for i in range(9)]
    seen = replace(with_windows(picture(*devices), *pages()), intake="Listening to gap/+/reading")
    lines = draw(seen, None, NOW, PLAIN)
    at = lines.index(reason)
    assert lines[at - 1] == "Listening to gap/+/reading"
    assert [line.split()[0] for line in lines[at + 1 :]] == ["DEVICE", *(f"h{i}" for i in range(9))]
    assert any(line.startswith("outlook    home") for line in lines)
    for room in (18, 20, 30):
        assert len(draw(seen, None, NOW, PLAIN, room)) <= room


def test_status_marks_a_filled_reading() -> None:
    lines = draw(picture(device("home"), device("silent") | {"last_reading_filled": True}), None, NOW, PLAIN)
    assert re.search(r"^home +1\.234 kW +12:00 ", lines[-2])
    assert re.search(r"^silent +1\.234 kW \(filled\) +12:00 ", lines[-1])


def test_status_marks_and_counts_offline_devices() -> None:
    silent, never = device("silent") | {"online": False}, device("never") | {"online": None}
    lines = draw(picture(device("home") | {"online": True}, silent, never), None, NOW, PLAIN)
    assert "devices    2, 1 offline, 1 with a clock offset" in lines
    assert [line.split("  ")[0] for line in lines[-3:]] == ["home", "never", "silent (offline)"]
    assert re.search(r"^DEVICE +READING +AT +RECEIVED +FORECAST ", lines[-4])


def test_status_counts_devices_that_do_not_fit() -> None:
    seen = picture(*(device(f"house-{i:03}") for i in range(100)))
    for room in (14, 20, 30):
        lines = draw(seen, None, NOW, PLAIN, room)
        assert len(lines) <= room
        shown = [line.split()[0] for line in lines if line.startswith("house-")]
        assert shown == [f"house-{i:03}" for i in range(len(shown))]
        assert any(line == f"and {100 - len(shown)} more" for line in lines)
    assert draw(picture(device("home"), n_more=4_000), None, NOW, PLAIN)[-1] == "and 4,000 more"


def test_status_shows_rates_since_the_last_update() -> None:
    seen = picture()
    before = replace(seen, readings={"accepted": 12_000.0})
    assert any("(+345)" in line for line in draw(seen, before, NOW, PLAIN))
    restarted = replace(before, started_s=1.0)
    assert not any("(+" in line for line in draw(seen, restarted, NOW, PLAIN))


def test_status_in_colour_has_the_same_text() -> None:
    seen = picture(device("home"), device("old", issued_at="2026-01-01T09:00:00Z"))
    coloured = draw(seen, None, NOW, COLOURED)
    assert [re.sub(r"\033\[\d+m", "", line) for line in coloured] == draw(seen, None, NOW, PLAIN)
    assert coloured[-1].startswith("\033[2mold"), "a device that is quiet is pale"


def test_status_of_an_idle_service() -> None:
    lines = draw(picture(metrics="gapcast_devices 0\n"), None, NOW + timedelta(1), PLAIN)
    assert any("latency –  mean batch size –" in line for line in lines)


REFIT = """\
gapcast_refit_devices 2
gapcast_refit_last_run_timestamp_seconds 1767261665
gapcast_refit_duration_seconds 31.4
gapcast_refit_skill_ratio{error="squared"} 0.404
gapcast_refit_skill_ratio{error="absolute"} 0.246
"""


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (REFIT, "refit      2 devices, last ran 2 h ago, in 31 s; on the newest days +40% by MSE, +25% by MAE"),
        ("gapcast_refit_devices 0\n", "refit      0 devices, not run since the start"),
    ],
)
def test_status_shows_the_refits(metrics: str, expected: str) -> None:
    shown = draw(picture(metrics=METRICS + metrics), None, NOW, PLAIN)
    assert [line for line in shown if line.startswith(expected)]
    assert not [line for line in draw(picture(), None, NOW, PLAIN) if line.startswith("refit")]


def demand(**changes: Any) -> dict[str, Any]:
    """Return the fields of ``GET /demand`` for one device that are shown."""
    return {
        "device": "home", "window_start": "2026-01-01T12:00:00Z", "window_end": "2026-01-01T12:15:00Z",
        "expected_kw": 1.9, "limit_kw": 2.5, "limit_source": "fixed", "p_exceed": 0.12, "headroom_w": 600,
        "elapsed_min": 5, "unmeasured_min": 0, "fuse_kw": None, "valid_until": "2026-01-01T12:05:00Z", **changes,
    }  # fmt: skip


def pages(*demands: dict[str, Any], n: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a page with one outlook, of ``n`` devices in all, and a page of ``demands``."""
    outlook = {
        "device": "home", "issued_at": "2026-01-01T12:00:00.250Z",
        "lead_min": [1, 15, 30, 60], "mean_to_kw": [1.3, 1.2, 1.149, 0.9],
    }  # fmt: skip
    return {"outlooks": [outlook], "n_devices": n}, {"demands": [*demands], "n_devices": len(demands)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "home: 1.90 of 2.50 kW expected 12:00-12:15 UTC (12%), headroom 600 W, valid until 12:05"),
        (
            {"headroom_w": -1_250},
            "home: 1.90 of 2.50 kW expected 12:00-12:15 UTC (12%), headroom -1,250 W, valid until 12:05",
        ),
        (
            {"limit_source": "set"},
            "home: 1.90 of 2.50 kW (set) expected 12:00-12:15 UTC (12%), headroom 600 W, valid until 12:05",
        ),
        ({"limit_kw": None}, "home: 1.90 kW expected 12:00-12:15 UTC, no limit, valid until 12:05"),
        (
            {"limit_kw": None, "fuse_kw": 7.4, "p_fuse": 0.004},
            "home: 1.90 kW expected 12:00-12:15 UTC, no limit, fuse 7.40 kW (<1%), headroom 600 W, valid until 12:05",
        ),
        (
            {"fuse_kw": 4.0, "p_fuse": 0.44, "headroom_w": -900},
            "home: 1.90 of 2.50 kW expected 12:00-12:15 UTC (12%), fuse 4.00 kW (44%), headroom -900 W, "
            "valid until 12:05",
        ),
        (
            {"elapsed_min": 14, "unmeasured_min": 10},
            "home: 1.90 of 2.50 kW expected 12:00-12:15 UTC (12%), headroom 600 W, 10 of 14 min not measured, "
            "valid until 12:05",
        ),
        (
            {"valid_until": "2026-01-01T12:01:05Z"},
            "home: 1.90 of 2.50 kW expected 12:00-12:15 UTC (12%), headroom 600 W, expired 12:01",
        ),
    ],
)
def test_status_shows_outlook_and_demand(changes: dict[str, Any], expected: str) -> None:
    seen = with_windows(picture(device("home")), *pages(demand(**changes)))
    lines = draw(seen, None, NOW, PLAIN)
    at = lines.index("outlook    home: mean of the next 15 min 1.20 kW, 30 min 1.15 kW, 60 min 0.90 kW")
    assert lines[at + 1 : at + 3] == [f"demand     {expected}", ""]


@pytest.mark.parametrize(("minutes", "time"), [(4, ""), (5, ", from 12:00"), (1_440, ", from 2026-01-01 12:00")])
def test_status_shows_the_time_of_an_old_outlook(minutes: int, time: str) -> None:
    seen = with_windows(picture(device("home")), *pages())
    lines = draw(seen, None, datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC) + timedelta(minutes=minutes), PLAIN)
    assert [line for line in lines if line.startswith("outlook") and line.endswith(f"60 min 0.90 kW{time}")]


def test_status_shows_the_warning_of_a_limit_below_its_demand() -> None:
    outlooks, demands = pages(demand())
    words = "home: the limit of 0.10 kW is too low"
    seen = with_windows(picture(device("home")), outlooks, demands | {"limit_warnings": {"home": words}})
    lines = draw(seen, None, NOW, PLAIN)
    at = next(i for i, line in enumerate(lines) if line.startswith("demand"))
    assert lines[at + 1] == f"           {words}"


def test_status_counts_devices_without_a_line_of_their_own() -> None:
    seen = with_windows(picture(device("home")), *pages(n=1_002))
    assert "           and 1,001 more" in draw(seen, None, NOW, PLAIN)
    none = with_windows(picture(device("home")), {"outlooks": [], "n_devices": 2}, {"demands": [], "n_devices": 0})
    assert draw(none, None, NOW, PLAIN) == draw(picture(device("home")), None, NOW, PLAIN)


def test_status_in_a_small_terminal_prefers_the_devices() -> None:
    seen = with_windows(picture(*(device(f"house-{i}") for i in range(9))), *pages(demand()))
    for room in (14, 16, 17, 40):
        lines = draw(seen, None, NOW, PLAIN, room)
        assert len(lines) <= room
        assert any(line.startswith("house-0") for line in lines)
        assert any(line.startswith("demand") for line in lines) == (room >= 18)


@pytest.mark.parametrize("url", ["localhost:8080", "file:///etc/passwd", ""])
def test_status_invalid_address_is_rejected(url: str) -> None:
    with pytest.raises(StatusError, match="--url"):
        RestClient(url)


# --- asking -------------------------------------------------------------------------------------------


class Answers(QuietHandler):
    """Answers by path: a status, and what was sent for authorization."""

    def answer_get(self) -> None:
        if self.path == "/busy":
            self.respond(b'{"detail": "all connections are in use"}', 503, "application/problem+json")
            return
        status = int(self.path.strip("/"))
        body = json.dumps({"token": self.headers.get("Authorization")}).encode() if status in {200, 503} else b"<html>"
        if status in {403, 421}:
            body = json.dumps({"status": status, "detail": "add it to http.allow_from\x1b"}).encode()
        self.respond(body, status)


@pytest.fixture
def address() -> Iterator[str]:
    with serving(Answers) as url:
        yield f"{url}/"


def test_rest_client_sends_the_token_and_accepts_503(address: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the token\n", encoding="utf-8")
    rest = RestClient(address, read_token(file))
    assert rest.document("/200") == rest.document("/503") == {"token": "Bearer the token"}
    assert RestClient(address).document("/200") == {"token": None}
    in_utf_8 = "schlüssel".encode().decode("latin-1")  # the server decodes headers as Latin-1
    assert RestClient(address, "schlüssel").document("/200") == {"token": f"Bearer {in_utf_8}"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_rest_client_to_this_machine_uses_no_proxy(address: str, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # keeps the proxies of its first use
    with serving(Answers) as proxy:  # which fails at a path that is a whole URL
        monkeypatch.setenv("http_proxy", proxy)
        assert RestClient(address.replace("127.0.0.1", host)).document("/200") == {"token": None}


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("/401", "requires a token: pass the file that holds it with --token-file"),
        ("/403", r"/403 returned 403 Forbidden: add it to http.allow_from\\x1b$"),
        ("/421", r"/421 returned 421 Misdirected Request: add it to http.allow_from\\x1b$"),
        ("/busy", "/busy returned 503 Service Unavailable: all connections are in use$"),
        ("/404", r"returned 404 Not Found: is it a gapcast service\?"),
        ("/500", r"is it a gapcast service\?"),
    ],
)
def test_rest_client_bad_answer_is_named_with_a_fix(address: str, route: str, words: str) -> None:
    with pytest.raises(StatusError, match=words):
        RestClient(address).document(route)


def test_rest_client_token_not_accepted_is_named(address: str) -> None:
    with pytest.raises(StatusError, match=r"does not accept this token: check .*--token-file, or http\.token"):
        RestClient(address, "wrong").document("/401")


def test_rest_client_answer_not_json_is_no_gapcast(address: str) -> None:
    with pytest.raises(StatusError, match="did not return JSON"):
        RestClient(address).document("/201")


def test_rest_client_silent_service_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StatusError, match=r"cannot reach http://127\.0\.0\.1:\d+ \(timed out\)"):
            RestClient(url, timeout_s=0.01).text("/livez")
