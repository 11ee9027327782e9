"""The part of a model file that begins after its body, whose values another model has computed for the same windows.

Such a file has two signatures, over the same weights: the whole model, and :data:`CONTINUATION`. One with the whole
model alone has no continuation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gapcast.core.predictor import Body
from gapcast.core.window import F32
from gapcast.predictors.model_file import BODY_PREFIX, CONTINUATION
from gapcast.predictors.runtime import load_interpreter


class Continuation:
    """Runs the continuation of a file. One caller at a time."""

    def __init__(self, content: bytes, shapes: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...]) -> None:
        """Continue the model ``content``, with inputs of ``shapes``, a row of each by its name, and its ``outputs``.

        Nothing is loaded before the first run.
        """
        self._content = content
        self._shapes = shapes
        self._outputs = outputs
        #: The runner of each batch size, and its inputs ``[size, ...]``.
        self._runners: dict[int, tuple[Any, dict[str, F32]]] = {}

    def release(self) -> None:
        """Release the interpreters and their memory."""
        self._runners.clear()

    def body_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Return the shapes of the body, a row of each value by its name; None if the file has no continuation."""
        interpreter_class, _ = load_interpreter()
        interpreter: Any = interpreter_class(model_content=self._content, num_threads=1)
        if CONTINUATION not in interpreter.get_signature_list():
            return None
        shapes = _shapes_of(interpreter.get_signature_runner(CONTINUATION))
        return {name: shape for name, shape in shapes.items() if name.startswith(BODY_PREFIX)}

    def run(self, size: int, inputs: Mapping[str, F32], body: Body) -> list[F32]:
        """Return the outputs for at most ``size`` rows of ``inputs`` and ``body``.

        Raises :class:`ValueError` if the file has no continuation, or one with other inputs or outputs, and what the
        runtime raises.
        """
        if size not in self._runners:
            self._runners[size] = self._load(size)
        runner, batch = self._runners[size]
        n = len(next(iter(inputs.values())))
        if n == size:
            found = runner(**inputs, **body)
            return [found[name] for name in self._outputs]
        for name, rows in (*inputs.items(), *body.items()):
            batch[name][:n] = rows
        found = runner(**batch)
        return [found[name][:n] for name in self._outputs]

    def _load(self, size: int) -> tuple[Any, dict[str, F32]]:
        interpreter_class, _ = load_interpreter()
        interpreter: Any = interpreter_class(model_content=self._content, num_threads=1)
        if CONTINUATION not in interpreter.get_signature_list():
            msg = f"it has no signature {CONTINUATION}"
            raise ValueError(msg)
        runner = interpreter.get_signature_runner(CONTINUATION)
        found = _shapes_of(runner)
        own = {name: shape for name, shape in found.items() if not name.startswith(BODY_PREFIX)}
        if own != dict(self._shapes) or not set(self._outputs) <= set(runner.get_output_details()):
            msg = f"its signature {CONTINUATION} takes {own}, not {dict(self._shapes)}, or lacks outputs"
            raise ValueError(msg)
        return runner, {name: np.zeros((size, *shape), dtype=np.float32) for name, shape in found.items()}


def _shapes_of(runner: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a signature's inputs, a row of each by its name."""
    return {name: tuple(map(int, one["shape"][1:])) for name, one in runner.get_input_details().items()}
