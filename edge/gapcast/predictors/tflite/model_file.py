"""A model file: the names in it, and its bytes, stored in the form that takes the least memory for the model's use.

A gateway loads every model of its folder, because a request may name it, and runs one or two of them. A model that is
not run is stored compressed. Of a model that continues from another's trunk only the reduced file is stored; the whole
file, which differs in a few bytes, is made from it.
"""

from __future__ import annotations

import zlib

from gapcast.predictors.tflite.single_signature import with_words, words_at, words_of_signature

#: The inputs of a model.
INPUT, HISTORY = "window", "history"
#: The signature of a file after the trunk: its inputs are the model's inputs and the trunk's values.
HEAD_SIGNATURE = "after_body"
#: Prefix of the names of these values: outputs of the model that computes them, inputs of a head.
TRUNK_PREFIX = "body_"
#: The fastest level: at any level, a file's structure compresses well and its weights do not.
_LEVEL = 1


class ModelContent:
    """The bytes of one file. One caller at a time."""

    def __init__(self, content: bytes) -> None:
        """Store ``content``, a whole file."""
        self._whole: bytes | None = content
        self._packed: bytes | None = None
        self._reduced: bytes | None = None
        #: The words of the whole file that differ in the reduced one, by position.
        self._words: dict[int, int] = {}

    @property
    def whole(self) -> bytes:
        """The file."""
        if self._whole is None:
            if self._packed is not None:
                self._whole, self._packed = zlib.decompress(self._packed), None
            else:
                assert self._reduced is not None, "one of the three is there"  # noqa: S101 - for mypy
                self._whole = with_words(self._reduced, self._words)
        return self._whole

    @property
    def head(self) -> bytes:
        """The file with only the head: the whole model would take twice the memory in each interpreter."""
        if self._reduced is None:
            whole = self.whole
            words = words_of_signature(whole, HEAD_SIGNATURE)
            self._reduced, self._words = with_words(whole, words), words_at(whole, words)
            self._whole = None
        return self._reduced

    def pack(self) -> None:
        """Compress the file, which is currently not in use."""
        if self._packed is None:
            self._packed = zlib.compress(self.whole, _LEVEL)
        self._whole = self._reduced = None
        self._words = {}
