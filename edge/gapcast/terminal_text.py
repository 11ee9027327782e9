"""Text from outside on its way to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return ``text`` without characters that a terminal takes for commands: each is shown as ``\xNN`` or ``\uNNNN``.

    New lines and tabs stay.

    >>> printable("power\x1b[2J\x07\n")
    'power\\x1b[2J\\x07\n'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
