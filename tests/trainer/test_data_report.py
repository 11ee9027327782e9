"""The data report: its measures, findings and self-contained page."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.recordings.formats import uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import Series, minute_series
from gapcast_trainer.data_report.findings import findings as sentences
from gapcast_trainer.data_report.measures import DataMeasures, measure
from gapcast_trainer.data_report.page import data_report
from gapcast_trainer.data_report.pictures import change, distribution
from tests.support.uci_files import household, rows, write_text

NAN = float("nan")
#: 2024-01-01T00:00:00Z, a Monday.
MONDAY = 28_401_120
HORIZON_MIN = 5
VOID = {"meta", "link", "img", "br"}


class _Page(HTMLParser):
    """Parses a page and collects its faults."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        self.addresses += [value for key in ("src", "href") if (value := values.get(key)) is not None]
        assert tag not in {"script", "iframe", "object"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def measured(gap_kw: list[float] | np.ndarray, first_minute: int = MONDAY, zone: str = "UTC") -> DataMeasures:
    return measure(Series(first_minute, np.asarray(gap_kw, dtype=float)), HORIZON_MIN, ZoneInfo(zone))


def of(folder: Path, kw: list[float]) -> tuple[Series, Report]:
    return minute_series(uci.read(write_text(folder / "raw.txt", rows(kw))))


@pytest.fixture(scope="module")
def page(small: CleanFile) -> _Page:
    return _Page(data_report(small.series, small.report, HORIZON_MIN, ZoneInfo("Europe/Paris"), "house.parquet")[0])


def test_report_page_is_valid_and_self_contained(page: _Page) -> None:
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)


def test_report_of_almost_constant_power_has_histograms() -> None:
    """Means of a minute differ by rounding: 0.1 + 0.2 is not 0.3."""
    series = Series(MONDAY, np.where(np.arange(2_000) % 7 == 0, 0.1 + 0.2, 0.3))
    measures = measure(series, HORIZON_MIN, ZoneInfo("UTC"))
    assert measures.changes is not None
    for shown in (distribution(series, measures), change(measures.changes)):
        assert shown.alt.startswith("Histogram of ")


def test_report_pictures_have_alternative_text(page: _Page) -> None:
    assert len(page.images) == 6
    for image in page.images:
        assert len(image["alt"] or "") > 40
        kind, _, content = (image["src"] or "").partition(";base64,")
        assert kind == "data:image/svg+xml"
        root = ElementTree.fromstring(b64decode(content))  # noqa: S314 - our own
        assert root.tag.endswith("svg")


def test_report_describes_the_file(page: _Page, small: CleanFile) -> None:
    for text in ("Data report: house.parquet", small.report.sha256, "9,000 (6 d 6 h)", "98.83 %", "Europe/Paris"):
        assert text in page.text
    assert "2020-01-05T04:00:00Z" in page.text  # the longest gap: 90 minutes from minute 6,000 on
    assert "1 h 30 min" in page.text
    assert "voltage_v" in page.text


