"""``gapcast setup --yes``: every answer is an option, validated before anything else happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gapcast.presets import presets
from tests.integration.test_tls import HERE, secured
from tests.setup.conftest import METERS, PASSWORD, TEMPERATURE, Script, sending, written
from tests.support.brokers import MosquittoBroker
from tests.support.certificates import Authority
from tests.support.ports import LOOPBACK, free_port

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]


def test_setup_finds_every_documented_meter(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    messages = [(topic, payload) for meter in METERS for topic, payload in meter["sends"]]
    with sending(mosquitto, [*messages, TEMPERATURE]):
        done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", enough=10 * len(messages))
    assert done.returncode == 2
    assert "several meters were found: select one with --preset or --topic" in done.stderr
    for preset in presets():
        assert re.search(rf"^ +\d+  {preset} on .*: .* kW", done.stdout, re.MULTILINE), f"{preset}: {done.stdout}"
    assert "attic" not in done.stdout
    assert not list(folder.iterdir())


def test_setup_unattended_reads_all_answers_from_options(
    script: Script, folder: Path, guarded: MosquittoBroker
) -> None:
    secret = folder.parent / "secret"
    secret.write_text(PASSWORD, encoding="utf-8")
    options = [
        "setup", "--yes", "--broker", f"{LOOPBACK}:{guarded.port}", "--username", "gapcast", "--password-file", secret,
        "--topic", "lab/{device}/data", "--value", "ac.p", "--unit", "W", "--timezone", "Europe/Lisbon",
        "--home-assistant", "--config", "made/gapcast.toml",
    ]  # fmt: skip
    with sending(guarded, [("lab/oven/data", '{"ac": {"p": 1250, "q": 3}}')], username="meter", password=PASSWORD):
        done = script(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    document = written(folder / "made")
    assert document["sources"] == [{"topic": "lab/{device}/data", "value": "ac.p", "unit": "W", "every_s": 1}]
    assert document["site"] == {"timezone": "Europe/Lisbon"}
    assert (folder / "made" / "mqtt-password").read_text(encoding="utf-8").strip() == PASSWORD
    again = script(*options)
    assert again.returncode == 2
    assert "pass --overwrite" in again.stderr


def test_setup_unattended_does_not_replace_another_password(
    script: Script, folder: Path, guarded: MosquittoBroker
) -> None:
    secret, kept = folder.parent / "secret", folder / "mqtt-password"
    secret.write_text(PASSWORD, encoding="utf-8")
    kept.write_text("another\n", encoding="utf-8")
    broker = ["--broker", f"{LOOPBACK}:{guarded.port}", "--username", "gapcast"]
    options = ["setup", "--yes", *broker, "--preset", "tasmota", "--wait", "0", "--password-file"]
    done = script(*options, secret)
    assert (done.returncode, done.stdout) == (2, ""), "it fails before it connects"
    assert "mqtt-password already exists: choose another with --config, or pass --overwrite" in done.stderr
    assert kept.read_text(encoding="utf-8") == "another\n"
    assert script(*options, secret, "--overwrite").returncode == 0
    assert kept.read_text(encoding="utf-8") == f"{PASSWORD}\n"


def test_setup_overwriting_keeps_the_former_configuration(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    """It may have sections that setup does not write, such as a limit, or the token for HTTP."""
    former = '[http]\ntoken = "s3cret-word"\n'
    for name in ("gapcast.toml", "gapcast.toml.before"):
        (folder / name).write_text(former if name == "gapcast.toml" else "# older\n", encoding="utf-8")
    (folder / "gapcast.toml").chmod(0o600)
    options = ["--broker", f"{LOOPBACK}:{mosquitto.port}", "--preset", "tasmota", "--wait", "0", "--overwrite"]
    done = script("setup", "--yes", *options)
    assert done.returncode == 0, done.stderr
    assert (folder / "gapcast.toml.before").read_text(encoding="utf-8") == "# older\n"
    kept = folder / "gapcast.toml.before-2"
    assert (kept.read_text(encoding="utf-8"), kept.stat().st_mode & 0o777) == (former, 0o600)
    assert "The previous configuration is saved as gapcast.toml.before-2:" in done.stdout
    assert "http" not in written(folder)


def test_setup_unattended_uses_the_existing_password(script: Script, folder: Path, guarded: MosquittoBroker) -> None:
    secret = folder / "mqtt-password"
    secret.write_text(PASSWORD, encoding="utf-8")
    broker = ["--broker", f"{LOOPBACK}:{guarded.port}", "--username", "gapcast", "--password-file", secret]
    done = script("setup", "--yes", *broker, "--preset", "tasmota", "--wait", "0")
    assert done.returncode == 0, done.stderr
    assert secret.stat().st_mode & 0o777 == 0o600
    assert written(folder)["mqtt"]["password_file"] == "mqtt-password"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 1, "nothing listens at this address: start the broker"),
        (["--preset", "tasmot"], 2, "unknown preset 'tasmot'; available: amsreader, dsmr-reader, "),
        (["--password-file", "/nowhere"], 2, "--password-file: /nowhere cannot be read (No such file or directory)"),
        (["--broker", "house:port"], 2, "'house:port' is not a broker address"),
        (["--broker", "house:70000"], 2, "'house:70000' is not a broker address"),
        (["--broker", "no-such-host.invalid"], 1, "host not found: no-such-host.invalid"),
        (["--timezone", "Berlin"], 2, '--timezone: there is no time zone "Berlin": did you mean Europe/Berlin?'),
        (["--device", "my meter"], 2, "--device: 'my meter' cannot name a device: use 1 to 64 of A-Z a-z 0-9 _ - ."),
        (["--topic", "tele/#/SENSOR"], 2, "--topic: 'tele/#/SENSOR' is not a topic: # is the last level only"),
        (["--topic", "lab/x", "--value", "a + a"], 2, "--value: 'a + a' names a path twice"),
        (["--config", "/dev/null/gapcast.toml"], 2, "cannot write /dev/null/gapcast.toml (/dev/null is not a folder)"),
    ],
)
def test_setup_errors_name_a_fix(options: list[str], code: int, words: str, script: Script, folder: Path) -> None:
    broker = [] if "--broker" in options else ["--broker", f"{LOOPBACK}:{free_port()}"]
    done = script("setup", "--yes", *broker, *options)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "power" not in done.stdout + done.stderr, "a wrong answer is not blamed on the messages"
    assert not list(folder.iterdir())


def test_setup_unattended_rejects_a_wrong_password(script: Script, folder: Path, guarded: MosquittoBroker) -> None:
    (folder.parent / "secret").write_text("wrong", encoding="utf-8")
    account = ["--username", "gapcast", "--password-file", folder.parent / "secret"]
    done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{guarded.port}", *account)
    assert done.returncode == 1
    assert 'the broker does not accept "gapcast" with this password (--username, --password-file)' in done.stderr


def test_setup_connects_with_tls(script: Script, folder: Path, tmp_path: Path, authority: Authority) -> None:
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE)) as (port, _):
        arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{port}", "--preset", "tasmota", "--wait", "0"]
        refused = script(*arguments, "--tls")
        assert (refused.returncode, list(folder.iterdir())) == (1, [])
        assert "mqtt.tls.ca_path" in refused.stderr
        done = script(*arguments, "--ca", authority.certificate)
    assert done.returncode == 0, done.stderr
    assert written(folder)["mqtt"]["tls"] == {"enabled": True, "ca_path": str(authority.certificate)}
    contrary = script(*arguments, "--ca", authority.certificate, "--no-tls")
    assert "is for TLS, which --no-tls switches off: omit one of them" in contrary.stderr


def test_setup_sends_a_client_certificate(script: Script, folder: Path, tmp_path: Path, authority: Authority) -> None:
    ours, identity = authority.issue("gateway", alternative="DNS:gateway"), authority.issue("broker", alternative=HERE)
    with secured(tmp_path, authority, identity, "require_certificate true") as (port, _):
        arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{port}", "--preset", "tasmota", "--wait", "0"]
        arguments += ["--ca", str(authority.certificate)]
        refused = script(*arguments)
        assert (refused.returncode, list(folder.iterdir())) == (1, [])
        assert "pass it with --certificate and --key" in refused.stderr
        done = script(*arguments, "--certificate", ours.certificate, "--key", ours.key)
    assert done.returncode == 0, done.stderr
    assert written(folder)["mqtt"]["tls"] == {
        "enabled": True, "ca_path": str(authority.certificate),
        "certificate_path": str(ours.certificate), "key_path": str(ours.key),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key", "gw.key"], "--key gw.key: is the key of a client certificate: add --certificate"),
        (["--certificate", "gw.pem", "--no-tls"], "--certificate gw.pem: is for TLS, which --no-tls switches off"),
    ],
)
def test_setup_rejects_client_certificate_options_alone(options: list[str], words: str, script: Script) -> None:
    done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{free_port()}", *options)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (["--topic", "lab/{device}/w", "--unit", "W"], {"topic": "lab/{device}/w", "format": "number", "unit": "W"}),
        (
            ["--topic", "lab/x", "--value", "ac.p", "--unit", "kW", "--device", "pump"],
            {"topic": "lab/x", "device": "pump", "value": "ac.p", "unit": "kW"},
        ),
        (["--preset", "p1-esp", "--device", "house"], {"preset": "p1-esp", "device": "house"}),
    ],
)
def test_setup_unattended_writes_a_meter_not_sending_yet(
    options: list[str], source: dict[str, str], script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0", *options)
    assert done.returncode == 0, done.stderr
    assert written(folder)["sources"] == [source]


def test_setup_unattended_without_messages_writes_nothing(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--preset", "dsmr-reader"]
    done = script(*arguments, "--wait", "0.2")
    assert done.returncode == 1
    assert "--wait 0 writes without waiting for a meter" in done.stderr
    assert "no meter was detected for --preset dsmr-reader within 0.2 s" in done.stderr
    assert "listen longer, such as --wait 700 for a meter that sends every 5 minutes" in done.stderr
    assert not list(folder.iterdir())
    assert script(*arguments, "--wait", "0").returncode == 0
    assert written(folder)["sources"] == [{"preset": "dsmr-reader"}]


def test_setup_without_a_terminal_asks_for_options(script: Script) -> None:
    done = script("setup")
    assert done.returncode == 2
    assert "answer them with options and pass --yes" in done.stderr
