"""Validates how topics distribute meters among workers: by a level ``{shard}``, or by the broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

#: The placeholder for a shard's number in a topic.
SHARD = "{shard}"
_BY_THE_BROKER = ("$share/", "$queue/")


def sharing_problems(
    shards: Sequence[int] | None, topics: Mapping[str, str], of_sources: Mapping[str, str]
) -> Iterator[str]:
    """Yield each problem with the distribution of meters in a sentence that names the key.

    ``topics`` are those of ``[topics]`` and ``of_sources`` those of ``[[sources]]``, by key.
    """
    readings = of_sources or {"topics.reading": topics["topics.reading"]}
    for key, topic in readings.items():
        if topic.startswith(_BY_THE_BROKER):
            yield f"{key} ({topic}): remove the group, and set mqtt.share_group instead"
    if shards is None:
        for key, topic in {**topics, **of_sources}.items():
            if SHARD in topic:
                yield f"{key} ({topic}) has {SHARD}, but shards is not set: list the shards of this worker, such as [0]"
        return
    if not shards:
        yield "shards is empty, and a worker without shards does nothing: list at least one, or remove the key"
    if twice := sorted({shard for shard in shards if shards.count(shard) > 1}):
        yield f"shards lists {twice[0]} twice: a shard has one client and one store"
    for key, topic in readings.items():
        if SHARD not in topic.split("/"):
            yield (
                f"{key} ({topic}) has no level {SHARD}, and all shards would read the same meters: "
                f"add the level, as in gap/{SHARD}/{{device}}/reading"
            )
