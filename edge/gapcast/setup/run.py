"""Creates a configuration from a few answers and the recorded messages."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from gapcast.config.loader import DEFAULT_FILE, load
from gapcast.core.errors import SettingsError
from gapcast.presets import presets
from gapcast.setup.broker_access import EVERYTHING, BrokerAccess
from gapcast.setup.config_file import PASSWORD_FILE, toml_of, write
from gapcast.setup.message_recording import MessageRecording
from gapcast.setup.meter_search import MeterSearch
from gapcast.setup.preset_answers import PresetAnswers
from gapcast.setup.preset_recognition import Candidate
from gapcast.setup.prompts import Prompts
from gapcast.setup.source_selection import UNITS, preview, with_interval, with_unit
from gapcast.setup.time_zone import system_time_zone
from gapcast.systemd.unit import DEFAULT_CONFIG, is_hidden

_WORLD, _OWNER = 0o644, 0o600


class Setup:
    """One run of ``gapcast setup``."""

    def __init__(
        self,
        answers: PresetAnswers,
        prompts: Prompts,
        show: Callable[[str], None],
        progress: Callable[[str], None],
        environment: Mapping[str, str],
    ) -> None:
        self._answers = answers
        self._prompts = prompts
        self._show = show
        self._progress = progress
        self._environment = environment
        self._replacing = answers.overwrite

    def run(self) -> None:
        """Prompt, listen, show the configuration, write it. Nothing is written before the end.

        Raises :class:`BrokerError` if there is no broker or no meter, and :class:`SettingsError` if an answer is wrong
        or missing.
        """
        answers, prompts = self._answers, self._prompts
        self._confirm_replacement()
        access = answers.access or BrokerAccess.parse(
            prompts.text("Broker (host name or address, optionally :port)", "localhost", "--broker")
        )
        topic = self._topic()
        zone = answers.timezone or prompts.text(
            "Time zone of the house", system_time_zone(self._environment), "--timezone"
        )
        recording, chosen, topic = MeterSearch(answers, prompts, self._show, self._progress, zone).search(access, topic)
        sources = [self._source(one, recording, topic) for one in chosen] or [self._source_without_messages(topic)]
        sections = self._sections(access, zone, sources, recording)
        self._review(sections, recording)
        text = toml_of(sections)
        self._show(f"\n{text}")
        if not prompts.confirm(f"Write this to {answers.config}?", default=True):
            self._show("Nothing was written.")
            return
        self._write(text, access.password)
        self._show_next_steps(access)

    def _confirm_replacement(self) -> None:
        """Ask first whether an existing configuration may be replaced."""
        config = self._answers.config
        if self._replacing or not config.exists():
            return
        if not self._prompts.is_interactive:
            msg = f"{config} already exists: choose another with --config, or pass --overwrite"
            raise SettingsError(msg)
        self._replacing = self._prompts.confirm(f"{config} already exists. Replace it at the end?", default=False)
        if not self._replacing:
            msg = f"{config} was not changed; choose another file with --config"
            raise SettingsError(msg)

    def _topic(self) -> str:
        answers = self._answers
        if answers.topic is not None:
            return answers.topic
        if answers.preset is not None or not self._prompts.is_interactive:
            return EVERYTHING
        return self._prompts.text("Topic of the meter (# subscribes to all topics)", EVERYTHING, "--topic")

    # --- the sections of the configuration ----------------------------------------------------

    def _source(self, candidate: Candidate, recording: MessageRecording, topic: str) -> dict[str, Any]:
        source = with_interval(with_unit(candidate, self._answers.unit, self._prompts), candidate, recording)
        if "{device}" in topic and "preset" not in source:
            source = {"topic": topic, **{key: source[key] for key in source if key not in {"topic", "device"}}}
        elif "device" in source or self._answers.device:
            likely = self._answers.device or self._prompts.text("Name of this device", source["device"], "--device")
            source["device"] = likely
        return source

    def _source_without_messages(self, topic: str) -> dict[str, Any]:
        """Return a source from the answers alone."""
        answers, prompts = self._answers, self._prompts
        name = answers.preset or (None if answers.topic and not prompts.is_interactive else self._prompt_preset())
        if name is not None:
            own = {} if topic == EVERYTHING else {"topic": topic}
            return {"preset": name} | own | ({"device": answers.device} if answers.device else {})
        source: dict[str, Any] = {"topic": topic}
        if answers.device or "{device}" not in topic:
            source["device"] = answers.device or "home"
        source |= {"value": answers.value} if answers.value else {"format": "number"}
        return source | {"unit": answers.unit or prompts.text("W or kW?", None, "--unit", UNITS)}

    def _prompt_preset(self) -> str:
        return self._prompts.text("Which meter is it (docs/meters.md)", None, "--preset", sorted(presets()))

    def _sections(
        self, access: BrokerAccess, zone: str, sources: list[dict[str, Any]], recording: MessageRecording
    ) -> dict[str, Any]:
        home = self._answers.home_assistant
        if home is None:
            home = self._prompts.confirm("Show the forecasts in Home Assistant?", default=recording.home_assistant)
        mqtt = access.section() | ({"password_file": PASSWORD_FILE} if access.password else {})
        return {
            "mqtt": mqtt,
            "site": {"timezone": zone},
            **({"homeassistant": {"enabled": True}} if home else {}),
            "sources": sources,
        }

    def _review(self, sections: dict[str, Any], recording: MessageRecording) -> None:
        """Show what the configuration reads, and correct units and timestamps as the user answers."""
        prompts, sources = self._prompts, sections["sources"]
        while True:
            units, clocks = self._preview(sections, recording)
            for warning in units + clocks:
                self._show(f"  ! {warning}")
            if not prompts.is_interactive or not recording.n_messages:
                return
            timed = [one for one in sources if one.get("time_form") != "arrival" and _has_time(one)]
            if (
                clocks
                and timed
                and prompts.confirm("Use the time of arrival instead of the meter's timestamps?", default=True)
            ):
                for source in timed:
                    source["time_form"] = "arrival"
            elif prompts.confirm("Are these power values correct?", default=not units):
                return
            else:
                unit = prompts.text("Which unit does the meter send?", None, "--unit", UNITS)
                for source in sources:
                    source["unit"] = unit

    def _preview(self, sections: dict[str, Any], recording: MessageRecording) -> tuple[list[str], list[str]]:
        without_password = sections | {"mqtt": {k: v for k, v in sections["mqtt"].items() if k != "password_file"}}
        try:
            if recording.n_messages:
                self._show("gapcast reads with this configuration:")
            return preview(without_password, recording, self._show)
        except ValidationError as error:
            first = error.errors()[0]
            msg = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
            raise SettingsError(msg) from error

    # --- output -------------------------------------------------------------------------------

    def _write(self, text: str, password: str | None) -> None:
        config = self._answers.config
        if password:
            write(config.parent / PASSWORD_FILE, password + "\n", _OWNER, replacing=self._replacing)
        write(config, text, _WORLD, replacing=self._replacing)
        load(config, {}, {})  # as gapcast run will do

    def _show_next_steps(self, access: BrokerAccess) -> None:
        config = self._answers.config
        named = "" if config == DEFAULT_FILE else f" --config {shlex.quote(str(config))}"
        secret = (
            f", and the password to {config.parent / PASSWORD_FILE} (readable by you only)" if access.password else ""
        )
        moved = ""
        if is_hidden(config):
            moved = f"sudo install -D -m 644 {shlex.quote(str(config))} {DEFAULT_CONFIG} && "
            if access.password:
                password = config.parent / PASSWORD_FILE
                moved += f"sudo install -m 600 {shlex.quote(str(password))} {DEFAULT_CONFIG.parent}/ && "
        option = (
            "" if moved or config.absolute() == DEFAULT_CONFIG else f" --config {shlex.quote(str(config.absolute()))}"
        )
        unit = f"{moved}gapcast systemd-unit{option} | sudo tee /etc/systemd/system/gapcast.service"
        login = f" -u {shlex.quote(access.username)} -P …" if access.username else ""
        self._show(f"\nWritten to {config}{secret}.\n")
        self._show(f"Test it    gapcast check{named} --wait 70")
        self._show(f"Import     gapcast import FILE --device NAME{named}   (optional: learn from past weeks first)")
        self._show(f"Run it     gapcast run{named}")
        self._show("See it     gapcast status")
        self._show(f"           mosquitto_sub -h {access.host} -p {access.port}{login} -v -t 'gap/+/forecast'")
        self._show(f"Install    {unit} && sudo systemctl enable --now gapcast")


def _has_time(source: Mapping[str, Any]) -> bool:
    return "time" in source or "time" in presets().get(source.get("preset", ""), {})
