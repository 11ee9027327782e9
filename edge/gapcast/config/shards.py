"""A shard is a gateway of its own: its number stands in its topics, in the gateway's id and in where its state is.

So whoever has that id and that folder goes on where the last worker ended, and nothing else here knows of shards.
"""

from __future__ import annotations

from pathlib import Path

from gapcast.config.settings import Settings
from gapcast.config.topic_sharing import SHARD
from gapcast.core.errors import SettingsError

#: What shards are named after where ``gateway.id`` is not set: the same for every worker, unlike an id that is made.
_FLEET = "shard"


def of_shard(settings: Settings, shard: int, http_port: int | None = None) -> Settings:
    """Return the settings of the gateway that shard ``shard`` is; it answers on ``http_port``, if that is given.

    >>> one = of_shard(Settings(shards=(0, 1)), 1)
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


def each_of(settings: Settings) -> list[Settings]:
    """Return the settings of each shard, in their order, at one HTTP port after the other; of none, these alone.

    Raises :class:`SettingsError` where there are not so many ports.
    """
    if settings.shards is None:
        return [settings]
    first = settings.http.port
    if first + len(settings.shards) > 65_536:  # noqa: PLR2004 - what a port may be
        msg = f"http.port: {len(settings.shards)} shards need as many ports from {first} on: set a lower one"
        raise SettingsError(msg)
    return [of_shard(settings, shard, first + i) for i, shard in enumerate(settings.shards)]


def the_one_of(settings: Settings) -> Settings:
    """Return the settings of the one shard that is named, or these where there are none.

    Raises :class:`SettingsError` where there are several.
    """
    if settings.shards is not None and len(settings.shards) > 1:
        msg = f"shards names {', '.join(map(str, settings.shards))}: name the one, as --set shards={settings.shards[0]}"
        raise SettingsError(msg)
    return each_of(settings)[0]


def folder_of(settings: Settings, state: Path) -> Path:
    """Return where under ``state`` the readings of the gateway with these settings are kept.

    >>> folder_of(of_shard(Settings(shards=(7,)), 7), Path("state"))
    PosixPath('state/shard-7/stream')
    """
    return (state if settings.shards is None else state / f"shard-{settings.shards[0]}") / "stream"
