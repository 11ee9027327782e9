"""The interpreter of a .tflite file for one batch size: its checked signature and its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.predictors.tflite.input_batch import InputBatch, Shapes
from gapcast.predictors.tflite.model_file import HEAD_SIGNATURE, HISTORY, INPUT, TRUNK_PREFIX
from gapcast.predictors.tflite.runtime import load_interpreter

#: Name of the rows of each input, in errors.
_ROWS_OF = {INPUT: "windows of {} (context, features)", HISTORY: "histories of {} (steps)"}


class BatchInterpreter:
    """An interpreter allocated for one batch size."""

    def __init__(self, content: bytes, batch_size: int, shapes: Shapes, outputs: tuple[str, ...]) -> None:
        """Allocate the interpreter for inputs with row ``shapes`` by name.

        Raises :class:`ModelError` or :class:`ValueError` if the file has another signature.
        """
        interpreter_class, _ = load_interpreter()
        self._interpreter: Any = interpreter_class(model_content=content, num_threads=1)
        signatures = [name for name in self._interpreter.get_signature_list() if name != HEAD_SIGNATURE]
        if len(signatures) != 1:
            msg = f"the file has {len(signatures)} signatures, not one"
            raise ModelError(msg)
        runner = self._interpreter.get_signature_runner(signatures[0])
        found_in, found_out = runner.get_input_details(), runner.get_output_details()
        if set(found_in) != set(shapes) or not set(outputs) <= set(found_out):
            msg = (
                f"the file's signature is {sorted(found_in)} -> {sorted(found_out)}, not {[*shapes]} -> {[*outputs]}: "
                "name inputs and outputs like this, and convert the model again"
            )
            raise ModelError(msg)
        for name, shape in shapes.items():
            found_shape = [int(size) for size in found_in[name]["shape_signature"][1:]]
            if found_shape != list(shape):
                msg = f"the file takes {_ROWS_OF[name].format(found_shape)}, not {list(shape)} as its card says"
                raise ValueError(msg)
        self.batch_size = batch_size
        inputs = {name: found_in[name]["index"] for name in shapes}
        self._outputs = tuple(found_out[name]["index"] for name in outputs)
        of_trunk = {name: one["index"] for name, one in found_out.items() if name.startswith(TRUNK_PREFIX)}
        all_outputs = [*dict.fromkeys((*self._outputs, *of_trunk.values()))]
        #: The values of the trunk: name -> index among all outputs.
        self.trunk = {name: all_outputs.index(index) for name, index in of_trunk.items()}
        del runner  # it references the interpreter's memory, which is reallocated next
        for name, shape in shapes.items():
            self._interpreter.resize_tensor_input(inputs[name], (batch_size, *shape))
        self._interpreter.allocate_tensors()
        set_tensor, get_tensor = self._interpreter.set_tensor, self._interpreter.get_tensor
        self._invoke = self._interpreter.invoke
        setters = {name: partial(set_tensor, index) for name, index in inputs.items()}
        self._batch = InputBatch(batch_size, shapes, setters)
        self._get = [partial(get_tensor, index) for index in self._outputs]
        self._get_all = [partial(get_tensor, index) for index in all_outputs]

    def run(self, inputs: Mapping[str, F32], *, with_trunk: bool = False) -> list[F32]:
        """Return the outputs for the rows of ``inputs``, by name, at most the batch size of each.

        ``with_trunk``: the trunk's values that are not also outputs follow the outputs.
        """
        n = self._batch.set_rows(inputs)
        self._invoke()
        get = self._get_all if with_trunk else self._get
        if n == self.batch_size:
            return [get_tensor() for get_tensor in get]
        return [get_tensor()[:n] for get_tensor in get]
