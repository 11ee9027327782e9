"""The interpreters of one model: one per batch size; the rows of a batch are split among them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.predictors.tflite.batch_interpreter import BatchInterpreter
from gapcast.predictors.tflite.input_batch import Shapes
from gapcast.predictors.tflite.model_file import INPUT, ModelContent

#: Batch sizes with their own interpreter: the first is created with the model, the others with the first batch of that
#: size. A batch is padded up to the next size, because resizing a tensor costs more than the extra rows. There is a
#: size between 1 and 32, because some models take three times as long for 32 rows as for 8; a batch that fits into two
#: batches of the smaller size is split, as are larger batches: beyond 32 a row costs no less, but the interpreter's
#: memory grows (an unrolled model of 330 kB: 7 MB at 32, 17 MB at 256). Not all are created at the start: the bundled
#: models' interpreters for 8 and 32 rows take 23 MB, and a house sends one row at a time. If there is not enough memory
#: for a larger interpreter, an existing smaller one runs the rows.
BATCH_SIZES = (1, 8, 32)


class ModelInterpreters:
    """Runs batches of any size. One caller at a time."""

    def __init__(self, name: str, content: ModelContent, shapes: Shapes, outputs: tuple[str, ...]) -> None:
        """Run ``content``, the model ``name``, with inputs of row ``shapes`` by name, and ``outputs``.

        Nothing is loaded before the first run.
        """
        self._name = name
        self._content = content
        self._shapes = shapes
        self._outputs = outputs
        self._by_size: dict[int, BatchInterpreter] = {}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of the existing interpreters."""
        return tuple(sorted(self._by_size))

    def release(self) -> None:
        """Release the interpreters and their memory."""
        self._by_size.clear()

    def run(self, inputs: Mapping[str, F32], *, with_trunk: bool = False) -> list[F32]:
        """Return the outputs for the rows of ``inputs``, by name, at least one; see :meth:`.BatchInterpreter.run`.

        Raises :class:`ModelError` if the runtime fails, or memory does not suffice.
        """
        n = len(inputs[INPUT])
        try:
            interpreter = self._by_size.get(n)
            if interpreter is not None:
                return self._run(interpreter, inputs, with_trunk=with_trunk)
            return self._run_parts(inputs, with_trunk=with_trunk)
        except MemoryError as error:
            raise memory_error(self._name, n) from error

    def _run_parts(self, inputs: Mapping[str, F32], *, with_trunk: bool) -> list[F32]:
        """Return the outputs for a batch of any size, which may be split."""
        parts: list[list[F32]] = []
        first, n = 0, len(inputs[INPUT])
        while first < n:
            interpreter = self._interpreter_for(n - first)
            rows = {name: values[first : first + interpreter.batch_size] for name, values in inputs.items()}
            first += len(rows[INPUT])
            parts.append(self._run(interpreter, rows, with_trunk=with_trunk))
        return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _run(self, interpreter: BatchInterpreter, inputs: Mapping[str, F32], *, with_trunk: bool) -> list[F32]:
        try:
            return interpreter.run(inputs, with_trunk=with_trunk)
        except (ValueError, RuntimeError) as error:
            raise runtime_error(self._name, "compute", error) from error

    def _interpreter_for(self, n_rows: int) -> BatchInterpreter:
        """Return an interpreter for the first of ``n_rows``; an existing smaller one if the best cannot be created."""
        size = next((size for size in BATCH_SIZES if n_rows <= 2 * size), BATCH_SIZES[-1])
        try:
            return self.of_size(size)
        except ModelError:
            smaller = [existing for existing in self._by_size if existing < size]
            if not smaller:
                raise
            return self._by_size[max(smaller)]

    def of_size(self, size: int) -> BatchInterpreter:
        """Return the interpreter for batches of ``size``; raise :class:`ModelError` if it cannot be created."""
        if size not in self._by_size:
            try:
                self._by_size[size] = BatchInterpreter(self._content.whole, size, self._shapes, self._outputs)
            except (ValueError, RuntimeError) as error:
                raise runtime_error(self._name, "load", error) from error
            except (MemoryError, OSError) as error:
                msg = f"model {self._name}: no interpreter for {size} rows: {str(error) or 'not enough memory'}"
                raise ModelError(msg) from error
        return self._by_size[size]


def memory_error(name: str, n: int) -> ModelError:
    """Return the error for ``n`` windows that do not fit into memory."""
    return ModelError(f"model {name}: not enough memory for {n} windows")


def runtime_error(name: str, what: str, error: Exception) -> ModelError:
    """Return the error for a runtime that cannot do ``what`` with the file."""
    problem = " ".join(str(error).split())
    if "Flex" in problem:  # the runtime's advice is for Android
        problem = "it needs TensorFlow operations; convert it to TFLite builtin operations alone (LSTM: unroll=True)"
    return ModelError(f"model {name}: the runtime cannot {what} the file: {problem}")
