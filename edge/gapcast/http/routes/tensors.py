"""Tensors of the Open Inference Protocol: as JSON, or as bytes after the JSON (the binary tensor extension)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from gapcast.api.predict_answer import request_problem
from gapcast.core.arrays.array_types import F32
from gapcast.core.time_grid import DAY_MIN
from gapcast.http.guards.request_bodies import JSON_LENGTH
from gapcast.text.json_input import JsonError, decode_json

#: Decoded JSON takes about twenty times its size in memory; larger tensors must be sent as bytes, which take no extra.
MAX_JSON_BYTES = 1_048_576
#: Models have one or two inputs and few outputs.
_MAX_TENSORS = 16
FLOAT = "FP32"
_FLOAT_BYTES = 4
#: Maximum number of characters of a length in a header, and of the part that an error quotes.
_MAX_DIGITS = 15
_LARGEST = float(np.finfo(np.float32).max)
#: A window of ``linear``: half an hour to six in the evening, with the sine and cosine of the time of day.
_EXAMPLE_WINDOW: list[Any] = [
    round(value, 4)
    for minute in range(1_051, 1_081)
    for value in (
        0.3 + 0.02 * (minute % 5),
        math.sin(math.tau * minute / DAY_MIN),
        math.cos(math.tau * minute / DAY_MIN),
    )
]
Size = Annotated[int, Field(ge=0, le=2**31)]


class Parameters(BaseModel):
    """Parameters of a tensor; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore")

    binary_data_size: Size | None = None
    binary_data: bool | None = None
    shared_memory_region: str | None = None
    classification: int | None = None


class RequestParameters(BaseModel):
    """Parameters of a request."""

    model_config = ConfigDict(extra="ignore")

    binary_data_output: bool = False


class RequestInput(BaseModel):
    """One input of a model: ``data``, or ``parameters.binary_data_size`` bytes after the JSON."""

    model_config = ConfigDict(extra="ignore")

    name: str
    datatype: str
    shape: list[Size] = Field(max_length=8, fail_fast=True)
    data: list[Any] | None = Field(default=None, description="Numbers, flat or nested according to the shape")
    parameters: Parameters = Parameters()


class RequestOutput(BaseModel):
    """One requested output."""

    model_config = ConfigDict(extra="ignore")

    name: str
    parameters: Parameters = Parameters()


