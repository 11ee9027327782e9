"""The interpreter of a .tflite file for one batch size: its signature, checked, and its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gapcast.core.errors import ModelError
from gapcast.core.window import F32
from gapcast.predictors.model_file import BODY_PREFIX, CONTINUATION, HISTORY, INPUT
from gapcast.predictors.runtime import load_interpreter

#: By name of an input, the shape of one row.
Shapes = Mapping[str, tuple[int, ...]]
#: numpy has one object for this type, as for all of its own: comparing it takes less time than equality.
_FLOAT32 = np.dtype(np.float32)
#: The rows of each input, in errors.
_ROWS_OF = {INPUT: "windows of {} (context, features)", HISTORY: "histories of {} (steps)"}


class BatchInterpreter:
    """An interpreter allocated for one batch size."""

    def __init__(self, content: bytes, batch_size: int, shapes: Shapes, outputs: tuple[str, ...]) -> None:
        """Allocate it for inputs of ``shapes``, a row of each by its name.

        Raises :class:`ModelError` or :class:`ValueError` if the file has another signature.
        """
        interpreter_class, _ = load_interpreter()
        self._interpreter: Any = interpreter_class(model_content=content, num_threads=1)
        signatures = [name for name in self._interpreter.get_signature_list() if name != CONTINUATION]
        if len(signatures) != 1:
            msg = f"the file has {len(signatures)} signatures, not one"
            raise ModelError(msg)
        runner = self._interpreter.get_signature_runner(signatures[0])
        found_in, found_out = runner.get_input_details(), runner.get_output_details()
        if set(found_in) != set(shapes) or not set(outputs) <= set(found_out):
            msg = f"the file's signature is {sorted(found_in)} -> {sorted(found_out)}, not {[*shapes]} -> {[*outputs]}"
            raise ModelError(msg)
        for name, shape in shapes.items():
            found_shape = [int(size) for size in found_in[name]["shape_signature"][1:]]
            if found_shape != list(shape):
                msg = f"the file takes {_ROWS_OF[name].format(found_shape)}, not {list(shape)} as its card says"
                raise ValueError(msg)
        self.batch_size = batch_size
        self._inputs = tuple(found_in[name]["index"] for name in shapes)
        self._outputs = tuple(found_out[name]["index"] for name in outputs)
        of_body = {name: one["index"] for name, one in found_out.items() if name.startswith(BODY_PREFIX)}
        all_outputs = [*dict.fromkeys((*self._outputs, *of_body.values()))]
        #: The values of the body by name: their places among all outputs.
        self.body = {name: all_outputs.index(index) for name, index in of_body.items()}
        del runner  # it references the interpreter's memory, which is reallocated next
        for index, shape in zip(self._inputs, shapes.values(), strict=True):
            self._interpreter.resize_tensor_input(index, (batch_size, *shape))
        self._interpreter.allocate_tensors()
        self._batches = [np.zeros((batch_size, *shape), dtype=np.float32) for shape in shapes.values()]
        set_tensor, get_tensor = self._interpreter.set_tensor, self._interpreter.get_tensor
        self._invoke = self._interpreter.invoke
        self._set = [partial(set_tensor, index) for index in self._inputs]
        self._get = [partial(get_tensor, index) for index in self._outputs]
        self._get_all = [partial(get_tensor, index) for index in all_outputs]

    def run(self, inputs: Sequence[F32], *, with_body: bool = False) -> list[F32]:
        """Run rows of each input (at most the batch size); the remaining rows of the batch are stale and dropped.

        ``with_body``: those of the body, but for those that are outputs too, follow the others.
        """
        n = len(inputs[0])
        for set_tensor, batch, rows in zip(self._set, self._batches, inputs, strict=True):
            if n == self.batch_size and rows.dtype is _FLOAT32:
                set_tensor(rows)  # which copies it
            else:
                batch[:n] = rows
                set_tensor(batch)
        self._invoke()
        get = self._get_all if with_body else self._get
        if n == self.batch_size:
            return [get_tensor() for get_tensor in get]
        return [get_tensor()[:n] for get_tensor in get]
