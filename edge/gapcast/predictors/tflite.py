"""A .tflite file as a Predictor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

import numpy as np

from gapcast.core.card import ModelCard
from gapcast.core.errors import ModelError
from gapcast.core.predictor import Body, Prediction
from gapcast.core.window import F32, WindowSpec
from gapcast.predictors.batch_interpreter import BatchInterpreter
from gapcast.predictors.continuation import Continuation
from gapcast.predictors.model_content import ModelContent
from gapcast.predictors.model_file import HISTORY, INPUT

#: Batch sizes with an interpreter of their own: the first is created with the model, the others with the first batch of
#: that size. A batch is padded up to the next size, because resizing a tensor costs more than the rows. Between 1 and
#: 32 there is one more, because a model of some size takes three times as long for 32 rows as for 8. So what fits into
#: two batches of the size before is split, as larger batches are: beyond 32 a row costs no less, but the interpreter's
#: memory grows (an unrolled model of 330 kB: 7 MB at 32, 17 MB at 256). Not all are created at the start: those of the
#: bundled models for 8 and 32 rows take 23 MB, and a house sends one row at a time. If memory is too short for a larger
#: one, an existing smaller one runs the rows.
BATCH_SIZES = (1, 8, 32)


class TflitePredictor:
    """A checked model file; implements :class:`gapcast.core.predictor.Predictor`.

    Thread-safe: a lock admits one caller at a time to the interpreters (``invoke`` releases the GIL).
    """

    def __init__(self, content: bytes, card: ModelCard) -> None:
        """Allocate the interpreter for a single row; the others are created with the first batch of their size.

        Raises :class:`ModelError` if the bytes are not a model or their signature is not the card's.
        """
        self.card = card
        self._content = ModelContent(content)
        self._features = tuple(feature.name for feature in card.features)
        self._shape = (card.context, len(card.features))
        self._history_steps = card.history_steps
        self._shapes = {INPUT: self._shape} | ({HISTORY: (card.history_steps,)} if card.history else {})
        self._lead_times_min = tuple(card.lead_times_min)
        self._quantile_levels = None if card.quantile_levels is None else tuple(card.quantile_levels)
        self._outputs = card.outputs
        self._has_plain_outputs = self._outputs == Prediction._fields[: len(self._outputs)]
        self._lock = Lock()
        self._interpreters: dict[int, BatchInterpreter] = {}
        self._continuation = Continuation(self._content, self._shapes, self._outputs)
        self._body = self._interpreter_of_size(BATCH_SIZES[0]).body

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def version(self) -> str:
        """The card's version."""
        return self.card.version

    @property
    def spec(self) -> WindowSpec:
        """The card's window."""
        return self.card.spec

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the card's features."""
        return self._features

    @property
    def lead_times_min(self) -> tuple[int, ...]:
        """The card's lead times."""
        return self._lead_times_min

    @property
    def quantile_levels(self) -> tuple[float, ...] | None:
        """The card's quantile levels."""
        return self._quantile_levels

    @property
    def history_steps(self) -> int:
        """The steps of the card's history; 0 if the model takes none."""
        return self._history_steps

    @property
    def forecasts_means(self) -> bool:
        """Whether predictions have ``mean_to``."""
        return self.card.forecasts_means

    @property
    def body(self) -> str | None:
        """The card's digest of the body that the model may share."""
        return self.card.body

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of the existing interpreters."""
        return tuple(sorted(self._interpreters))

    @property
    def continued_sizes(self) -> tuple[int, ...]:
        """The batch sizes of the existing interpreters that continue from a body."""
        return self._continuation.sizes

    def warm_up(self, sizes: Iterable[int] = BATCH_SIZES[:1]) -> None:
        """Create and run the interpreters for batches of these ``sizes`` now, so that no reading waits for them."""
        for size in sizes:
            history = np.zeros((size, self._history_steps), dtype=np.float32) if self._history_steps else None
            self.predict(np.zeros((size, *self._shape), dtype=np.float32), history)

    def release_interpreters(self) -> None:
        """Release the interpreters and their memory; the next prediction creates the one that it needs."""
        with self._lock:
            self._release()

    def set_aside(self) -> None:
        """Release the interpreters and compress the file: the model is not in use, though a request may name it."""
        with self._lock:
            self._release()
            self._content.pack()

    def _release(self) -> None:
        self._interpreters.clear()
        self._continuation.release()

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]``, any N >= 1, with ``history`` ``[N, steps]`` if it takes one.

        Raises :class:`ModelError` if they have another shape, the runtime fails, or memory is too short.
        """
        return self._prediction_of(self._outputs_of(self._checked(windows, history)))

    def predict_with_body(self, windows: F32) -> tuple[Prediction, Body]:
        """Forecast as :meth:`predict`, and return the body, which another model may continue from."""
        outputs = self._outputs_of(self._checked(windows, None), with_body=True)
        values = {name: outputs[place] for name, place in self._body.items()}
        return self._prediction_of(outputs[: len(self._outputs)]), Body(windows, values)

    def predict_after(self, body: Body, history: F32 | None = None) -> Prediction:
        """Forecast as :meth:`predict` the windows of a ``body``, at most 32, from its values.

        Raises :class:`ModelError` in the same cases, and if the file cannot continue from a body.
        """
        inputs = self._checked(body.inputs, history)
        size = next(size for size in BATCH_SIZES if len(body.inputs) <= size)
        try:
            with self._lock:
                outputs = self._continuation.run(size, {**inputs, **body.values})
        except (ValueError, RuntimeError) as error:
            raise self._runtime_error("continue", error) from error
        except MemoryError as error:
            raise self._memory_error(len(body.inputs)) from error
        return self._prediction_of(outputs)

    def empty_body(self, windows: F32) -> Body | None:
        """Return a body of ``windows`` whose values are zeros; None if the model cannot continue from one."""
        with self._lock:
            shapes = None if self.body is None else self._continuation.body_shapes()
        if shapes is None:
            return None
        n = len(windows)
        return Body(windows, {name: np.zeros((n, *shape), dtype=np.float32) for name, shape in shapes.items()})

    def _checked(self, windows: F32, history: F32 | None) -> dict[str, F32]:
        """Return the inputs of the model by name; raise :class:`ModelError` if their shapes are wrong."""
        n = len(windows)
        if windows.shape[1:] != self._shape or n == 0:
            msg = f"model {self.name} takes [N, {self._shape[0]}, {self._shape[1]}], not {list(windows.shape)}"
            raise ModelError(msg)
        if history is None and not self._history_steps:
            return {INPUT: windows}
        return self._with_history(windows, history)

    def _outputs_of(self, inputs: Mapping[str, F32], *, with_body: bool = False) -> list[F32]:
        n = len(inputs[INPUT])
        try:
            with self._lock:
                interpreter = self._interpreters.get(n)
                if interpreter is not None:
                    return self._run(interpreter, inputs, with_body=with_body)
                return self._run_parts(inputs, with_body=with_body)
        except MemoryError as error:
            raise self._memory_error(n) from error

    def _prediction_of(self, outputs: list[F32]) -> Prediction:
        if self._has_plain_outputs:
            return Prediction(*outputs)
        return Prediction(**dict(zip(self._outputs, outputs, strict=True)))

    def _with_history(self, windows: F32, history: F32 | None) -> dict[str, F32]:
        """Return the inputs ``windows`` and ``history``; raise :class:`ModelError` if the history is wrong."""
        if not self._history_steps:
            msg = f"model {self.name} takes no history"
            raise ModelError(msg)
        n = len(windows)
        if history is None or history.shape != (n, self._history_steps):
            found = "none" if history is None else list(history.shape)
            msg = f"model {self.name} takes a history of [{n}, {self._history_steps}] for {n} windows, not {found}"
            raise ModelError(msg)
        return {INPUT: windows, HISTORY: history}

    def _run_parts(self, inputs: Mapping[str, F32], *, with_body: bool) -> list[F32]:
        """Return the outputs for a batch of any size, which may be split."""
        parts: list[list[F32]] = []
        first, n = 0, len(inputs[INPUT])
        while first < n:
            interpreter = self._interpreter_for(n - first)
            rows = {name: values[first : first + interpreter.batch_size] for name, values in inputs.items()}
            first += len(rows[INPUT])
            parts.append(self._run(interpreter, rows, with_body=with_body))
        return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _run(self, interpreter: BatchInterpreter, inputs: Mapping[str, F32], *, with_body: bool) -> list[F32]:
        try:
            return interpreter.run(inputs, with_body=with_body)
        except (ValueError, RuntimeError) as error:
            raise self._runtime_error("compute", error) from error

    def _interpreter_for(self, n_rows: int) -> BatchInterpreter:
        """Return the interpreter for the first of ``n_rows``, or an existing smaller one if it cannot be created."""
        size = next((size for size in BATCH_SIZES if n_rows <= 2 * size), BATCH_SIZES[-1])
        try:
            return self._interpreter_of_size(size)
        except ModelError:
            smaller = [existing for existing in self._interpreters if existing < size]
            if not smaller:
                raise
            return self._interpreters[max(smaller)]

    def _interpreter_of_size(self, size: int) -> BatchInterpreter:
        if size not in self._interpreters:
            try:
                self._interpreters[size] = BatchInterpreter(self._content.whole, size, self._shapes, self._outputs)
            except (ValueError, RuntimeError) as error:
                raise self._runtime_error("load", error) from error
            except (MemoryError, OSError) as error:
                msg = f"model {self.name}: no interpreter for {size} rows: {str(error) or 'memory is too short'}"
                raise ModelError(msg) from error
        return self._interpreters[size]

    def _memory_error(self, n: int) -> ModelError:
        return ModelError(f"model {self.name}: memory is too short for {n} windows")

    def _runtime_error(self, what: str, error: Exception) -> ModelError:
        return ModelError(f"model {self.name}: the runtime cannot {what} the file: {' '.join(str(error).split())}")
