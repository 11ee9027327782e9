"""The add-on's AppArmor profile: parser and Supervisor accept it, and it grants no way out of the container."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.optional_tools import ROOT, apparmor_command

ADDON = ROOT / "homeassistant-addon"
PROFILE = ADDON / "apparmor.txt"
#: What the add-on's command needs to drop root (gapcast/commands/addon.py), and Docker's init to forward a signal.
CAPABILITIES = {"chown", "dac_override", "fowner", "kill", "setgid", "setuid"}
#: The state, Python's temporary files, the terminal of ``docker exec``, and the process to kill first.
WRITABLE = {
    "/data/gapcast/", "/data/gapcast/**", "/tmp/**", "/dev/shm/**", "/dev/pts/*", "/dev/tty",
    "@{PROC}/@{pid}/oom_score_adj",
}  # fmt: skip


def rules() -> list[str]:
    """Return the profile's rules without comments and includes, one each."""
    text = PROFILE.read_text(encoding="utf-8")
    body = text[text.index("{\n") + 2 : text.rindex("}")]
    lines = (line.strip() for line in body.splitlines())
    return [line.rstrip(",") for line in lines if line and not line.startswith("#")]


def parse(profile: Path) -> subprocess.CompletedProcess[str]:
    command = apparmor_command()
    assert command is not None
    return subprocess.run(
        [command, "--skip-kernel-load", "--skip-cache", profile], capture_output=True, text=True, check=False
    )


@pytest.mark.apparmor
def test_apparmor_parser_accepts_the_profile() -> None:
    parsed = parse(PROFILE)
    assert parsed.returncode == 0, parsed.stderr


@pytest.mark.apparmor
def test_apparmor_parser_rejects_a_broken_profile(tmp_path: Path) -> None:
    broken = tmp_path / "apparmor.txt"
    broken.write_text(PROFILE.read_text(encoding="utf-8").replace("capability chown,", "capability chwn,"))
    assert parse(broken).returncode != 0


def test_profile_has_the_one_name_the_supervisor_replaces() -> None:
    names = re.findall(r"^profile ([^ ]+)", PROFILE.read_text(encoding="utf-8"), re.MULTILINE)
    config = yaml.safe_load((ADDON / "config.yaml").read_text(encoding="utf-8"))
    assert names == [config["slug"]]
    assert config.get("apparmor", True) is True


def test_profile_grants_only_the_capabilities_it_names() -> None:
    granted = {rule.removeprefix("capability ") for rule in rules() if rule.startswith("capability")}
    assert granted == CAPABILITIES


def test_profile_lets_data_and_scratch_be_written_only() -> None:
    written = set()
    for rule in rules():
        if match := re.fullmatch(r"(/\S*|@\{\S*) ([a-z]+)", rule):
            path, access = match.groups()
            if set(access) & set("wal"):
                written.add(path)
    assert written == WRITABLE


def test_profile_executes_no_shell_and_nothing_writable() -> None:
    executed = [rule.split()[0] for rule in rules() if re.fullmatch(r"/\S* [a-z]*ix", rule)]
    assert executed
    assert not any(re.search(r"(^|/)(sh|bash|dash|\*\*)$|/data|/tmp|/dev/shm", path) for path in executed)


def test_profile_denies_the_ways_out_of_a_container() -> None:
    denied = {rule for rule in rules() if rule.startswith("deny")}
    assert {"deny mount", "deny umount", "deny pivot_root", "deny ptrace (trace)"} <= denied
    assert not {"file", "network", "capability", "mount", "ptrace"} & set(rules())
