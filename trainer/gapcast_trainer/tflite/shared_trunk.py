"""Lets an outlook model continue from the trunk that another model has computed, without new weights.

The outlook's frozen trunk is another model's trunk, so that both files compute it. Afterwards the other file has the
values of the trunk as additional outputs, and the outlook's file has a second signature that takes them. The shared
part is found by comparing the graphs: operators that compute the same from the same weights and inputs.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from gapcast.predictors.tflite.model_file import HEAD_SIGNATURE, TRUNK_PREFIX
from gapcast_trainer.errors import ExportError
from gapcast_trainer.tflite.delegated_operators import write_delegated
from gapcast_trainer.tflite.fixed_shapes import fix_shapes, is_by_window

_CODE = schema.BuiltinOperator
#: Operators that only select or change the view of an input: repeating them costs less than passing on their result.
_VIEWS = frozenset({_CODE.STRIDED_SLICE, _CODE.RESHAPE, _CODE.EXPAND_DIMS, _CODE.TRANSPOSE})


class SharedTrunk(NamedTuple):
    """The files of both models, and the digest of the trunk that they share."""

    first: bytes
    outlook: bytes
    digest: str


def share_trunk(first: bytes, outlook: bytes) -> SharedTrunk:
    """Return the file of the model ``first`` with its trunk's values, and the file of ``outlook`` that takes them.

    Raises :class:`ExportError` if the outlook does not contain the whole model ``first``.
    """
    one, other = _Graph(first), _Graph(outlook)
    by_digest = {digest: tensor for tensor, digest in one.digests().items()}
    digests = other.digests()
    missing = [tensor for tensor in one.outputs.values() if one.digests()[tensor] not in set(digests.values())]
    if missing:
        msg = "the outlook's file does not contain the whole other model: its trunk is another one"
        raise ExportError(msg)
    shared = {tensor for op in other.operators for tensor in op.outputs if digests[tensor] in by_digest}
    trunk = sorted(other.frontier(shared))
    names = {tensor: f"{TRUNK_PREFIX}{place}" for place, tensor in enumerate(trunk)}
    one.add_outputs({names[tensor]: by_digest[digests[tensor]] for tensor in trunk})
    other.add_head(names)
    digest = hashlib.sha256("".join(digests[tensor] for tensor in trunk).encode()).hexdigest()
    return SharedTrunk(one.content(), other.content(), digest)


class _Graph:
    """A model file whose first subgraph is the model, for changes that keep all its values."""

    def __init__(self, content: bytes) -> None:
        self.model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
        self._graph = self.model.subgraphs[0]
        self._signature = self.model.signatureDefs[0]
        self._remove_sharing()
        fix_shapes(self.model)
        write_delegated(self.model)

    def _remove_sharing(self) -> None:
        """Remove the additions of an earlier call."""
        del self.model.subgraphs[1:], self.model.signatureDefs[1:]
        own = [one for one in self._signature.outputs if not one.name.startswith(TRUNK_PREFIX.encode())]
        if len(own) < len(self._signature.outputs):
            tensors = {int(one.tensorIndex) for one in own}
            self._graph.outputs = [tensor for tensor in self._graph.outputs if int(tensor) in tensors]
            self._signature.outputs = own

    @property
    def operators(self) -> list[Any]:
        return list(self._graph.operators)

    @property
    def outputs(self) -> dict[str, int]:
        """The tensors of the signature's outputs."""
        return {one.name.decode(): int(one.tensorIndex) for one in self._signature.outputs}

    def _code(self, op: Any) -> int:
        return int(self.model.operatorCodes[op.opcodeIndex].builtinCode)

    def _constant(self, tensor: int) -> bytes | None:
        data = self.model.buffers[self._graph.tensors[tensor].buffer].data
        return None if data is None or not len(data) else bytes(data)

    def _needed(self, outputs: Iterable[int], known: set[int]) -> list[Any]:
        """Return the operators that compute ``outputs`` from the inputs and from the ``known`` tensors."""
        wanted, found = {int(tensor) for tensor in outputs} - known, []
        for op in reversed(self._graph.operators):
            if wanted & {*op.outputs}:
                found.append(op)
                wanted |= {int(tensor) for tensor in op.inputs if tensor >= 0} - known
        return found[::-1]

    def digests(self) -> dict[int, str]:
        """Return for each tensor a digest of everything from which it is computed."""
        digests = {}
        for tensor in range(len(self._graph.tensors)):
            data = self._constant(tensor)
            if data is not None:
                of = self._graph.tensors[tensor]
                digests[tensor] = _digest("constant", [*map(int, of.shape)], int(of.type), data.hex())
        for one in self._signature.inputs:
            digests[int(one.tensorIndex)] = _digest("input", one.name.decode())
        for op in self._graph.operators:
            options = [] if op.builtinOptions is None else sorted(vars(op.builtinOptions).items())
            plain = [(key, value.tolist() if isinstance(value, np.ndarray) else value) for key, value in options]
            inputs = [digests.get(int(tensor), "") for tensor in op.inputs]
            for place, tensor in enumerate(op.outputs):
                digests[int(tensor)] = _digest(self._code(op), plain, inputs, place)
        return digests

    def frontier(self, shared: set[int]) -> set[int]:
        """Return the ``shared`` tensors from which the rest is computed, without repeating an operator.

        Exceptions, which the rest computes again, are views of inputs, and tensors whose first axis is not the windows'
        axis, because the values of a trunk are passed on by window.
        """
        makers = {int(tensor): op for op in self._graph.operators for tensor in op.outputs}

        def is_view(tensor: int) -> bool:
            if tensor not in makers:
                return True
            op = makers[tensor]
            return self._code(op) in _VIEWS and is_view(int(op.inputs[0]))

        rest = [op for op in self._graph.operators if not {*op.outputs} <= shared]
        taken = {int(tensor) for op in rest for tensor in op.inputs} | {int(one) for one in self._graph.outputs}
        found, pending = set[int](), taken & shared
        while pending:
            tensor = pending.pop()
            if is_view(tensor):
                continue
            if is_by_window(self._graph.tensors[tensor]):
                found.add(tensor)
            else:
                pending |= {int(place) for place in makers[tensor].inputs if int(place) in makers}
        return found

    def add_outputs(self, tensors: dict[str, int]) -> None:
        """Return the values of ``tensors``, by name, beside the other outputs."""
        for name, tensor in tensors.items():
            self._signature.outputs.append(_tensor_map(name, tensor))
            if tensor not in self._graph.outputs:
                self._graph.outputs = [*self._graph.outputs, tensor]

    def add_head(self, names: dict[int, str]) -> None:
        """Add the signature that takes the tensors ``names`` as additional inputs."""
        whole = self._graph
        operators = self._needed(whole.outputs, set(names))
        of_ops = {int(tensor) for op in operators for tensor in (*op.inputs, *op.outputs) if tensor >= 0}
        used = sorted(of_ops | {int(tensor) for tensor in (*whole.inputs, *whole.outputs)} | set(names))
        new = {tensor: place for place, tensor in enumerate(used)}
        graph, signature = schema.SubGraphT(), schema.SignatureDefT()
        graph.name = HEAD_SIGNATURE.encode()
        graph.tensors = [copy.copy(whole.tensors[tensor]) for tensor in used]
        graph.operators = [copy.copy(op) for op in operators]
        for op in graph.operators:
            op.inputs = [new.get(int(tensor), -1) for tensor in op.inputs]
            op.outputs = [new[int(tensor)] for tensor in op.outputs]
        graph.inputs = [new[int(tensor)] for tensor in (*whole.inputs, *names)]
        graph.outputs = [new[int(tensor)] for tensor in whole.outputs]
        signature.signatureKey, signature.subgraphIndex = HEAD_SIGNATURE.encode(), len(self.model.subgraphs)
        own = self._signature
        inputs = {one.name.decode(): int(one.tensorIndex) for one in own.inputs}
        inputs |= {name: tensor for tensor, name in names.items()}
        signature.inputs = [_tensor_map(name, new[tensor]) for name, tensor in inputs.items()]
        signature.outputs = [_tensor_map(name, new[tensor]) for name, tensor in self.outputs.items()]
        self.model.subgraphs.append(graph)
        self.model.signatureDefs.append(signature)

    def content(self) -> bytes:
        """Return the file, with buffers of equal bytes stored once, and without what the runtime does not read."""
        self._merge_buffers()
        for graph in self.model.subgraphs:
            of_signature = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}
            for place, tensor in enumerate(graph.tensors):
                tensor.quantization = None
                if place not in of_signature and is_by_window(tensor):
                    tensor.shapeSignature = None
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))

    def _merge_buffers(self) -> None:
        empty, *_ = self.model.buffers
        kept, first, moved = [empty], {b"": 0}, {0: 0}
        tensors = [tensor for graph in self.model.subgraphs for tensor in graph.tensors]
        for place in sorted({int(tensor.buffer) for tensor in tensors} - {0}):
            data = self.model.buffers[place].data
            content = b"" if data is None else bytes(data)
            if content not in first:
                first[content] = len(kept)
                kept.append(self.model.buffers[place])
            moved[place] = first[content]
        for tensor in tensors:
            tensor.buffer = moved[int(tensor.buffer)]
        for entry in self.model.metadata or []:
            kept.append(self.model.buffers[entry.buffer])
            entry.buffer = len(kept) - 1
        self.model.buffers = kept


def _tensor_map(name: str, tensor: int) -> Any:
    found = schema.TensorMapT()
    found.name, found.tensorIndex = name.encode(), tensor
    return found


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
