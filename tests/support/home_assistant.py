"""A real Home Assistant core in a process of its own, with one account and its MQTT integration."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from tests.support.home_assistant_socket import HomeAssistantSocket
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

START_S = 300.0
USER, TOKEN, ENTRY, KEY = "1" * 32, "2" * 32, "5" * 32, "3" * 64


class HomeAssistant:
    """A Home Assistant core in a process of its own, with one account and the MQTT integration.

    ``configuration`` is added to its configuration.yaml.
    """

    def __init__(self, command: str, folder: Path, mqtt_port: int, configuration: str = "") -> None:
        self._command, self._folder = command, folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        stored = folder / ".storage"
        stored.mkdir(parents=True)
        (folder / "configuration.yaml").write_text(
            f"api:\nconfig:\nhttp:\n  server_host: {LOOPBACK}\n  server_port: {self.port}\n{configuration}",
            encoding="utf-8",
        )
        _store(stored, "auth", 1, 1, _account())
        _store(stored, "onboarding", 4, 1, {"done": ["user", "core_config", "analytics", "integration"]})
        _store(stored, "core.config_entries", 1, 5, {"entries": [_mqtt_entry(mqtt_port)]})
        claims = {"iss": TOKEN, "iat": int(time.time()) - 10, "exp": int(time.time()) + 86_400}
        self.token = _signed(claims, KEY)
        self._headers = {"authorization": f"Bearer {self.token}"}

    def start(self) -> None:
        with (self._folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(
                [self._command, "-c", str(self._folder)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        wait_until(self._runs, lambda: f"Home Assistant to start; see {self._folder}", START_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _runs(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            msg = f"it ended: {(self._folder / 'out.log').read_text(encoding='utf-8')[-2_000:]}"
            raise RuntimeError(msg)
        try:
            answer = self._get("/api/config")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["state"] == "RUNNING"

    @property
    def version(self) -> str:
        return str(self._get("/api/config").json()["version"])

    def state(self, entity: str) -> dict[str, Any] | None:
        """Return an entity's state and attributes; None if there is no such entity."""
        answer = self._get(f"/api/states/{entity}")
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    def complaints(self, word: str) -> list[str]:
        """Return the warnings and errors in its log that have ``word``."""
        logs = [path.read_text(encoding="utf-8") for path in self._folder.glob("home-assistant.log*")]
        lines = [line for log in logs for line in log.splitlines()]
        return [line for line in lines if word in line and ("ERROR" in line or "WARNING" in line)]

    def value(self, entity: str) -> float | str | None:
        """Return what an entity shows: a number, or a word such as unavailable; None if there is no such entity."""
        found = self.state(entity)
        if found is None:
            return None
        try:
            return float(found["state"])
        except ValueError:
            return str(found["state"])

    def call(self, action: str, **data: Any) -> None:
        """Perform an action such as ``switch.turn_on``."""
        self._post(f"/api/services/{action.replace('.', '/')}", data)

    def set_state(self, entity: str, state: str, **attributes: str) -> None:
        """Set what an entity shows, as its integration would."""
        path = f"http://{LOOPBACK}:{self.port}/api/states/{entity}"
        document = {"state": state, "attributes": attributes}
        httpx.post(path, json=document, headers=self._headers, timeout=GUARD_S).raise_for_status()

    def import_blueprint(self, url: str, path: str) -> None:
        """Import an automation's blueprint from ``url`` as *Import blueprint* does, and store it at ``path``."""
        with HomeAssistantSocket(self.port, self.token) as socket:
            found = socket.command("blueprint/import", url=url)
            assert not found["validation_errors"], found
            socket.command("blueprint/save", domain="automation", path=path, yaml=found["raw_data"], source_url=url)

    def create_automation(self, name: str, blueprint: str, inputs: dict[str, Any]) -> None:
        """Store an automation from a blueprint, and wait until it is on."""
        self.store_automation(name, {"use_blueprint": {"path": blueprint, "input": inputs}})

    def store_automation(self, name: str, definition: dict[str, Any]) -> None:
        """Store an automation, and wait until it is on."""
        document = definition | {"alias": name}
        self._post(f"/api/config/automation/config/{name}", document)
        entity = f"automation.{name}"
        wait_until(lambda: self.value(entity) == "on", lambda: f"{entity}: {self.state(entity)}", START_S)

    def device_of(self, entity: str) -> str:
        """Return the id of an entity's device."""
        with HomeAssistantSocket(self.port, self.token) as socket:
            return str(socket.command("config/entity_registry/get", entity_id=entity)["device_id"])

    def delete_automation(self, name: str) -> None:
        """Remove an automation, and wait until it is gone."""
        path = f"http://{LOOPBACK}:{self.port}/api/config/automation/config/{name}"
        httpx.delete(path, headers=self._headers, timeout=GUARD_S).raise_for_status()
        wait_until(lambda: self.value(f"automation.{name}") is None, f"automation.{name} to be gone", START_S)

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{LOOPBACK}:{self.port}{path}", headers=self._headers, timeout=GUARD_S)

    def _post(self, path: str, document: object) -> None:
        answer = httpx.post(
            f"http://{LOOPBACK}:{self.port}{path}", json=document, headers=self._headers, timeout=GUARD_S
        )
        assert answer.status_code == 200, answer.text


def _store(folder: Path, key: str, version: int, minor_version: int, data: object) -> None:
    document = {"version": version, "minor_version": minor_version, "key": key, "data": data}
    (folder / key).write_text(json.dumps(document), encoding="utf-8")


def _account() -> dict[str, Any]:
    user = {
        "id": USER, "group_ids": ["system-admin"], "is_owner": True, "is_active": True, "name": "owner",
        "system_generated": False, "local_only": False,
    }  # fmt: skip
    token = {
        "id": TOKEN, "user_id": USER, "client_id": None, "client_name": "try", "client_icon": None,
        "token_type": "long_lived_access_token", "created_at": "2026-01-01T00:00:00+00:00",
        "access_token_expiration": 86_400.0 * 3_650, "token": "4" * 64, "jwt_key": KEY, "last_used_at": None,
        "last_used_ip": None, "expire_at": None, "credential_id": None, "version": None,
    }  # fmt: skip
    groups = [{"id": "system-admin", "name": "Administrators"}]
    return {"users": [user], "groups": groups, "credentials": [], "refresh_tokens": [token]}


def _mqtt_entry(port: int) -> dict[str, Any]:
    then = "2026-01-01T00:00:00+00:00"
    return {
        "entry_id": ENTRY, "version": 1, "minor_version": 2, "domain": "mqtt", "title": "mosquitto",
        "data": {"broker": LOOPBACK, "port": port}, "options": {}, "pref_disable_new_entities": False,
        "pref_disable_polling": False, "source": "user", "unique_id": None, "disabled_by": None, "created_at": then,
        "modified_at": then, "discovery_keys": {}, "subentries": [],
    }  # fmt: skip


def _signed(claims: dict[str, Any], key: str) -> str:
    """Return a JSON Web Token (RFC 7519) under HMAC-SHA256."""
    parts = [_url64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    mac = hmac.new(key.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _url64(mac)])


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
