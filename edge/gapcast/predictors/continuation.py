"""The part of a model file that begins after its body, whose values another model has computed for the same windows.

Such a file has two signatures, over the same weights: the whole model, and :data:`CONTINUATION`. One with the whole
model alone has no continuation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gapcast.core.window import F32
from gapcast.predictors.model_content import ModelContent
from gapcast.predictors.model_file import BODY_PREFIX, CONTINUATION
from gapcast.predictors.runtime import load_interpreter

#: numpy has one object for this type: comparing it takes less time than equality.
_FLOAT32 = np.dtype(np.float32)


class Continuation:
    """Runs the continuation of a file. One caller at a time."""

    def __init__(self, content: ModelContent, shapes: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...]) -> None:
        """Continue the model ``content``, with inputs of ``shapes``, a row of each by its name, and its ``outputs``.

        Nothing is loaded before the first run.
        """
        self._content = content
        self._shapes = shapes
        self._outputs = outputs
        self._runs: dict[int, _Run] = {}

    def release(self) -> None:
        """Release the interpreters and their memory."""
        self._runs.clear()

    def body_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Return the shapes of the body, a row of each value by its name; None if the file has no continuation."""
        interpreter = self._interpreter()
        if CONTINUATION not in interpreter.get_signature_list():
            return None
        shapes = _shapes_of(interpreter.get_signature_runner(CONTINUATION))
        return {name: shape for name, shape in shapes.items() if name.startswith(BODY_PREFIX)}

    def run(self, size: int, inputs: Sequence[F32], values: Mapping[str, F32]) -> list[F32]:
        """Return the outputs for at most ``size`` rows of ``inputs``, in the order of the shapes, and of ``values``.

        Raises :class:`ValueError` if the file has no continuation, or one with other inputs or outputs, and what the
        runtime raises.
        """
        found = self._runs.get(size)
        if found is None:
            found = self._runs[size] = self._load(size)
        return found.outputs_of(inputs, values)

    def _interpreter(self) -> Any:
        interpreter_class, _ = load_interpreter()
        return interpreter_class(model_content=self._content.continuation, num_threads=1)

    def _load(self, size: int) -> _Run:
        interpreter = self._interpreter()
        if CONTINUATION not in interpreter.get_signature_list():
            msg = f"it has no signature {CONTINUATION}"
            raise ValueError(msg)
        runner = interpreter.get_signature_runner(CONTINUATION)
        found = _shapes_of(runner)
        own = {name: shape for name, shape in found.items() if not name.startswith(BODY_PREFIX)}
        if own != dict(self._shapes) or not set(self._outputs) <= set(runner.get_output_details()):
            msg = f"its signature {CONTINUATION} takes {own}, not {dict(self._shapes)}, or lacks outputs"
            raise ValueError(msg)
        names = dict.fromkeys((*self._shapes, *found))
        return _Run(interpreter, runner, {name: (size, *found[name]) for name in names}, self._outputs)


class _Run:
    """A signature's subgraph, allocated for one batch size.

    The runtime's own runner allocates it again for each call, which takes a third of the time: it makes the first call
    alone.
    """

    def __init__(
        self, interpreter: Any, runner: Any, shapes: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...]
    ) -> None:
        """Allocate the subgraph of ``runner`` for inputs of ``shapes``, whole batches by name, those of a body last."""
        self._batch = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
        self._size = next(iter(shapes.values()))[0]
        runner(**self._batch)
        wrapper, subgraph = interpreter._interpreter, runner._subgraph_index
        places = runner.get_input_details()
        self._set = {name: partial(wrapper.SetTensor, places[name]["index"]) for name in shapes}
        found = runner.get_output_details()
        self._get = [partial(wrapper.GetTensor, found[name]["index"], subgraph) for name in outputs]
        self._invoke = partial(wrapper.Invoke, subgraph)
        self._subgraph = subgraph

    def outputs_of(self, inputs: Sequence[F32], values: Mapping[str, F32]) -> list[F32]:
        """Return the outputs for rows of the ``inputs`` and of the ``values`` of a body, at most the batch size.

        Raises :class:`ValueError` if a value of the body is missing, or it has others.
        """
        n, subgraph = len(inputs[0]), self._subgraph
        if len(inputs) + len(values) != len(self._set) or not values.keys() <= self._set.keys():
            msg = f"it takes {sorted(self._set)}, and the body has {sorted(values)}"
            raise ValueError(msg)
        for name, rows in (*zip(self._set, inputs), *values.items()):  # noqa: B905 - the inputs come first
            if n == self._size and rows.dtype is _FLOAT32:
                self._set[name](rows, subgraph)
            else:
                batch = self._batch[name]
                batch[:n] = rows
                self._set[name](batch, subgraph)
        self._invoke()
        found = [get_tensor() for get_tensor in self._get]
        return found if n == self._size else [rows[:n] for rows in found]


def _shapes_of(runner: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a signature's inputs, a row of each by its name."""
    return {name: tuple(map(int, one["shape"][1:])) for name, one in runner.get_input_details().items()}
