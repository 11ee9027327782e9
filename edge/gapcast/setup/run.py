"""Creates a configuration from a few answers and the recorded messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gapcast.check.readings import usual_wait_s
from gapcast.config.files.secret_file import read_secret
from gapcast.config.loader import load
from gapcast.config.settings import Settings
from gapcast.core.documents.field_problem import field_problem
from gapcast.core.errors import SettingsError
from gapcast.presets import PER_TOPIC, with_preset
from gapcast.setup.broker.broker_access import BrokerAccess
from gapcast.setup.broker.broker_connection import BrokerConnection
from gapcast.setup.config_file import PASSWORD_FILE, back_up_existing, check_writable, toml_of, write
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.source_preview import PreviewWarnings, preview
from gapcast.setup.meters.meter_search import MeterSearch
from gapcast.setup.meters.preset_answers import PresetAnswers
from gapcast.setup.meters.source_questions import COUNTER_UNITS, UNITS, SourceQuestions
from gapcast.setup.next_steps import next_steps
from gapcast.setup.prompts import Prompts
from gapcast.setup.time_zone import system_time_zone
from gapcast.text.time_zone_names import similar_time_zones, time_zone_problem

_WORLD, _OWNER = 0o644, 0o600
#: Presets for what may be sent in another unit; a Tasmota or Shelly always sends W.
_ASSUMED_UNIT = (PER_TOPIC, "esphome", "number")
_NATIVE_UNIT = "gap/{device}/reading is in kW: let the meter send kW, or to another topic (docs/meters.md)"


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
        check_writable(answers.config)
        own_zone = system_time_zone(self._environment)
        connection = BrokerConnection(prompts, self._show, tls=answers.tls)
        access = answers.with_account(answers.broker or connection.ask_address("localhost"))
        search = MeterSearch(answers, prompts, self._show, self._progress, answers.timezone or own_zone)
        recording, chosen = search.search(connection, access)
        zone = answers.timezone or self._ask_time_zone(own_zone)
        sources = SourceQuestions(prompts, self._show, answers.devices).sources(chosen, recording, zone)
        sections = self._sections(access, zone, sources, recording)
        self._review(sections, recording)
        text = toml_of(sections)
        self._show(f"\n{text}")
        if not prompts.confirm(f"Write this to {answers.config}?", default=True):
            self._show("Nothing was written.")
            return
        wait_s = usual_wait_s(self._write(text, access.password))
        for line in next_steps(answers.config, access, wait_s=wait_s, by_sudo="SUDO_USER" in self._environment):
            self._show(line)

    def _confirm_replacement(self) -> None:
        """First ask whether an existing configuration, or another password beside it, may be replaced."""
        config, prompts, password = self._answers.config, self._prompts, self._answers.password
        existing = config if config.exists() else config.parent / PASSWORD_FILE
        is_password_written = bool(password) or prompts.is_interactive
        is_kept = existing != config and (not is_password_written or _contains(existing, password))
        if self._replacing or is_kept or not existing.exists():
            return
        if not prompts.is_interactive:
            msg = f"{existing} already exists: choose another with --config, or pass --overwrite"
            raise SettingsError(msg)
        self._replacing = prompts.confirm(f"{existing} already exists. Replace it at the end?", default=False)
        if not self._replacing:
            msg = f"{existing} was not changed; choose another file with --config"
            raise SettingsError(msg)

    def _ask_time_zone(self, default: str) -> str:
        """Ask for the time zone until it is valid; the default after a misspelt zone is the most similar one."""
        prompts = self._prompts
        if not prompts.is_interactive:
            self._show(f"Time zone: {default} (this machine's; another by --timezone).")
            return default
        while True:
            zone = prompts.text("Time zone of the house", default, "--timezone")
            if (problem := time_zone_problem(zone)) is None:
                return zone
            self._show(f"  {problem}")
            default = next(iter(similar_time_zones(zone)), default)

    # --- the sections of the configuration ----------------------------------------------------

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
        """Show what the configuration reads, and correct units and timestamps by the user's answers."""
        prompts, sources = self._prompts, sections["sources"]
        while True:
            units, clocks, implausible = self._preview(sections, recording)
            for warning in units + clocks:
                self._show(f"  ! {warning}")
            if not prompts.is_interactive:
                self._check_units(sources, implausible)
            if not prompts.is_interactive or not recording.n_messages:
                return
            timed = [one for one in sources if one.get("time_form") != "arrival" and "time" in with_preset(one)]
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
                for source in sources:
                    if _is_native(source):
                        self._show(f"  ! {_NATIVE_UNIT}")
                        continue
                    which = "the meter" if len(sources) == 1 else _name_of(source)
                    given = source.get("unit")
                    choices = COUNTER_UNITS if given in COUNTER_UNITS else UNITS
                    source["unit"] = prompts.text(f"Which unit does {which} send?", given, "--unit", choices)
                if all(map(_is_native, sources)):
                    return

    def _check_units(self, sources: list[dict[str, Any]], implausible: Mapping[str, str]) -> None:
        """Raise :class:`SettingsError` for an implausible power in a unit that was assumed instead of given."""
        if all(meter.unit is not None for meter in self._answers.meters):
            return
        for source in sources:
            topic = with_preset(source)["topic"]
            is_stated = source.get("preset") == PER_TOPIC and "unit" in source  # by Home Assistant
            is_assumed = source.get("preset", PER_TOPIC) in _ASSUMED_UNIT and not is_stated
            if is_assumed and topic in implausible:
                msg = f"{implausible[topic]} (pass --unit W or --unit kW to confirm the unit)"
                raise SettingsError(msg)

    def _preview(self, sections: dict[str, Any], recording: MessageRecording) -> PreviewWarnings:
        without_password = sections | {"mqtt": {k: v for k, v in sections["mqtt"].items() if k != "password_file"}}
        try:
            if recording.n_messages:
                self._show("gapcast reads with this configuration:")
            return preview(without_password, recording, self._show)
        except ValidationError as error:
            raise SettingsError(field_problem(error.errors()[0])) from error

    # --- output -------------------------------------------------------------------------------

    def _write(self, text: str, password: str | None) -> Settings:
        """Write the configuration and the password; return the settings as ``gapcast run`` will read them."""
        config = self._answers.config
        if password:
            file = config.parent / PASSWORD_FILE
            write(file, password + "\n", _OWNER, replacing=self._replacing or _contains(file, password))
        former = back_up_existing(config) if self._replacing else None
        write(config, text, _WORLD, replacing=self._replacing)
        if former is not None:
            self._show(f"The previous configuration is saved as {former}: copy your own keys from there.")
        return load(config, {}, {})


def _contains(file: Path, password: str | None) -> bool:
    """Return whether ``file`` exists and contains this password."""
    try:
        return read_secret("mqtt.password", file) == password
    except SettingsError:
        return False


def _name_of(source: Mapping[str, Any]) -> str:
    """Return the device of a source, or its topic if it reads several devices."""
    device, topic = source.get("device"), source.get("topic")
    return str(topic or source["preset"] if device is None or "{" in device else device)


def _is_native(source: Mapping[str, Any]) -> bool:
    """Return whether ``source`` reads gapcast's own payload, which has no unit to choose."""
    return with_preset(source).get("format") == "gapcast"
