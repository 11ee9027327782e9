"""A .tflite file as a Predictor."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.card import ModelCard
from gapcast.core.models.predictor import Prediction, TrunkOutputs
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.tflite.head_interpreter import HeadInterpreter
from gapcast.predictors.tflite.model_file import HISTORY, INPUT, ModelContent
from gapcast.predictors.tflite.model_interpreters import BATCH_SIZES, ModelInterpreters, memory_error, runtime_error


class TflitePredictor:
    """A checked model file; implements :class:`gapcast.core.models.predictor.Predictor`.

    Thread-safe: a lock admits one caller at a time to the interpreters (``invoke`` releases the GIL).
    """

    def __init__(self, content: bytes, card: ModelCard) -> None:
        """Allocate the interpreter for a single row; the others are created with the first batch of their size.

        Raises :class:`ModelError` if the bytes are not a model or their signature does not match the card.
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
        self._interpreters = ModelInterpreters(card.name, self._content, self._shapes, self._outputs)
        self._head = HeadInterpreter(self._content, self._shapes, self._outputs)
        self._trunk = self._interpreters.of_size(BATCH_SIZES[0]).trunk

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
        """The steps of the card's history; 0 if the model has no history input."""
        return self._history_steps

    @property
    def forecasts_means(self) -> bool:
        """Whether predictions have ``mean_to``."""
        return self.card.forecasts_means

    @property
    def trunk_digest(self) -> str | None:
        """The digest of the trunk that the model may share: ``body`` of the card."""
        return self.card.body

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of the existing interpreters."""
        return self._interpreters.sizes

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """The batch sizes of the existing interpreters that continue from a trunk."""
        return self._head.sizes

    def warm_up(self, sizes: Iterable[int] = BATCH_SIZES[:1]) -> None:
        """Create and run the interpreters for batches of these ``sizes`` now, so that no reading waits for them."""
        for size in sizes:
            history = np.zeros((size, self._history_steps), dtype=np.float32) if self._history_steps else None
            self.predict(np.zeros((size, *self._shape), dtype=np.float32), history)

    def release_interpreters(self) -> None:
        """Release the interpreters and their memory; the next prediction creates the interpreter that it needs."""
        with self._lock:
            self._release()

    def unload(self) -> None:
        """Release the interpreters and compress the file: the model is unused, but a request may still name it."""
        with self._lock:
            self._release()
            self._content.pack()

    def _release(self) -> None:
        self._interpreters.release()
        self._head.release()

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]``, N >= 1, with ``history`` ``[N, steps]`` if there is one.

        Raises :class:`ModelError` if their shape is wrong, the runtime fails, or memory does not suffice.
        """
        inputs = self._checked(windows, history)
        with self._lock:
            outputs = self._interpreters.run(inputs)
        return self._prediction_of(outputs)

    def predict_with_trunk(self, windows: F32) -> tuple[Prediction, TrunkOutputs]:
        """Forecast like :meth:`predict`, and return the trunk's values, from which another model may continue."""
        inputs = self._checked(windows, None)
        with self._lock:
            outputs = self._interpreters.run(inputs, with_trunk=True)
        values = {name: outputs[place] for name, place in self._trunk.items()}
        return self._prediction_of(outputs[: len(self._outputs)]), TrunkOutputs(windows, values)

    def predict_from_trunk(self, trunk: TrunkOutputs, history: F32 | None = None) -> Prediction:
        """Forecast like :meth:`predict` the windows of a ``trunk``, at most 32, from the trunk's values.

        Raises :class:`ModelError` in the same cases, and if the file cannot continue from a trunk.
        """
        inputs = self._checked(trunk.inputs, history)
        size = next(size for size in BATCH_SIZES if len(trunk.inputs) <= size)
        try:
            with self._lock:
                outputs = self._head.run(size, {**inputs, **trunk.values})
        except (ValueError, RuntimeError) as error:
            raise runtime_error(self.name, "continue", error) from error
        except MemoryError as error:
            raise memory_error(self.name, len(trunk.inputs)) from error
        return self._prediction_of(outputs)

    def zero_trunk_outputs(self, windows: F32) -> TrunkOutputs | None:
        """Return a trunk of ``windows`` whose values are zeros; None if the model cannot continue from a trunk."""
        with self._lock:
            shapes = None if self.trunk_digest is None else self._head.trunk_shapes()
        if shapes is None:
            return None
        n = len(windows)
        return TrunkOutputs(windows, {name: np.zeros((n, *shape), dtype=np.float32) for name, shape in shapes.items()})

    def _checked(self, windows: F32, history: F32 | None) -> dict[str, F32]:
        """Return the inputs of the model by name; raise :class:`ModelError` if their shapes are wrong."""
        n = len(windows)
        if windows.shape[1:] != self._shape or n == 0:
            msg = f"model {self.name} takes [N, {self._shape[0]}, {self._shape[1]}], not {list(windows.shape)}"
            raise ModelError(msg)
        if history is None and not self._history_steps:
            return {INPUT: windows}
        return self._with_history(windows, history)

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
