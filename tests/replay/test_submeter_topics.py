"""The topics of replayed submeters, and warnings if a gateway with the same configuration does not read them."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.commands.replay import unread_submeters
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.replay.publisher import submeter_topics

CAR = {"of": "home", "name": "car", "preset": "gapcast", "topic": "plugs/car"}


def settings_of(*submeters: dict[str, Any], **topics: str) -> Settings:
    return Settings.model_validate({"submeters": list(submeters), "topics": topics})


def test_submeter_has_its_configured_topic_else_one_below_the_readings() -> None:
    settings = settings_of(CAR)
    names = ("car", "oven")
    assert submeter_topics(settings, "home", names) == {"car": "plugs/car", "oven": "gap/home/reading/oven"}
    assert submeter_topics(settings, "shop", names)["car"] == "gap/shop/reading/car"
    elsewhere = settings_of(reading="site/{device}/kw")
    assert submeter_topics(elsewhere, "home", ("car",)) == {"car": "site/home/kw/car"}


@pytest.mark.parametrize("name", ["my car", "a/b", "", "+", "x" * 49])
def test_column_that_cannot_name_a_submeter_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a submeter"):
        submeter_topics(settings_of(), "home", (name,))


def warnings(device: str, *submeters: dict[str, Any]) -> list[str]:
    settings = settings_of(*submeters)
    return list(unread_submeters(settings, device, submeter_topics(settings, device, ("car",))))


def test_submeter_that_is_read_has_no_warning() -> None:
    assert warnings("home", CAR) == []


def test_submeter_that_is_not_configured_is_warned_of() -> None:
    (text,) = warnings("shop", CAR)
    assert text.startswith("a gateway with this configuration does not read the submeter car: add [[submeters]]")
    assert 'of = "shop", name = "car", preset = "gapcast" and topic = "gap/shop/reading/car"' in text


@pytest.mark.parametrize("read", [{"preset": "tasmota"}, {"value": "gap_kw", "unit": "W", "time": "ts"}])
def test_submeter_that_is_read_differently_is_warned_of(read: dict[str, Any]) -> None:
    (text,) = warnings("home", {"of": "home", "name": "car", "topic": "plugs/car"} | read)
    assert "reads the submeter car from elsewhere: configure" in text
