"""A shard is a separate gateway: its number is part of its topics, its gateway id and its state folder.

A worker with that id and folder continues from the last worker's state, and no other module depends on shards.
"""

from __future__ import annotations

from pathlib import Path

from gapcast.config.checks.topic_use import SHARD
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

#: Base of the gateway ids of shards if ``gateway.id`` is not set: the same for all workers, unlike a generated id.
_FLEET = "shard"


def settings_for_shard(settings: Settings, shard: int, http_port: int | None = None) -> Settings:
    """Return the settings of the gateway of shard ``shard``, with the HTTP port ``http_port`` if given.

    >>> one = settings_for_shard(Settings(shards=(0, 1)), 1)
    >>> one.gateway.id, one.topics.reading, one.shards
    ('shard-1', 'gap/1/{device}/reading', (1,))
    """
    number = str(shard)
    topics = {name: topic.replace(SHARD, number) for name, topic in settings.topics}
    sources = [s.model_copy(update={"topic": s.topic.replace(SHARD, number)}) for s in settings.sources]
    return settings.model_copy(
        update={
            "shards": (shard,),
            "gateway": settings.gateway.model_copy(update={"id": f"{settings.gateway.id or _FLEET}-{shard}"}),
            "topics": settings.topics.model_copy(update=topics),
            "sources": tuple(sources),
            "mqtt": settings.mqtt.model_copy(update={"protocol": "5"}),
            "http": settings.http.model_copy(update={"port": http_port or settings.http.port}),
        }
    )


def settings_by_shard(settings: Settings) -> list[Settings]:
    """Return the settings of each shard, in order, with consecutive HTTP ports; without shards, only ``settings``.

    Raises :class:`SettingsError` if there are not enough ports.
    """
    if settings.shards is None:
        return [settings]
    first = settings.http.port
    if first + len(settings.shards) > 65_536:  # noqa: PLR2004 - number of ports
        msg = f"http.port: {len(settings.shards)} shards need as many ports, starting at {first}: set a lower one"
        raise SettingsError(msg)
    return [settings_for_shard(settings, shard, first + i) for i, shard in enumerate(settings.shards)]


def single_shard_settings(settings: Settings) -> Settings:
    """Return the settings of the single configured shard, or these settings without shards.

    Raises :class:`SettingsError` if there are several.
    """
    if settings.shards is not None and len(settings.shards) > 1:
        msg = f"shards lists {', '.join(map(str, settings.shards))}: select one, as --set shards={settings.shards[0]}"
        raise SettingsError(msg)
    return settings_by_shard(settings)[0]


def readings_folder(settings: Settings, state: Path) -> Path:
    """Return the folder under ``state`` for the readings of the gateway with these settings.

    >>> readings_folder(settings_for_shard(Settings(shards=(7,)), 7), Path("state"))
    PosixPath('state/shard-7/stream')
    """
    return (state if settings.shards is None else state / f"shard-{settings.shards[0]}") / "stream"
