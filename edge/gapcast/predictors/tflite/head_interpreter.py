"""The part of a model file after its trunk, whose values another model has already computed for the same windows.

Such a file has two signatures over the same weights: the whole model, and :data:`HEAD_SIGNATURE`. A file with only the
whole model has no head.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from gapcast.core.arrays.array_types import F32
from gapcast.predictors.tflite.input_batch import InputBatch, Setter, Shapes
from gapcast.predictors.tflite.model_file import HEAD_SIGNATURE, TRUNK_PREFIX, ModelContent
from gapcast.predictors.tflite.runtime import load_interpreter


class HeadInterpreter:
    """Runs the head of a file. One caller at a time."""

    def __init__(self, content: ModelContent, shapes: Shapes, outputs: tuple[str, ...]) -> None:
        """Continue the model ``content``, with inputs of row ``shapes`` by name, and its ``outputs``.

        Nothing is loaded before the first run.
        """
        self._content = content
        self._shapes = shapes
        self._outputs = outputs
        self._runs: dict[int, _Run] = {}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of the existing interpreters."""
        return tuple(sorted(self._runs))

    def release(self) -> None:
        """Release the interpreters and their memory."""
        self._runs.clear()

    def trunk_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Return the row shape of each value of the trunk by name; None if the file has no head."""
        interpreter = self._interpreter()
        if HEAD_SIGNATURE not in interpreter.get_signature_list():
            return None
        shapes = _shapes_of(interpreter.get_signature_runner(HEAD_SIGNATURE))
        return {name: shape for name, shape in shapes.items() if name.startswith(TRUNK_PREFIX)}

    def run(self, size: int, inputs: Mapping[str, F32]) -> list[F32]:
        """Return the outputs for at most ``size`` rows of ``inputs`` by name: the model's and the trunk's values.

        Raises :class:`ValueError` if the file has no head, or a head with other inputs or outputs, and the errors of
        the runtime.
        """
        found = self._runs.get(size)
        if found is None:
            found = self._runs[size] = self._load(size)
        return found.outputs_of(inputs)

    def _interpreter(self) -> Any:
        interpreter_class, _ = load_interpreter()
        return interpreter_class(model_content=self._content.head, num_threads=1)

    def _load(self, size: int) -> _Run:
        interpreter = self._interpreter()
        if HEAD_SIGNATURE not in interpreter.get_signature_list():
            msg = f"it has no signature {HEAD_SIGNATURE}"
            raise ValueError(msg)
        runner = interpreter.get_signature_runner(HEAD_SIGNATURE)
        found = _shapes_of(runner)
        own = {name: shape for name, shape in found.items() if not name.startswith(TRUNK_PREFIX)}
        if own != dict(self._shapes) or not set(self._outputs) <= set(runner.get_output_details()):
            msg = f"its signature {HEAD_SIGNATURE} takes {own}, not {dict(self._shapes)}, or lacks outputs"
            raise ValueError(msg)
        return _Run(interpreter, runner, size, found, self._outputs)


class _Run:
    """A signature's subgraph, allocated for one batch size.

    The runtime's own runner allocates the subgraph again for each call, which takes a third of the time; it is used
    only for the first call.
    """

    def __init__(self, interpreter: Any, runner: Any, size: int, shapes: Shapes, outputs: tuple[str, ...]) -> None:
        """Allocate the subgraph of ``runner`` for ``size`` rows of inputs of ``shapes``, by name."""
        self._interpreter = interpreter  # holds the bytes of the file, which the wrapper reads without a reference
        wrapper, subgraph = interpreter._interpreter, runner._subgraph_index
        places = runner.get_input_details()
        setters = {name: _setter(wrapper, places[name]["index"], subgraph) for name in shapes}
        self._batch = InputBatch(size, shapes, setters)
        runner(**self._batch.arrays())
        found = runner.get_output_details()
        self._get = [partial(wrapper.GetTensor, found[name]["index"], subgraph) for name in outputs]
        self._invoke = partial(wrapper.Invoke, subgraph)

    def outputs_of(self, inputs: Mapping[str, F32]) -> list[F32]:
        """Return the outputs for the rows of ``inputs``, at most the batch size.

        Raises :class:`ValueError` if an input is missing, or there are others.
        """
        n = self._batch.set_rows(inputs)
        self._invoke()
        found = [get_tensor() for get_tensor in self._get]
        return found if n == self._batch.size else [rows[:n] for rows in found]


def _setter(wrapper: Any, index: int, subgraph: int) -> Setter:
    """Return the function that sets an input of a subgraph. The runtime finds the subgraph fastest by its index."""
    set_tensor = wrapper.SetTensor

    def set_rows(rows: F32) -> None:
        set_tensor(index, rows, subgraph)

    return set_rows


def _shapes_of(runner: Any) -> dict[str, tuple[int, ...]]:
    """Return the row shape of each input of a signature by name."""
    return {name: tuple(map(int, one["shape"][1:])) for name, one in runner.get_input_details().items()}
