"""Batches of a training set for gradient descent: from the disk, chunk by chunk, within a bounded memory.

An epoch takes the chunks in an order of its own, as many at once as the buffer holds, and the windows of the buffer in
an order of their own. All that is drawn follows from the seed, the epoch and the batch alone.
"""

from __future__ import annotations

import math

import keras
import numpy as np

from gapcast.core.training_set import Chunk
from gapcast.core.window import F32, I64
from gapcast_trainer.batches import Batches, Of, factors, scaled
from gapcast_trainer.errors import DatasetError
from gapcast_trainer.experiment import Augment
from gapcast_trainer.families.graph import MEAN
from gapcast_trainer.trainingset import Streamed
from gapcast_trainer.windows import Examples

#: What a buffer holds at most, where no single chunk is larger.
BUFFER_BYTES = 256 << 20
_CHUNKS, _ROWS, _CHANGES = range(3)


class StreamedBatches(keras.utils.PyDataset):
    """A part of a training set in batches, augmented: :class:`gapcast_trainer.batches.Batches` from the disk.

    Batches are quick to get in their order; one from elsewhere reads its buffer anew.
    """

    def __init__(  # noqa: PLR0913 - what a feed is made of
        self,
        found: Streamed,
        size: int,
        augment: Augment,
        seed: int,
        *,
        redraw: bool,
        every: int = 1,
        outputs: tuple[str, ...] = (MEAN,),
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        """Plan the first pass."""
        super().__init__()
        self._found = found
        self._size = size
        self._augment = augment
        self._seed = seed
        self._redraw = redraw
        self._outputs = outputs
        self._buffer_rows = buffer_bytes // found.source.row_type.itemsize
        self._n = math.ceil(len(found) / every)
        self._epoch = 0
        #: What was wrong with a chunk: Keras asks for batches in a thread of TensorFlow's, which hides errors.
        self.problem: DatasetError | None = None
        self._plan()

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return math.ceil(self._n / self._size)

    def __getitem__(self, index: int) -> tuple[F32, Of, Of]:
        """Return batch ``index`` as :class:`gapcast_trainer.batches.Batches` does."""
        first, until = index * self._size, min((index + 1) * self._size, self._n)
        random = self._random(_CHANGES, index)
        kept, share = self._augment.lengths(self._found.task.window.context)
        n_kept = random.choice(kept, until - first, p=share)
        factor = np.ones(until - first, np.float32)
        if self._redraw:
            factor = factors(random, until - first, self._augment)
        inputs, targets, n_done = list[F32](), list[F32](), 0
        at = int(np.searchsorted(self._begins, first, side="right")) - 1
        while n_done < until - first:  # a batch may begin in one buffer and end in the next
            examples, order = self._buffer(at)
            begin = first + n_done - int(self._begins[at])
            chosen = order[begin : begin + until - first - n_done]
            inputs.append(examples.inputs_at(chosen, n_kept[n_done : n_done + chosen.size]))
            targets.append(examples.target_kw[chosen])
            n_done += chosen.size
            at += 1
        return scaled(np.concatenate(inputs), np.concatenate(targets), factor, self._outputs)

    def on_epoch_end(self) -> None:
        """Draw anew for the next pass."""
        if self._redraw:
            self._epoch += 1
            self._plan()

    def _plan(self) -> None:
        """Deal the chunks of a pass into buffers."""
        chunks = self._found.chunks
        if self._redraw:
            chunks = [chunks[at] for at in self._random(_CHUNKS).permutation(len(chunks))]
        self._buffers: list[list[Chunk]] = []
        n_rows = self._buffer_rows
        for chunk in chunks:
            if n_rows + chunk.n_rows > self._buffer_rows:
                self._buffers.append([])
                n_rows = 0
            self._buffers[-1].append(chunk)
            n_rows += chunk.n_rows
        sizes = [sum(chunk.n_rows for chunk in chunks) for chunks in self._buffers]
        self._begins = np.cumsum([0, *sizes[:-1]])
        self._held: tuple[int, Examples, I64] | None = None

    def _buffer(self, at: int) -> tuple[Examples, I64]:
        """Return the windows of buffer ``at``, and the order that they are taken in."""
        if self._held is None or self._held[0] != at:
            self._held = None  # before the next is read: two never stand side by side
            try:
                examples = self._found.buffer(self._buffers[at])
            except DatasetError as error:
                self.problem = error
                raise
            order = self._random(_ROWS, at).permutation(len(examples)) if self._redraw else np.arange(len(examples))
            self._held = at, examples, order
        return self._held[1:]

    def _random(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._epoch, *what])


def batches_of(  # noqa: PLR0913 - what a feed is made of
    found: Examples | Streamed,
    size: int,
    augment: Augment,
    seed: int,
    *,
    redraw: bool,
    every: int = 1,
    outputs: tuple[str, ...] = (MEAN,),
) -> Batches | StreamedBatches:
    """Return ``found`` in batches, from memory or from the disk."""
    if isinstance(found, Streamed):
        return StreamedBatches(found, size, augment, seed, redraw=redraw, every=every, outputs=outputs)
    return Batches(found, size, augment, seed, redraw=redraw, every=every, outputs=outputs)
