"""What the compose files say, where no Docker is needed to see it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once


def services_of(name: str) -> dict[str, Any]:
    """Return the services, without the tags that say how compose merges files."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("!override", "")
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def test_external_broker_is_used_by_each_client() -> None:
    """Compose adds the variables of a second file to those of the first."""
    changed = services_of("docker-compose.external.yml")
    for name, service in services_of("docker-compose.yml").items():
        own = service.get("environment", {})
        if "GAPCAST_MQTT__HOST" in own:
            host = (own | changed.get(name, {}).get("environment", {}))["GAPCAST_MQTT__HOST"]
            assert host.startswith("${MQTT_HOST"), f"{name} connects to {host}"


def test_monitoring_starts_beside_an_unhealthy_edge() -> None:
    """Its alerts report the edge, for example without a broker."""
    assert services_of("docker-compose.yml")["prometheus"]["depends_on"] == {"edge": {"condition": "service_started"}}


@pytest.mark.parametrize("name", ["", "a/b", "my gateway"])
def test_setup_of_secrets_rejects_an_invalid_gateway_id(name: str) -> None:
    script = ["sh", str(ROOT / "docker" / "setup.sh")]
    done = subprocess.run(script, env={"GATEWAY_ID": name}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"GATEWAY_ID='{name}' is not a valid id: use A-Z a-z 0-9 _ - .\n"
