"""From the settings of a broker to what lies under MQTT."""

from __future__ import annotations

from edge.mqtt.tls import Tls, TlsFiles
from edge.mqtt.transport import Transport
from edge.mqtt_settings import MqttSettings


def transport_of(mqtt: MqttSettings) -> Transport:
    """Return what lies under MQTT; raise :class:`SettingsError` where a file of TLS cannot serve."""
    tls = mqtt.tls
    if not tls.enabled:
        return Transport(mqtt.transport, mqtt.websocket_path)
    key_password = tls.key_password.get_secret_value() if tls.key_password else None
    files = TlsFiles(tls.ca_path, tls.certificate_path, tls.key_path, key_password, tls.alpn)
    return Transport(mqtt.transport, mqtt.websocket_path, Tls(files), tls.server_name)
