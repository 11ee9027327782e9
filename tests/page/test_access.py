"""Accessibility by axe and keyboard, and device names as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest

from gapcast.app.models.loaded_models import Models
from gapcast.core.readings.reading import Reading
from gapcast.http.options import HttpOptions
from gapcast.predictors.models_folder.store import load_model
from tests.http.conftest import Rest, serving
from tests.page.conftest import House, Look
from tests.page.pixels import N_PIXELS
from tests.support.brokers import MosquittoBroker
from tests.support.browser import DESKTOP, PHONE, BrowserWindow
from tests.support.gateways import Gateway
from tests.support.models import shipped_models

FIRST = 29_000_000
NAMES = [
    "<img src=x onerror=document.title='taken'>",
    "50% of%2Fit",
    "Küche ☀ & <b>Bad</b>",
    "a/b?c#d",
    '"><script>1</script>',
]


def faults(window: BrowserWindow) -> list[str]:
    """Return the findings of axe, of any severity."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    window.page.evaluate(axe)  # not as a script element: the page's policy lets none in
    found: list[dict[str, Any]] = window.page.evaluate("async () => (await axe.run()).violations")
    return [f"{one['impact']} {one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


#: The share of the chart's pixels that have the colour of text.
_TEXT_SHARE = """() => {
  const probe = document.querySelector('#chart').appendChild(document.createElement('i'));
  probe.style.color = 'CanvasText';
  const text = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const canvas = document.querySelector('#chart canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    n += data[i + 3] > 200 && text.every((value, j) => Math.abs(data[i + j] - value) < 12);
  }
  return n / (data.length / 4);
}"""


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_fault(house: House, look: Look, colours: str, viewport: dict[str, int]) -> None:
    window = look(house.url, color_scheme=colours, viewport=viewport)
    window.page.locator("#chart canvas").wait_for()
    window.page.locator("#table-part summary").click()
    window.page.locator("#rows tr").first.wait_for()
    window.page.locator("#models summary").click()
    window.see("#cards", "parameters")
    assert faults(window) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_fault_without_a_connection(house: House, look: Look, colours: str) -> None:
    window = look(house.url, color_scheme=colours)
    window.page.locator("#chart canvas").wait_for()
    keep = "document.body.classList.toggle = () => true"
    window.page.evaluate(f"document.body.classList.add('stale'); {keep}")
    assert faults(window) == []


def test_axe_finds_no_fault_on_an_empty_page(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    window = look(f"{start(mosquitto).url}/")
    window.see("#empty", "No readings yet")
    assert faults(window) == []
    mosquitto.stop()
    window.see("#problem", "Broker not reachable at ")
    assert faults(window) == []


def test_axe_finds_no_fault_with_the_token_form(
    broker: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    window = look(f"{start(broker, http={'token': 'some-long-secret'}).url}/", color_scheme="dark")
    window.page.locator("#token-form").wait_for()
    assert faults(window) == []
    window.is_expected = lambda error: "401" in error


def test_page_is_usable_by_keyboard(house: House, look: Look) -> None:
    window = look(house.url + "#device=home")
    window.see("#device", "home")
    keyboard = window.page.keyboard

    def go_to(selector: str) -> None:
        for _ in range(30):
            if window.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            keyboard.press("Tab")
        pytest.fail(f"Tab does not come to {selector}")

    go_to(".skip")
    assert window.page.locator(".skip").bounding_box()["y"] >= 0
    keyboard.press("Enter")
    assert window.page.evaluate("document.activeElement.id") == "now"
    assert window.page.url.endswith("#device=home")
    window.see("#device", "home")
    keyboard.press("Shift+Tab")
    go_to("#theme")
    for theme in ("light", "dark", "auto"):
        keyboard.press("Enter")
        window.see("#theme", theme)
    go_to("#ranges button:nth-child(1)")
    keyboard.press("Space")
    window.see("#chart-note", "Last hour")
    go_to("#table-part summary")
    keyboard.press("Enter")
    window.see("#rows", "pending")
    go_to("#filter")
    keyboard.type("at")
    window.see("#count", "1 of 2")
    keyboard.press("ArrowDown")
    active = window.page.locator("#list").get_attribute("aria-activedescendant")
    assert "attic" in window.text(f"#{active}")
    keyboard.press("Enter")
    window.see("#device", "attic")
    window.see("#announcement", "attic is shown.")
    assert window.page.evaluate("document.activeElement.id") == "list"  # the forecast is in sight
    keyboard.press("Shift+Tab")
    go_to("#filter")
    for _ in "at":
        keyboard.press("Backspace")
    window.see("#count", "2")
    go_to("#list")
    keyboard.press("End")
    keyboard.press("Space")
    window.see("#device", "home")


def test_device_chosen_out_of_sight_of_its_forecast_scrolls_to_it(house: House, look: Look) -> None:
    window = look(house.url + "#device=home", viewport=PHONE)
    window.see("#count", "2")
    window.page.locator("#list").focus()
    window.page.keyboard.press("Home")
    window.page.keyboard.press("Enter")
    window.see("#device", "attic")
    assert window.page.evaluate("document.activeElement.id") == "now"  # which announces what was chosen
    window.wait("() => document.querySelector('#now').getBoundingClientRect().top < innerHeight")


def test_page_follows_the_font_size_of_the_browser(house: House, look: Look) -> None:
    window = look("about:blank")
    with_large_text = {"fontSizes": {"standard": 24, "fixed": 20}}
    window.page.context.new_cdp_session(window.page).send("Page.setFontSizes", with_large_text)
    window.open(house.url)
    window.see("#count", "2")
    assert window.page.evaluate("getComputedStyle(document.querySelector('#now-label')).fontSize") == "21px"
    rows = window.page.locator(".device").evaluate_all(
        "rows => rows.map((row) => row.getBoundingClientRect().toJSON())"
    )
    assert rows[0]["bottom"] == pytest.approx(rows[1]["top"])
    assert window.page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]


def test_printed_page_is_light_and_has_its_bars(house: House, look: Look) -> None:
    window = look(house.url)
    window.page.locator("#members .share").first.wait_for()
    for _ in range(2):
        window.page.locator("#theme").click()
    window.see("#theme", "dark")
    window.page.emulate_media(media="print")
    style = "(selector) => { const { color, printColorAdjust } = getComputedStyle(document.querySelector(selector));"
    assert window.page.evaluate(f"{style} return color }}", "#device") == "rgb(23, 32, 44)"
    window.wait(f"(name) => ({N_PIXELS})(name) > 200", "measured")
    window.is_expected = lambda error: "getImageData" in error  # the test's own asking
    for bar in ("#bar-drawn", "#members .share", "#warm progress"):
        assert window.page.evaluate(f"{style} return printColorAdjust }}", bar) == "exact"


@pytest.mark.parametrize("width", [DESKTOP["width"], 320])
def test_names_of_ensemble_members_are_not_cut_off(house: House, look: Look, width: int) -> None:
    window = look(house.url, viewport={"width": width, "height": 640})
    window.page.locator("#members tr").first.wait_for()
    cut = window.page.evaluate(
        """async () => {
          const { showAccuracy } = await import('./page/accuracy.js');
          const weights = { submetered: 0.6, 'a-model-with-a-name-of-fifty-characters-in-one-word': 0.4 };
          const device = { context: 180, n_observed: 180, forecast: { experts: weights, median_experts: weights } };
          showAccuracy({ device, scores: null });
          const isCut = (head) => head.scrollWidth > head.clientWidth || head.scrollHeight > head.clientHeight + 1;
          return [...document.querySelectorAll('#members th')].filter(isCut).length;
        }"""
    )
    assert cut == 0
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_chart_is_readable_in_forced_colours(house: House, look: Look, colours: str) -> None:
    window = look(house.url + "#device=home", forced_colors="active", color_scheme=colours)
    window.page.locator("#chart canvas").wait_for()
    inks = window.page.evaluate(
        """() => {
          const probe = document.querySelector('#chart').appendChild(document.createElement('i'));
          return ['measured', 'forecast', 'band', 'ahead'].map((name) => {
            probe.style.color = `var(--${name})`;
            return getComputedStyle(probe).color;
          });
        }"""
    )
    assert len(set(inks)) == len(inks)
    window.wait(f"() => ({_TEXT_SHARE})() > 0.002")  # it is drawn in a frame
    assert window.page.evaluate(_TEXT_SHARE) < 0.1  # the lines and labels, not the areas
    window.is_expected = lambda error: "getImageData" in error  # the test's own asking


@pytest.fixture(scope="module")
def odd() -> Iterator[Rest]:
    """A service with device names that no broker's topic would carry."""
    model = load_model(shipped_models() / "linear")
    with serving(Models({model.card.name: model}, model), HttpOptions()) as rest:
        rest.push(*(Reading(name, FIRST + minute, 1.5) for name in NAMES for minute in range(3)))
        yield rest


@pytest.mark.parametrize("name", NAMES)
def test_device_name_is_shown_as_text(odd: Rest, look: Look, name: str) -> None:
    window = look(f"http://127.0.0.1:{odd.port}/")
    # A slash in a name leads to a route that does not exist: the events are still shown.
    window.is_expected = lambda error: "404" in error and "%2F" in error
    window.see("#count", str(len(NAMES)))
    window.page.get_by_label("Filter by name").fill(name)
    window.see("#count", f"1 of {len(NAMES)}")
    window.page.locator(".device").click()
    window.wait("(name) => document.querySelector('#device').textContent === name", name)
    window.see("#now-kw", "1.50")
    assert window.page.title() == "gapcast"
    assert window.page.locator("main img, main script, main b").count() == 0
    window.reload()
    window.wait("(name) => document.querySelector('#device').textContent === name", name)
    window.see("#now-kw", "1.50")
