"""How to read a meter of minutes as samples, as the fix of a meter that sends more or less often than once a minute."""

from __future__ import annotations

from collections.abc import Sequence


def native_as_samples(topic: str) -> str:
    """Return the keys of a source that reads native readings on ``topic`` as samples.

    >>> native_as_samples("gap/{device}/reading").partition(" (")[0]
    'topic = "gap/{device}/reading", value = "gap_kw", unit = "kW" and time = "ts"'
    """
    return (
        f'topic = "{topic}", value = "gap_kw", unit = "kW" and time = "ts" '
        '(no time if the messages have no ts; for bare numbers format = "number" instead of value and time)'
    )


def samples_fix(native_topics: Sequence[str], *, has_sources: bool, has_minutes: bool) -> str:
    """Return the fix of a configuration whose native readings are on ``native_topics``.

    ``has_sources``: the native topics are those of sources. ``has_minutes``: messages of other sources are minutes.
    """
    of_source = 'set kind = "samples" in its source'
    if not native_topics:
        return of_source
    keys = native_as_samples(native_topics[0] if len(native_topics) == 1 else "…")
    native = f'set {keys} in its source instead of "gapcast"' if has_sources else f"add a source with {keys}"
    return f"{of_source}, or if it sends native readings, {native}" if has_minutes else native
