"""Numbers, names and values in messages for people."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

#: Most characters of a value that an error message shows.
SHOWN_CHARS = 40


def counted(n: int, noun: str) -> str:
    """Return a number and its noun, in the plural if needed.

    >>> counted(1, "gap"), counted(2_000, "row")
    ('1 gap', '2,000 rows')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str], n_most: int) -> str:
    """Return the first ``n_most`` of ``names``, and the number of the others.

    >>> listed(["a", "b", "c"], 2), listed(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    shown = ", ".join(names[:n_most])
    return f"{shown} and {len(names) - n_most:,} more" if len(names) > n_most else shown


def unknown_key(document: Iterable[str], keys: Collection[str]) -> str | None:
    """Return the first key of ``document`` that is not in ``keys``, or None.

    >>> unknown_key({"kw": 1, "": 2}, ("kw",)), unknown_key({"kw": 1}, ("kw",))
    ('', None)
    """
    return next((key for key in document if key not in keys), None)


def shown_value(value: object) -> str:
    """Return a value of a message as an error shows it: long values shortened, literals as in JSON.

    >>> shown_value("on"), shown_value(None), shown_value(True), shown_value(False)
    ("'on'", 'null', 'true', 'false')
    """
    return json.dumps(value) if value is None or isinstance(value, bool) else shown_argument(value)


def shown_argument(value: object) -> str:
    """Return a value of a Python program as an error shows it: long values shortened.

    >>> shown_argument("x" * 50) == "'" + "x" * 39 + "…", shown_argument(10**60), shown_argument(None)
    (True, 'a number of many digits', 'None')
    """
    if isinstance(value, int) and value.bit_length() >= 4 * SHOWN_CHARS:
        return "a number of many digits"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """Return the question for the one of ``names`` similar to ``text``, with a separator; empty if none is similar.

    >>> did_you_mean("KW", ["auto", "W", "kW"]), did_you_mean("yaml", ["auto", "json"])
    ('; did you mean kW?', '')
    """
    from difflib import get_close_matches  # noqa: PLC0415 - few keys are misspelt

    by_lower = {name.lower(): name for name in names}
    similar = get_close_matches(text.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[similar[0]]}?" if similar else ""
