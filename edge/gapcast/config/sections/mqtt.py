"""``[mqtt]`` and ``[topics]``: the connection to the broker, and the topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, SecretStr, field_validator, model_validator

from gapcast.config.sections.section import Port, SettingsSection, host_rule, matching, split_list

#: Maximum length of text in an MQTT packet.
_MAX_BYTES = 65_535


class TlsSettings(SettingsSection):
    """``[mqtt.tls]``"""

    enabled: bool = False
    #: Authorities trusted to sign the broker's certificate, PEM; None: the authorities that this machine trusts.
    ca_path: Path | None = None
    #: Our own certificate and its key, PEM, for a broker that requires one; the key may be in the same file.
    certificate_path: Path | None = None
    key_path: Path | None = None
    key_password: SecretStr | None = None
    #: The name in the broker's certificate, if it differs from the host; None: ``mqtt.host``.
    server_name: str | None = Field(default=None, min_length=1)
    #: Protocols to offer (ALPN), for a broker that shares a port with HTTPS.
    alpn: tuple[Annotated[str, matching(r"[!-~]{1,255}", "must be 1 to 255 ASCII characters without spaces")], ...] = ()

    _split_list = field_validator("alpn", mode="before")(split_list)

    @model_validator(mode="after")
    def _check_consistency(self) -> TlsSettings:
        used = sorted(name for name, value in self if name != "enabled" and value)
        if used and not self.enabled:
            msg = f"{used[0]} is set but TLS is off, and the connection would be unencrypted: set enabled = true"
            raise ValueError(msg)
        if self.certificate_path is None and (self.key_path or self.key_password):
            msg = "a key needs its certificate: set certificate_path too"
            raise ValueError(msg)
        return self


class MqttSettings(SettingsSection):
    """``[mqtt]``"""

    host: Annotated[str, Field(min_length=1), AfterValidator(host_rule("mqtt.port"))] = "localhost"
    port: Port = 1883
    username: str | None = None
    password: SecretStr | None = None
    transport: Literal["tcp", "websockets"] = "tcp"
    #: Path of the broker's WebSocket endpoint.
    websocket_path: Annotated[str, matching(r"/[!-~]*", "must begin with a slash and have no spaces")] = "/mqtt"
    tls: TlsSettings = TlsSettings()
    #: ``auto`` uses MQTT 5 and falls back to 3.1.1 if the broker rejects it.
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    #: Quality of service of readings and forecasts.
    qos: int = Field(default=1, ge=0, le=1)
    retain_forecasts: bool = False
    keepalive_s: int = Field(default=30, ge=5, le=3_600)
    #: How long the broker stores readings for this gateway while it is offline (MQTT 5).
    session_expiry_s: int = Field(default=86_400, ge=0, le=4_294_967_295)
    #: Maximum number of unacknowledged readings in flight from the broker (MQTT 5).
    receive_maximum: int = Field(default=1_024, ge=1, le=32_767)
    #: Maximum rate of messages on the rejected topic; further ones are only counted.
    rejections_per_s: float = Field(default=10.0, ge=0.1, le=10_000)
    #: Shared subscription (``$share``) by which workers of this name share the meters; None: no sharing.
    share_group: Annotated[str, matching(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 of A-Z a-z 0-9 _ -")] | None = None
    #: How the broker distributes messages. Any way but by topic would split the readings of a meter across workers.
    shared_by: Literal["topic-hash"] | None = None

    @field_validator("username", "password")
    @classmethod
    def _check_length(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        if len(text.encode(errors="replace")) > _MAX_BYTES:
            msg = f"must have at most {_MAX_BYTES:,} bytes, the maximum of MQTT"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check_sharing(self) -> MqttSettings:
        if (self.share_group is None) != (self.shared_by is None):
            msg = (
                'share_group and shared_by = "topic-hash" must be set together: only a broker that distributes by the '
                "topic's hash (EMQX: hash_topic) delivers a meter's readings to one worker; one that distributes "
                "message by message (mosquitto) splits them across workers: use shards instead"
            )
            raise ValueError(msg)
        if self.share_group is not None and self.protocol == "3.1.1":
            msg = "share_group requires MQTT 5: remove protocol"
            raise ValueError(msg)
        return self


class TopicSettings(SettingsSection):
    """``[topics]``"""

    reading: str = "gap/{device}/reading"
    forecast: str = "gap/{device}/forecast"
    #: With ``outlook.enabled``: each lead time up to an hour.
    outlook: str = "gap/{device}/outlook"
    #: With a limit in ``[demand]``: the running billing window, and the power that may still be drawn, W, as a number.
    demand: str = "gap/{device}/demand"
    headroom_w: str = "gap/{device}/headroom_w"
    #: The power that the whole house may draw, W, as a number: for controllers that measure the house themselves.
    max_power_w: str = "gap/{device}/max_power_w"
    #: Read by gapcast: a device's limit, kW, in place of the configured one, and corrections of its month's peak.
    demand_limit: str = "gap/{device}/demand/limit"
    month_peak: str = "gap/{device}/demand/month_peak"
    availability: str = "gap/{device}/availability"
    scores: str = "gap/{device}/scores"
    #: Announced loads of a device, read by gapcast.
    plan: str = "gap/{device}/plan"
    #: With ``homeassistant.enabled``: the power of each minute, as the gateway read it.
    measured: str = "gap/{device}/measured"
    status: str = "gapcast/{gateway}/status"
    rejected: str = "gapcast/{gateway}/rejected"
    events: str = "gapcast/{gateway}/events"
    predict: str = "gapcast/{gateway}/predict"
    #: Requests whether so much power may be drawn for so long.
    headroom: str = "gapcast/{gateway}/headroom"
    #: With ``mqtt.share_group``: the topic on which the broker's distribution is measured at start-up.
    distribution_check: str = "gapcast/{gateway}/distribution_check"
    #: Prefix that the response topic of a request must have, so that clients cannot make the gateway publish elsewhere.
    answers: str = "gapcast/{gateway}/answer/"

    _former_keys: tuple[tuple[str, str], ...] = ()

    @property
    def former_keys(self) -> tuple[tuple[str, str], ...]:
        """Each key that is set by its former name, and how to fix it."""
        return self._former_keys

    @model_validator(mode="wrap")
    @classmethod
    def _accept_former_key(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Accept ``dealing``, the name of ``distribution_check`` in 0.1.0, until 0.3.0."""
        if not isinstance(values, dict) or "dealing" not in values:
            return handler(values)
        if "distribution_check" in values:
            msg = "dealing is the former name of distribution_check, and both are set: remove dealing"
            raise ValueError(msg)
        topics = handler({("distribution_check" if key == "dealing" else key): value for key, value in values.items()})
        topics._former_keys = (("topics.dealing", "write topics.distribution_check: 0.3.0 rejects the former name"),)
        return topics
