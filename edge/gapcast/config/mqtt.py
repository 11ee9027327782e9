"""``[mqtt]`` and ``[topics]``: how the broker is reached, and where what goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Port = Annotated[int, Field(ge=1, le=65_535)]


class SettingsSection(BaseModel):
    """A section of the configuration: frozen, and without a key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TlsSettings(SettingsSection):
    """``[mqtt.tls]``"""

    enabled: bool = False
    #: Authorities that may vouch for the broker, PEM; None: those that this machine trusts.
    ca_path: Path | None = None
    #: Our own certificate and its key, PEM, for a broker that asks for one; the key may be in the same file.
    certificate_path: Path | None = None
    key_path: Path | None = None
    key_password: SecretStr | None = None
    #: The name in the broker's certificate, where it is reached by another; None: ``mqtt.host``.
    server_name: str | None = Field(default=None, min_length=1)
    #: Protocols to offer (ALPN), for a broker that shares a port with HTTPS.
    alpn: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()

    @field_validator("alpn", mode="before")
    @classmethod
    def _separated(cls, alpn: object) -> object:
        return [name.strip() for name in alpn.split(",") if name.strip()] if isinstance(alpn, str) else alpn

    @model_validator(mode="after")
    def _consistent(self) -> TlsSettings:
        given = sorted(name for name, value in self if name != "enabled" and value)
        if given and not self.enabled:
            msg = f"{given[0]} is set but TLS is off, and the connection would be in the clear: set enabled = true"
            raise ValueError(msg)
        if self.certificate_path is None and (self.key_path or self.key_password):
            msg = "a key without its certificate serves nothing: set certificate_path too"
            raise ValueError(msg)
        return self


class MqttSettings(SettingsSection):
    """``[mqtt]``"""

    host: str = "localhost"
    port: Port = 1883
    username: str | None = None
    password: SecretStr | None = None
    transport: Literal["tcp", "websockets"] = "tcp"
    #: Path of the broker's WebSocket.
    websocket_path: str = Field(default="/mqtt", pattern=r"^/[!-~]*$")
    tls: TlsSettings = TlsSettings()
    #: ``auto`` speaks MQTT 5 and falls back to 3.1.1 where the broker refuses it.
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    #: Quality of service of readings and forecasts.
    qos: int = Field(default=1, ge=0, le=1)
    retain_forecasts: bool = False
    keepalive_s: int = Field(default=30, ge=5, le=3_600)
    #: How long the broker keeps readings for this gateway while it is away (MQTT 5).
    session_expiry_s: int = Field(default=86_400, ge=0, le=4_294_967_295)
    #: Readings that the broker may send before the first of them is acknowledged (MQTT 5).
    receive_maximum: int = Field(default=1_024, ge=1, le=32_767)
    #: Told on the rejected topic; further ones are counted.
    rejections_per_s: float = Field(default=10.0, ge=0.1, le=10_000)
    #: Workers of this name have the broker deal the meters out among them (``$share``); None: each takes all it reads.
    share_group: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    #: How the broker deals. Any other way than by topic would tear the readings of a meter apart.
    shared_by: Literal["topic-hash"] | None = None

    @model_validator(mode="after")
    def _dealt_by_topic(self) -> MqttSettings:
        if (self.share_group is None) != (self.shared_by is None):
            msg = (
                'share_group and shared_by = "topic-hash" go together: only a broker that deals by the topic\'s hash '
                "(EMQX: hash_topic) leaves a meter's readings with one worker; one that deals message by message "
                "(mosquitto) tears them apart, and shards are the way there"
            )
            raise ValueError(msg)
        if self.share_group is not None and self.protocol == "3.1.1":
            msg = "share_group needs MQTT 5: leave protocol out"
            raise ValueError(msg)
        return self


class TopicSettings(SettingsSection):
    """``[topics]``"""

    reading: str = "gap/{device}/reading"
    forecast: str = "gap/{device}/forecast"
    availability: str = "gap/{device}/availability"
    scores: str = "gap/{device}/scores"
    status: str = "gapcast/{gateway}/status"
    rejected: str = "gapcast/{gateway}/rejected"
    events: str = "gapcast/{gateway}/events"
    predict: str = "gapcast/{gateway}/predict"
    #: With ``mqtt.share_group``: where the broker is tried, before readings are taken.
    dealing: str = "gapcast/{gateway}/dealing"
    #: What the response topic of a request must begin with: no one can have the gateway write elsewhere.
    answers: str = "gapcast/{gateway}/answer/"
