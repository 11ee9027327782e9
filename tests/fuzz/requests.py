"""Bodies of requests: a forecast's (REST and MQTT), and the tensors of the Open Inference Protocol."""

from __future__ import annotations

import json
import math
from functools import cache
from http import HTTPStatus

import numpy as np
from starlette.exceptions import HTTPException

from gapcast.api.predict_answer import JSON_TYPE, PROBLEM_TYPE, PredictHandler
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Limits
from gapcast.http.routes.tensors import FLOAT, encode_response, parse_request
from gapcast.predictors.models_folder.store import load_model
from gapcast.service.service import Service
from tests.fuzz.target import FIELD, Target
from tests.support.links import MemoryLink
from tests.support.models import default_name, every_feature_model, shipped_models

_MAX_BODY_BYTES, _MAX_READINGS = 16_384, 100
_OUTPUTS = ("mean", "quantiles")


@cache
def _handler() -> PredictHandler:
    """Return the predict handler of a service with the default model and one with every feature."""
    default = load_model(shipped_models() / default_name())
    every = load_model(every_feature_model())
    service = Service(MemoryLink(), Engine(default), {default.name: default, every.name: every})
    return PredictHandler(service.queries, Limits(), max_body_bytes=_MAX_BODY_BYTES, max_readings=_MAX_READINGS)


def check_predict(data: bytes) -> None:
    """Answer ``data`` as a request: with a forecast of finite numbers, or with a problem that states the reason."""
    answer = _handler().answer(data, len(data))
    document = json.loads(answer.document, parse_constant=_refuse)
    if answer.media_type == JSON_TYPE:
        for name in ("gap_kw", "median_kw", "lower_kw", "upper_kw"):
            assert document[name] is None or math.isfinite(document[name]), document
        return
    assert answer.media_type == PROBLEM_TYPE
    assert HTTPStatus.BAD_REQUEST <= document["status"] <= HTTPStatus.UNPROCESSABLE_ENTITY, document


def _refuse(name: str) -> float:
    msg = f"an answer holds {name}, which is not JSON"
    raise AssertionError(msg)


def predict_seeds() -> list[bytes]:
    """Return requests with bare numbers, with times, and with every feature."""
    every = {"gap_kw": 0.5, "voltage_v": 239.0, "current_a": 2.1, "reactive_kvar": 0.1}
    timed = [{"ts": f"2010-11-01T00:0{minute}:00Z", **every} for minute in range(4)]
    bodies: list[object] = [
        {"readings": [1.2, 1.3, 1.1, 1.4]},
        {"readings": [0.3] * 30, "model": default_name()},
        {"readings": [{"ts": 1_288_569_600 + 60 * i, "gap_kw": 0.1 * i} for i in range(5)]},
        {"readings": timed, "model": every_feature_model().name},
    ]
    return [json.dumps(body).encode() for body in bodies]


def check_tensors(data: bytes) -> None:
    """Read ``data``, a length header and a body, as a request for inference: finite values of the given shape.

    The answer with the same tensor is read back: its JSON must have the stated length.
    """
    header, separator, body = data.partition(FIELD)
    json_length = header.decode("latin-1") if separator and header else None
    for inputs in (("window",), ("window", "history")):
        _parse_tensors(body if separator else data, json_length, inputs)


def _parse_tensors(body: bytes, json_length: str | None, inputs: tuple[str, ...]) -> None:
    try:
        request = parse_request(body, json_length, inputs, _OUTPUTS)
    except HTTPException as error:
        assert HTTPStatus.BAD_REQUEST <= error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR  # noqa: PT017 - it need not raise
        return
    assert len(request.tensors) == len(inputs)
    assert set(request.outputs) <= set(_OUTPUTS)
    for tensor in request.tensors.values():
        assert tensor.dtype == np.float32
        assert np.isfinite(tensor).all()
        answer, n_json = encode_response({"id": request.id}, dict.fromkeys(request.outputs, tensor), request.outputs)
        outputs = json.loads(answer[:n_json], parse_constant=_refuse)["outputs"]
        assert [output["shape"] for output in outputs] == [list(tensor.shape)] * len(request.outputs)
        n_binary = sum(request.outputs.values())
        assert len(answer) == n_json + n_binary * tensor.nbytes


def tensors_seeds() -> list[bytes]:
    """Return requests with values as JSON, flat and nested, and as bytes after the JSON."""
    window = {"name": "window", "datatype": FLOAT, "shape": [1, 3, 1]}
    flat = json.dumps({"id": "1", "inputs": [window | {"data": [0.1, 0.2, 3]}]}).encode()
    nested = json.dumps({"inputs": [window | {"data": [[[1], [2], [3.5]]]}], "outputs": [{"name": "mean"}]}).encode()
    parameters = {"parameters": {"binary_data_size": 12}}
    binary_output = {"name": "mean", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [window | parameters], "outputs": [binary_output]}).encode()
    values = np.array([1, 2, 3], dtype="<f4").tobytes()
    whole = json.dumps({"inputs": [window | {"data": [1, 2, 3]}], "parameters": {"binary_data_output": True}}).encode()
    history = {"name": "history", "datatype": FLOAT, "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    both = json.dumps({"inputs": [history, window | parameters]}).encode()
    behind = [(head, values), (both, values[:8] + values)]
    sent = [str(len(document)).encode() + FIELD + document + following for document, following in behind]
    return [FIELD + flat, FIELD + nested, *sent, FIELD + whole]


TARGETS = (
    Target("predict", check_predict, predict_seeds, ("readings", "model", "ts", "gap_kw", "voltage_v", "lstm-5-3")),
    Target(
        "tensors", check_tensors, tensors_seeds,
        ("inputs", "outputs", "shape", "data", "datatype", FLOAT, "parameters", "binary_data_size", "binary_data",
         "binary_data_output", "classification", "shared_memory_region", "quantiles", "1e999", "[[[[[[[["),
    ),
)  # fmt: skip