@pytest.fixture(scope="module")
def hostile_pages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The report of a file with markup in its names, made twice."""
    series, report = of(tmp_path_factory.mktemp("names"), household(300).tolist())
    named = replace(report, source="<b>my & meter</b>")
    return [data_report(series, named, HORIZON_MIN, name="<x>.parquet")[0] for _ in range(2)]


@pytest.mark.long
def test_report_is_deterministic(hostile_pages: list[str]) -> None:
    assert hostile_pages[0] == hostile_pages[1]


def test_report_escapes_names(hostile_pages: list[str]) -> None:
    found = hostile_pages[0]
    assert "<b>my" not in found
    assert "&lt;b&gt;my &amp; meter&lt;/b&gt;" in found
    assert "<x>" not in found


@pytest.mark.parametrize("kw", [[1.0, 2.0], [0.0, 0.0, 0.0], [1.0, NAN, NAN, 1.0], [-1.0, *[NAN] * 1_500, 2.0]])
def test_report_of_a_tiny_file(tmp_path: Path, kw: list[float]) -> None:
    page, _ = data_report(*of(tmp_path, kw), HORIZON_MIN)
    assert _Page(page).open == []


def test_report_five_minute_change_is_persistences_error() -> None:
    kw = household(2_000)
    kw[700:720] = NAN
    changes = measured(kw).changes
    assert changes is not None
    errors = [kw[t + 5] - kw[t] for t in range(1_995) if not np.isnan(kw[t + 5] + kw[t])]
    assert changes.change_kw.tolist() == errors
    assert changes.mse_kw2 == pytest.approx(np.mean(np.square(errors)))
    assert changes.mae_kw == pytest.approx(np.mean(np.abs(errors)))
    assert 0.5 < changes.largest_share_of_mse < 1


def test_report_filled_minute_is_no_outcome_of_persistence() -> None:
    """As in every score, so that a model is compared with the same figure."""
    kw = np.arange(100.0) ** 2
    filled = np.isin(np.arange(100), (50, 51))
    changes = measure(Series(MONDAY, kw, filled=filled), HORIZON_MIN).changes
    assert changes is not None
    assert changes.change_kw.tolist() == [kw[at + 5] - kw[at] for at in range(95) if at not in (45, 46)]


def test_report_days_and_weeks_use_local_time() -> None:
    """Power is 5 kW from 18:00 to 19:00 UTC on Mondays, which is 13:00 to 14:00 in New York in winter."""
    kw = np.full(14 * 1_440, 0.5)
    for week in range(2):
        kw[week * 10_080 + 1_080 : week * 10_080 + 1_140] = 5.0
    at_utc, in_new_york = measured(kw), measured(kw, zone="America/New_York")
    assert np.argwhere(at_utc.week_kw == 5.0).tolist() == [[0, 18]]
    assert np.argwhere(in_new_york.week_kw == 5.0).tolist() == [[0, 13]]
    assert np.flatnonzero(at_utc.day_kw[2] > 0.5).tolist() == [72, 73, 74, 75]
    assert np.flatnonzero(in_new_york.day_kw[2] > 0.5).tolist() == [52, 53, 54, 55]


def test_report_coverage_by_day_or_month() -> None:
    kw = np.ones(3 * 1_440)
    kw[1_440 : 1_440 + 720] = NAN
    coverage = measured(kw, MONDAY + 720).coverage
    assert (coverage.period, coverage.share.tolist()) == ("day", [1.0, 0.5, 1.0, 1.0])
    assert [str(start) for start in coverage.starts] == [
        "2024-01-01T12:00", "2024-01-02T00:00", "2024-01-03T00:00", "2024-01-04T00:00",
    ]  # fmt: skip
    kw = np.ones(121 * 1_440)
    kw[31 * 1_440 : 60 * 1_440] = NAN
    coverage = measured(kw).coverage
    assert (coverage.period, coverage.share.tolist()) == ("month", [1.0, 0.0, 1.0, 1.0])


def found_in(folder: Path, kw: list[float], **changed: Any) -> str:
    series, report = of(folder, kw)
    return "\n".join(sentences(replace(report, **changed), measure(series, HORIZON_MIN)))


def test_report_lists_findings(tmp_path: Path) -> None:
    usual = household(3_000).tolist()
    assert re.search(r"cut off|stopped|feeds in|rather than W|usually sent|missing,", found_in(tmp_path, usual)) is None
    assert "the meter may cut off there" in found_in(tmp_path, np.minimum(usual, 0.5).tolist())
    assert "every reading is 0.7 kW" in found_in(tmp_path, [*usual, *[0.7] * 200])
    assert "the house feeds in" in found_in(tmp_path, [*usual, -0.2])
    assert "was the file in kW rather than W" in found_in(tmp_path, [kw / 1_000 for kw in usual])
    assert "rather than W" not in found_in(tmp_path, [-kw for kw in usual])
    assert "usually sent a value every 300 s" in found_in(tmp_path, usual, usual_s=300.0)
    gaps = found_in(tmp_path, [*usual, NAN, 1.0, *[NAN] * 300, 1.0])
    assert "So many are missing" in gaps
    filled = "Filled by linear interpolation: 1 gap of at most 5 minutes."
    assert f"in 2 gaps. {filled} The window restarts after 1 longer gap." in gaps
    assert "gains most from predicting a few large switches" in found_in(tmp_path, usual)
    noise = np.random.default_rng(1).uniform(0.1, 3.0, 2_000).round(3)
    assert "not dominated by a few large switches" in found_in(tmp_path, noise.tolist())
    assert "a model cannot learn from this file" in found_in(tmp_path, [1.0, 2.0])
