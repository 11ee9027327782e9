"""Operators in the form that the runtime's fast kernels support.

The runtime gives parts of a graph to a delegate (XNNPACK). An operator that the delegate does not support splits such a
part in two, and runs in a reference kernel, which copies value by value. Two kinds are rewritten for the delegate:

- a slice that begins or ends before the end of an axis, or removes an axis: to one with plain indices, and a reshape;
- a concatenation of more than :data:`MAX_CONCATENATED` tensors: to several of at most this many.

These operators only move values, so that the outputs stay the same, bit by bit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tensorflow.lite.python import schema_py_generated as schema

from gapcast_trainer.tflite.fixed_shapes import add_constant, constant_of, is_by_window, is_operator

#: Maximum number of tensors that the delegate concatenates at once.
MAX_CONCATENATED = 5
_Operator = schema.BuiltinOperator
#: The mask of the first axis, N, which slices take whole.
_WHOLE_BATCH = 1


class _Slice(NamedTuple):
    """Plain indices of all axes, as stored in constants of a slice, and the shapes with and without removed axes."""

    begin: list[int]
    end: list[int]
    sliced: list[int]
    shape: list[int]


def write_delegated(graph: Any) -> int:
    """Rewrite the operators of ``graph``, a ``ModelT`` of one subgraph, for the delegate; return the number rewritten.

    Operators that it does not support in any form stay.
    """
    return _GraphWriter(graph).write()


class _GraphWriter:
    """Rewrites the operators of a graph, with additional tensors where they need them."""

    def __init__(self, graph: Any) -> None:
        self._graph, self._subgraph = graph, graph.subgraphs[0]
        self._constants: dict[tuple[int, ...], int] = {}
        self._n_written = 0

    def write(self) -> int:
        self._subgraph.operators = [new for operator in self._subgraph.operators for new in self._written(operator)]
        return self._n_written

    def _written(self, operator: Any) -> Iterator[Any]:
        found = self._slice_of(operator)
        if found is not None:
            self._n_written += 1
            yield from self._write_slice(operator, found)
        elif is_operator(self._graph, operator, _Operator.CONCATENATION) and len(operator.inputs) > MAX_CONCATENATED:
            self._n_written += 1
            yield from self._write_concatenations(operator)
        else:
            yield operator

    # --- slices -----------------------------------------------------------------------------------

    def _slice_of(self, operator: Any) -> _Slice | None:
        """Return the plain form of a slice of floats; None if it has none or already is plain, or is no slice."""
        if not is_operator(self._graph, operator, _Operator.STRIDED_SLICE):
            return None
        tensor, options = self._subgraph.tensors[int(operator.inputs[0])], operator.builtinOptions
        begin, end, strides = (constant_of(self._graph, int(place)) for place in operator.inputs[1:])
        if tensor.type != schema.TensorType.FLOAT32 or begin is None or end is None or {*(strides or [0])} != {1}:
            return None
        removed = int(options.shrinkAxisMask)
        takes_batch = not begin[0] and options.endMask & _WHOLE_BATCH and not removed & _WHOLE_BATCH
        if options.newAxisMask or options.ellipsisMask or not takes_batch or not is_by_window(tensor):
            return None
        found = _Slice([0], [0], [1], [1])
        for axis, size in enumerate(map(int, tensor.shape[1:]), start=1):
            bit = 1 << axis
            first = 0 if options.beginMask & bit else _place_of(begin[axis], size)
            last = first + 1 if removed & bit else size if options.endMask & bit else _place_of(end[axis], size)
            if first >= last:
                return None
            found.begin.append(first)
            found.end.append(last)
            found.sliced.append(last - first)
            if not removed & bit:
                found.shape.append(last - first)
        is_plain = (found.begin, found.end, removed) == (begin, end, 0)
        return None if is_plain and options.beginMask == options.endMask == _WHOLE_BATCH else found

    def _write_slice(self, operator: Any, found: _Slice) -> Iterator[Any]:
        sliced, options = copy.copy(operator), copy.copy(operator.builtinOptions)
        indices = (found.begin, found.end, [1] * len(found.begin))
        sliced.inputs = [int(operator.inputs[0]), *map(self._constant, indices)]
        options.beginMask, options.endMask, options.shrinkAxisMask = _WHOLE_BATCH, _WHOLE_BATCH, 0
        sliced.builtinOptions = options
        if len(found.shape) == len(found.sliced):
            yield sliced
            return
        sliced.outputs = [self._add_tensor(found.sliced)]
        yield sliced
        shape = [-1, *found.shape[1:]]
        reshaped = schema.OperatorT()
        reshaped.opcodeIndex = self._code_of(_Operator.RESHAPE)
        reshaped.inputs, reshaped.outputs = [sliced.outputs[0], self._constant(shape)], operator.outputs
        reshaped.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        reshaped.builtinOptions = schema.ReshapeOptionsT()
        reshaped.builtinOptions.newShape = shape
        yield reshaped

    # --- concatenations ---------------------------------------------------------------------------

    def _write_concatenations(self, operator: Any) -> Iterator[Any]:
        places = [int(place) for place in operator.inputs]
        while len(places) > MAX_CONCATENATED:
            groups = [places[first : first + MAX_CONCATENATED] for first in range(0, len(places), MAX_CONCATENATED)]
            places = []
            for group in groups:
                if len(group) == 1:
                    places += group
                    continue
                part = copy.copy(operator)
                part.inputs, part.outputs = group, [self._add_tensor(self._joined_shape(group, operator))]
                places.append(part.outputs[0])
                yield part
        last = copy.copy(operator)
        last.inputs = places
        yield last

    def _joined_shape(self, places: Sequence[int], operator: Any) -> list[int]:
        axis = int(operator.builtinOptions.axis)
        shapes = [[int(size) for size in self._subgraph.tensors[place].shape] for place in places]
        joined = [*shapes[0]]
        joined[axis] = sum(shape[axis] for shape in shapes)
        return joined

    # --- parts of the graph -----------------------------------------------------------------------

    def _constant(self, values: Sequence[int]) -> int:
        key = tuple(values)
        if key not in self._constants:
            self._constants[key] = add_constant(self._graph, key)
        return self._constants[key]

    def _add_tensor(self, shape: Sequence[int]) -> int:
        """Add a tensor of floats for an operator's output, ``shape`` for a batch of one; return its index."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [*shape], schema.TensorType.FLOAT32, 0
        tensor.hasRank, tensor.name = True, b""
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1

    def _code_of(self, builtin: int) -> int:
        """Return the index of an operator's code; add the code if the graph has no such operator."""
        codes = self._graph.operatorCodes
        for place, code in enumerate(codes):
            if code.builtinCode == builtin:
                return place
        added = schema.OperatorCodeT()
        added.builtinCode = added.deprecatedBuiltinCode = builtin
        added.version = 1
        codes.append(added)
        return len(codes) - 1


def _place_of(index: int, size: int) -> int:
    """Return the position in an axis of ``size`` where a slice begins or ends: a negative index counts from its end."""
    return min(max(index + size if index < 0 else index, 0), size)
