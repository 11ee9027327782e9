"""Batches of a training set for gradient descent, read from disk chunk by chunk in bounded memory.

Each epoch shuffles the chunks, loads as many as fit into the buffer, and shuffles the windows of the buffer. All random
draws depend only on the seed, the epoch and the batch.
"""

from __future__ import annotations

import keras
import numpy as np

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.errors import SourceError
from gapcast.core.windows.training_set import Chunk
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.training_data.batches import BatchOptions, PerOutput, draw_factors, scale_batch
from gapcast_trainer.training_data.training_set import TrainingSetPart

#: Maximum size of a buffer, unless a single chunk is larger.
BUFFER_BYTES = 256 << 20
_CHUNKS, _ROWS, _CHANGES = range(3)


class StreamedBatches(keras.utils.PyDataset):
    """A part of a training set in augmented batches: :class:`gapcast_trainer.training_data.batches.Batches` from disk.

    Sequential access is fast; random access reloads the buffer.
    """

    def __init__(self, part: TrainingSetPart, options: BatchOptions, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        """Plan the first epoch."""
        super().__init__()
        self._part = part
        self._options = options
        self._buffer_rows = buffer_bytes // part.source.row_type.itemsize
        self._n = options.n_windows(len(part))
        self._epoch = 0
        #: The error of a damaged chunk: Keras requests batches in a thread of TensorFlow, which hides exceptions.
        self.problem: SourceError | None = None
        self._plan()

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return self._options.n_batches(len(self._part))

    def __getitem__(self, index: int) -> tuple[F32, PerOutput, PerOutput]:
        """Return batch ``index``, like :class:`gapcast_trainer.training_data.batches.Batches`."""
        options = self._options
        first, until = index * options.size, min((index + 1) * options.size, self._n)
        random = self._random(_CHANGES, index)
        kept, share = options.augment.lengths(self._part.task.window.context)
        n_kept = random.choice(kept, until - first, p=share)
        factor = np.ones(until - first, np.float32)
        if options.redraw:
            factor = draw_factors(random, until - first, options.augment)
        inputs, targets, n_done = list[F32](), list[F32](), 0
        at = int(np.searchsorted(self._begins, first, side="right")) - 1
        while n_done < until - first:  # a batch may span two buffers
            examples, order = self._buffer(at)
            begin = first + n_done - int(self._begins[at])
            chosen = order[begin : begin + until - first - n_done]
            inputs.append(examples.inputs_at(chosen, n_kept[n_done : n_done + chosen.size]))
            targets.append(examples.target_kw[chosen])
            n_done += chosen.size
            at += 1
        return scale_batch(np.concatenate(inputs), np.concatenate(targets), factor, options.outputs)

    def on_epoch_end(self) -> None:
        """Redraw for the next epoch."""
        if self._options.redraw:
            self._epoch += 1
            self._plan()

    def _plan(self) -> None:
        """Distribute the chunks of an epoch over buffers."""
        chunks = self._part.chunks
        if self._options.redraw:
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
        """Return the windows of buffer ``at``, and their order."""
        if self._held is None or self._held[0] != at:
            self._held = None  # freed before the next one is read, so that only one is in memory
            try:
                examples = self._part.buffer(self._buffers[at])
            except SourceError as error:
                self.problem = error
                raise
            order = (
                self._random(_ROWS, at).permutation(len(examples)) if self._options.redraw else np.arange(len(examples))
            )
            self._held = at, examples, order
        return self._held[1:]

    def _random(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self._options.seed, self._epoch, *what])