class InferRequest(BaseModel):
    """An inference request; without ``outputs``, or if there are none in it, all are returned."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"inputs": [{"name": "window", "datatype": FLOAT, "shape": [1, 30, 3], "data": _EXAMPLE_WINDOW}]},
            ]
        },
    )

    id: str | None = None
    inputs: list[RequestInput] = Field(max_length=_MAX_TENSORS, fail_fast=True)
    outputs: Annotated[list[RequestOutput], Field(max_length=_MAX_TENSORS, fail_fast=True)] | None = None
    parameters: RequestParameters = RequestParameters()


def request_schema() -> dict[str, Any]:
    """Return the self-contained schema of a request, whose body FastAPI does not parse because it may hold bytes."""
    schema = InferRequest.model_json_schema()
    definitions = schema.pop("$defs")

    def inlined(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return inlined(definitions[part["$ref"].rsplit("/", 1)[1]])
            return {name: inlined(value) for name, value in part.items()}
        return [inlined(one) for one in part] if isinstance(part, list) else part

    request: dict[str, Any] = inlined(schema)
    return request


class InferenceInputs(NamedTuple):
    """A parsed request: its id, the inputs by name, and whether to return each requested output as bytes."""

    id: str | None
    tensors: Mapping[str, F32]
    outputs: Mapping[str, bool]


def unusable(detail: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> HTTPException:
    """Return the error that becomes a problem with this ``status``."""
    return HTTPException(status, detail)


def parse_request(
    body: bytes, json_length: str | None, inputs: Sequence[str], outputs: Sequence[str]
) -> InferenceInputs:
    """Parse a request for a model with ``inputs`` and ``outputs``; raise :class:`HTTPException` if it is invalid.

    There are as many tensors as ``inputs``, each with its own name; the caller checks names and shapes.
    """
    n_json = len(body) if json_length is None else _length(json_length, len(body))
    if n_json > MAX_JSON_BYTES:
        msg = f"the JSON has more than {MAX_JSON_BYTES} bytes: send values as bytes after it (binary_data_size)"
        raise unusable(msg, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        request = InferRequest.model_validate(decode_json(body[:n_json]))
    except ValidationError as error:
        raise unusable(request_problem(error.errors(include_url=False)[0])) from error
    except JsonError as error:
        raise unusable(f"the body: not the JSON object of an inference request ({error})") from error
    tensors = _tensors(request.inputs, memoryview(body)[n_json:], inputs)
    wanted = request.outputs or [RequestOutput(name=name) for name in outputs]
    binary = {}
    for output in wanted:
        if output.name not in outputs:
            raise unusable(f"outputs: there is no {output.name!r}; there are {', '.join(outputs)}")
        if output.parameters.classification or output.parameters.shared_memory_region is not None:
            raise unusable(f"outputs: {output.name}: classification and shared memory are not supported")
        own = output.parameters.binary_data
        binary[output.name] = request.parameters.binary_data_output if own is None else own
    return InferenceInputs(request.id, tensors, binary)


def _length(text: str, n_bytes: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) <= n_bytes):
        raise unusable(f"{JSON_LENGTH}: {text[:_MAX_DIGITS]!r} is not a length within the body's {n_bytes} bytes")
    return int(text)


def _tensors(found: Sequence[RequestInput], binary_part: memoryview, inputs: Sequence[str]) -> dict[str, F32]:
    """Return the tensors of ``found`` by name; the values sent as bytes follow each other in ``binary_part``."""
    if len(found) != len(inputs):
        wanted = "exactly one is" if len(inputs) == 1 else f"{' and '.join(inputs)} are"
        raise unusable(f"inputs: {wanted} required, not {len(found)}")
    n_bytes = sum(one.parameters.binary_data_size or 0 for one in found)
    tensors: dict[str, F32] = {}
    first = 0
    for one in found:
        if one.name in tensors:
            raise unusable(f"inputs: {one.name} is there twice")
        n_own = one.parameters.binary_data_size or 0
        tensors[one.name] = _tensor(one, binary_part[first : first + n_own], (n_bytes, len(binary_part)))
        first += n_own
    return tensors


def _tensor(tensor: RequestInput, binary_part: memoryview, n_bytes: tuple[int, int]) -> F32:
    """Return one tensor from its bytes ``binary_part``; ``n_bytes`` are the bytes that all inputs declare and sent."""
    name, shape = tensor.name, tuple(tensor.shape)
    if tensor.datatype != FLOAT:
        raise unusable(f"inputs: {name}: its datatype is {FLOAT}, not {tensor.datatype!r}")
    if tensor.parameters.shared_memory_region is not None:
        raise unusable(f"inputs: {name}: shared memory is not supported: send the values")
    n_binary = tensor.parameters.binary_data_size
    if (tensor.data is None) is (n_binary is None):
        raise unusable(f"inputs: {name}: send its values as data or as bytes after the JSON (binary_data_size)")
    if n_binary is not None:
        if n_bytes[0] != n_bytes[1]:
            in_all = "" if n_bytes[0] == n_binary else f", {n_bytes[0]} in all"
            raise unusable(
                f"inputs: {name}: binary_data_size is {n_binary}{in_all}, but {n_bytes[1]} bytes follow the JSON"
            )
        if n_binary % _FLOAT_BYTES:
            raise unusable(
                f"inputs: {name}: {n_binary} bytes are not a multiple of the {_FLOAT_BYTES} bytes of {FLOAT}"
            )
        values = np.frombuffer(binary_part, dtype="<f4").astype(np.float32, copy=False)
    else:
        values = _numbers(name, tensor.data)
    if math.prod(shape) != values.size:
        raise unusable(f"inputs: {name}: shape {list(shape)} does not match {values.size} values")
    if not np.isfinite(values).all():
        raise unusable(f"inputs: {name}: every value must be a finite number")
    return values.reshape(shape)


def _numbers(name: str, data: object) -> F32:
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError) as error:  # ragged, or deeper than an array can be
        raise unusable(f"inputs: {name}: data is neither flat nor nested according to its shape") from error
    if values.size and values.dtype.kind not in "iuf":
        raise unusable(f"inputs: {name}: data must be numbers")
    values = values.astype(np.float64).reshape(-1)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan).astype(np.float32)


def encode_response(
    head: Mapping[str, object], tensors: Mapping[str, F32], binary: Mapping[str, bool]
) -> tuple[bytes, int]:
    """Return a response body and the length of its JSON; ``binary`` maps outputs to whether they are bytes."""
    outputs, binary_parts = [], []
    for name, as_bytes in binary.items():
        tensor = tensors[name]
        output: dict[str, object] = {"name": name, "datatype": FLOAT, "shape": list(tensor.shape)}
        if as_bytes:
            binary_parts.append(tensor.astype("<f4").tobytes())
            output["parameters"] = {"binary_data_size": tensor.size * _FLOAT_BYTES}
        else:
            output["data"] = tensor.reshape(-1).tolist()
        outputs.append(output)
    head_json = json.dumps({**head, "outputs": outputs}, separators=(",", ":")).encode()
    return head_json + b"".join(binary_parts), len(head_json)
