"""Makes external text safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return ``text`` with control characters, which a terminal could interpret, as ``\xNN`` or ``\uNNNN``.

    Newlines and tabs stay.

    >>> printable("power\x1b[2J\x07\n")
    'power\\x1b[2J\\x07\n'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
