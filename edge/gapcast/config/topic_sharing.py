"""How the meters are shared out among workers, as topics have it: by a level ``{shard}``, or by the broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

#: The level of a topic that is a shard's number.
SHARD = "{shard}"
_BY_THE_BROKER = ("$share/", "$queue/")


def sharing_problems(
    shards: Sequence[int] | None, topics: Mapping[str, str], of_sources: Mapping[str, str]
) -> Iterator[str]:
    """Yield what is wrong with how meters are shared, each in a sentence that names the key.

    ``topics`` are those of ``[topics]`` and ``of_sources`` those of ``[[sources]]``, by their keys.
    """
    readings = of_sources or {"topics.reading": topics["topics.reading"]}
    for key, topic in readings.items():
        if topic.startswith(_BY_THE_BROKER):
            yield f"{key} ({topic}): leave the group out, and name it as mqtt.share_group"
    if shards is None:
        for key, topic in {**topics, **of_sources}.items():
            if SHARD in topic:
                yield f"{key} ({topic}) has {SHARD}, and shards is not set: say which this worker takes, as [0]"
        return
    if not shards:
        yield "shards names none, and a worker without any would do nothing: name one, or leave the key out"
    if twice := sorted({shard for shard in shards if shards.count(shard) > 1}):
        yield f"shards names {twice[0]} twice: a shard has one client and one store"
    for key, topic in readings.items():
        if SHARD not in topic.split("/"):
            yield (
                f"{key} ({topic}) has no level {SHARD}, and all shards would read the same meters: "
                f"say where it is, as in gap/{SHARD}/{{device}}/reading"
            )
