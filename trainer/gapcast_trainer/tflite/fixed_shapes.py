"""Replaces shapes in a TFLite graph that Keras computes from the batch size by constant ones.

A layer that reshapes ``[N, *]`` becomes four operators: three read N and build the shape, the last one reshapes. With
``-1`` in place of N the shape is constant. The outputs stay the same, bit by bit, but the runtime neither runs the
three operators nor allocates the result again at each call, and its delegates take longer parts of the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_Operator = schema.BuiltinOperator
#: The inputs after the shape of the operator that takes N from a shape: the first index, and the second, exclusive.
_OF_BATCH = ([0], [1], [1])


def fix_shapes(graph: Any) -> int:
    """Make the shapes to which ``graph``, a ``ModelT`` of one subgraph, reshapes constant; return their number."""
    subgraph = graph.subgraphs[0]
    makers = {int(place): operator for operator in subgraph.operators for place in operator.outputs}
    constants: dict[tuple[int, ...], int] = {}
    n_fixed = 0
    for operator in subgraph.operators:
        shape = _shape_of(graph, operator, makers)
        if shape is not None:
            if shape not in constants:
                constants[shape] = add_constant(graph, shape)
            operator.inputs = [int(operator.inputs[0]), constants[shape]]
            n_fixed += 1
    _remove_unused(subgraph)
    return n_fixed


def _shape_of(graph: Any, operator: Any, makers: dict[int, Any]) -> tuple[int, ...] | None:
    """Return the target shape of ``operator``, -1 for N; None if it does not reshape, or N is not its only variable."""
    if not is_operator(graph, operator, _Operator.RESHAPE):
        return None
    pack = makers.get(int(operator.inputs[1]))
    if pack is None or not is_operator(graph, pack, _Operator.PACK):
        return None
    sizes = []
    for place in map(int, pack.inputs):
        constant = constant_of(graph, place)
        if constant is not None:
            sizes += constant
        elif _is_batch_size(graph, makers.get(place), makers):
            sizes.append(-1)
        else:
            return None
    return tuple(sizes) if sizes.count(-1) == 1 and sizes[0] == -1 else None


def _is_batch_size(graph: Any, operator: Any, makers: dict[int, Any]) -> bool:
    """Return whether ``operator`` takes the first size of a tensor's shape."""
    if not is_operator(graph, operator, _Operator.STRIDED_SLICE):
        return False
    shape, *slice_of = map(int, operator.inputs)
    return is_operator(graph, makers.get(shape), _Operator.SHAPE) and all(
        constant_of(graph, place) == expected for place, expected in zip(slice_of, _OF_BATCH, strict=True)
    )


def is_operator(graph: Any, operator: Any, code: int) -> bool:
    """Return whether ``operator`` of ``graph`` is a builtin with this ``code``; None is not."""
    return operator is not None and graph.operatorCodes[operator.opcodeIndex].builtinCode == code


def constant_of(graph: Any, place: int) -> list[int] | None:
    """Return the values of a constant tensor of integers; None if it is not constant."""
    content = graph.buffers[graph.subgraphs[0].tensors[place].buffer].data
    return None if content is None or not len(content) else np.frombuffer(bytes(content), dtype=np.int32).tolist()


def is_by_window(tensor: Any) -> bool:
    """Return whether only the first axis of ``tensor`` may be N; the files omit this usual case."""
    sizes = tensor.shapeSignature
    return sizes is None or (sizes[0] < 0 and all(size >= 0 for size in sizes[1:]))


def add_constant(graph: Any, shape: tuple[int, ...]) -> int:
    """Add a constant tensor with the values of ``shape``; return its index."""
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.array(shape, dtype=np.int32).tobytes(), dtype=np.uint8)
    graph.buffers.append(buffer)
    tensor.shape, tensor.type, tensor.buffer = [len(shape)], schema.TensorType.INT32, len(graph.buffers) - 1
    tensor.hasRank, tensor.name = True, b""
    tensors = graph.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _remove_unused(subgraph: Any) -> None:
    """Remove the operators without any used output."""
    n_before = -1
    while n_before != len(subgraph.operators):
        n_before = len(subgraph.operators)
        used = {int(place) for operator in subgraph.operators for place in operator.inputs}
        used |= set(map(int, subgraph.outputs))
        subgraph.operators = [one for one in subgraph.operators if not used.isdisjoint(map(int, one.outputs))]
