"""The add-on's command as the Supervisor starts it: as root, with options that only root may read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.addon.test_addon import CONFIG, SERVICE, Answering, supervisor
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker
from tests.support.peers import peer_of
from tests.support.systemd import COMMAND, booted

__all__ = ["supervisor"]

UNIT = f"""
[Service]
Type=notify
TimeoutStartSec=infinity
Environment=STATE_DIRECTORY=/var/lib/gapcast SUPERVISOR_URL={{url}} SUPERVISOR_TOKEN={{token}} TZ=Europe/Paris
ExecStart={COMMAND} addon --options /etc/gapcast/options.json
"""


@pytest.mark.e2e
@pytest.mark.systemd
def test_addon_reads_options_as_root_and_serves_as_nobody(
    mosquitto: MosquittoBroker,
    supervisor: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = SERVICE | {"host": mosquitto.host, "port": mosquitto.port, "username": "", "password": ""}
    monkeypatch.setattr(Answering, "document", {"result": "ok", "data": broker})
    folder = tmp_path / "machine"
    options = folder / "etc/gapcast/options.json"
    options.parent.mkdir(parents=True)
    options.write_text(json.dumps(CONFIG["options"] | {"meters": [{"preset": "gapcast"}]}), encoding="utf-8")
    options.chmod(0o600)
    unit = UNIT.format(url=supervisor["SUPERVISOR_URL"], token=supervisor["SUPERVISOR_TOKEN"])
    with peer_of(mosquitto.host, mosquitto.port) as peer, booted(folder, unit) as machine:
        peer.subscribe("gap/+/forecast")
        peer.subscribe("gapcast/+/status")
        machine.wait_shown("ActiveState", "active")
        peer.wait_that(lambda came: [m for m in came if m.payload == b"online"], "the gateway to be online")
        for i in range(2):
            peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
        assert peer.wait_for("gap/home/forecast")[0].document["device"] == "home"
        status = machine.inside("cat", f"/proc/{machine.shown('MainPID')}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == fields["Gid"].split() == ["10001"] * 4
        assert int(fields["CapEff"], 16) == 0
        assert (folder / "var/lib/gapcast").stat().st_uid == 10001
