"""The Open Inference Protocol with Triton's client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from tritonclient.utils import InferenceServerException

from gapcast.app.models.loaded_models import Models
from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction, history_steps_of, run_model
from gapcast.http.options import HttpOptions
from gapcast.http.routes.tensors import MAX_JSON_BYTES, parse_request
from gapcast.predictors.models_folder.store import load_model
from tests.http.conftest import MAX_TENSOR_BYTES, MODELS, Rest, serving
from tests.support.examples import examples
from tests.support.houses import Smooth
from tests.support.models import default_name, history_model
from tests.support.ports import LOOPBACK

NAME = default_name()
THREE_BYTES = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 3}}]}'


@pytest.fixture
def client(rest: Rest) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(f"{LOOPBACK}:{rest.port}")
    yield client
    client.close()


def windows_of(rest: Rest, name: str, n: int) -> F32:
    model = rest.service.queries.models[name]
    shape = (n, model.spec.context, len(model.features))
    return np.random.default_rng(n).uniform(0.1, 3.0, shape).astype(np.float32)


def tensor_of(windows: F32, *, binary: bool) -> triton.InferInput:
    made = triton.InferInput("window", list(windows.shape), "FP32")
    made.set_data_from_numpy(windows, binary_data=binary)
    return made


def history_of(rest: Rest, name: str, windows: F32) -> F32 | None:
    """Return the histories to send with ``windows``; None if the model has no history input."""
    steps = history_steps_of(rest.service.queries.models[name])
    return np.repeat(windows[:, -1, :1], steps, axis=1) if steps else None


def inputs_of(rest: Rest, name: str, windows: F32, *, binary: bool) -> list[triton.InferInput]:
    history = history_of(rest, name, windows)
    return [tensor_of(windows, binary=binary)] if history is None else both_inputs(windows, history, binary=binary)


def wanted(rest: Rest, name: str, windows: F32) -> dict[str, F32]:
    prediction = run_model(rest.service.queries.models[name], windows, history_of(rest, name, windows))
    found = {output: getattr(prediction, output) for output in ("mean", "quantiles", "mean_to", "quantiles_to")}
    return {output: tensor for output, tensor in found.items() if tensor is not None}


def test_inference_server_and_health(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "gapcast"
    assert metadata["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("name", MODELS)
def test_inference_model_metadata(rest: Rest, client: triton.InferenceServerClient, name: str) -> None:
    model = rest.service.queries.models[name]
    assert client.is_model_ready(name)
    assert client.is_model_ready(name, model.version)
    assert not client.is_model_ready("nothing")
    metadata = client.get_model_metadata(name, model.version)
    assert metadata["versions"] == [model.version]
    shape = [-1, model.spec.context, len(model.features)]
    inputs = {"window": shape} | ({"history": [-1, steps]} if (steps := history_steps_of(model)) else {})
    assert metadata["inputs"] == [{"name": one, "datatype": "FP32", "shape": shape} for one, shape in inputs.items()]
    found = {output["name"]: output["shape"] for output in metadata["outputs"]}
    given = wanted(rest, name, windows_of(rest, name, 1))
    assert found == {output: [-1, *tensor.shape[1:]] for output, tensor in given.items()}


@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_inference_matches_the_model(
    rest: Rest, client: triton.InferenceServerClient, name: str, binary_in: bool, binary_out: bool
) -> None:
    windows = windows_of(rest, name, 3)
    expected = wanted(rest, name, windows)
    outputs = [triton.InferRequestedOutput(output, binary_data=binary_out) for output in expected]
    inputs = inputs_of(rest, name, windows, binary=binary_in)
    answer = client.infer(name, inputs, outputs=outputs, request_id="7")
    assert answer.get_response()["id"] == "7"
    assert answer.get_response()["model_version"] == rest.service.queries.models[name].version
    for output, tensor in expected.items():
        np.testing.assert_allclose(answer.as_numpy(output), tensor, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 64, 300])
def test_inference_any_batch_matches_the_model(rest: Rest, client: triton.InferenceServerClient, n: int) -> None:
    windows = windows_of(rest, NAME, n)
    answer = client.infer(NAME, [tensor_of(windows, binary=True)])
    for output, tensor in wanted(rest, NAME, windows).items():
        np.testing.assert_allclose(answer.as_numpy(output), tensor, rtol=1e-5, atol=1e-6)


def test_inference_returns_selected_output(rest: Rest, client: triton.InferenceServerClient) -> None:
    answer = client.infer(
        NAME, [tensor_of(windows_of(rest, NAME, 1), binary=False)], outputs=[triton.InferRequestedOutput("mean")]
    )
    assert answer.as_numpy("quantiles") is None
    assert answer.as_numpy("mean") is not None


def test_inference_accepts_flat_and_nested_data(rest: Rest) -> None:
    windows = windows_of(rest, NAME, 2)
    answers = [
        rest.client.post(f"/v2/models/{NAME}/infer", json=request(windows, data=data)).json()
        for data in (windows.tolist(), windows.reshape(-1).tolist())
    ]
    assert answers[0] == answers[1]


def request(windows: F32, **other: Any) -> dict[str, Any]:
    first = {"name": "window", "datatype": "FP32", "shape": list(windows.shape), "data": windows.reshape(-1).tolist()}
    return {"inputs": [first | other]}


def test_inference_errors_reach_the_client(rest: Rest, client: triton.InferenceServerClient) -> None:
    windows = windows_of(rest, NAME, 1)
    too_many = windows_of(rest, NAME, MAX_TENSOR_BYTES // windows.nbytes + 1)
    with pytest.raises(InferenceServerException, match="there is no model 'nothing'"):
        client.infer("nothing", [tensor_of(windows, binary=True)])
    with pytest.raises(InferenceServerException, match=r"is loaded in version .*, not '99'"):
        client.infer(NAME, [tensor_of(windows, binary=True)], model_version="99")
    with pytest.raises(InferenceServerException, match=r"inputs: window \[N, .*\] is required, not window \[1, "):
        client.infer(NAME, [tensor_of(windows[:, 1:], binary=True)])
    with pytest.raises(InferenceServerException, match=r"is required, not window \[0, "):
        client.infer(NAME, [tensor_of(windows[:0], binary=True)])
    with pytest.raises(InferenceServerException, match="there is no 'median'"):
        client.infer(NAME, [tensor_of(windows, binary=True)], outputs=[triton.InferRequestedOutput("median")])
    with pytest.raises(InferenceServerException, match="content-encoding: 'gzip' is not supported"):
        client.infer(NAME, [tensor_of(windows, binary=True)], request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match=f"more than {MAX_TENSOR_BYTES} bytes"):
        client.infer(NAME, [tensor_of(too_many, binary=True)])
    with pytest.raises(InferenceServerException, match="must be a finite number"):
        client.infer(NAME, [tensor_of(np.full_like(windows, np.nan), binary=True)])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"data": None}, "send its values as data or as bytes"),
        ({"parameters": {"binary_data_size": 4}}, "send its values as data or as bytes"),
        ({"data": None, "parameters": {"binary_data_size": 4}}, "0 bytes follow the JSON"),
        ({"datatype": "INT64"}, "its datatype is FP32, not 'INT64'"),
        ({"data": [[1.0], [1.0, 2.0]]}, "neither flat nor nested according to its shape"),
        ({"data": ["1.0"]}, "data must be numbers"),
        ({"data": [True]}, "data must be numbers"),
        ({"data": [10**400]}, "data must be numbers"),
        ({"data": [1e300], "shape": [1]}, "must be a finite number"),
        ({"data": [1.0]}, "does not match 1 values"),
        ({"shape": [-1]}, "inputs[0].shape[0]: must be at least 0 (it is -1)"),
        ({"shape": [1] * 9}, "inputs[0].shape: must have at most 8 entries"),
        ({"parameters": {"shared_memory_region": "x"}}, "shared memory is not supported"),
        ({"name": "x"}, "is required, not x"),
    ],
)
def test_inference_invalid_input_is_named(rest: Rest, other: dict[str, Any], words: str) -> None:
    answer = rest.client.post(f"/v2/models/{NAME}/infer", json=request(windows_of(rest, NAME, 1), **other))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "length", "words"),
    [
        (b"{", None, "not the JSON object"),
        (b"\xff", None, "not the JSON object"),
        (b"[" * 100_000, None, "not the JSON object"),
        (b"[]", None, "the body: must be an object"),
        (b'{"inputs": []}', None, "inputs: exactly one is required, not 0"),
        (b"{}", "3", "is not a length within the body's 2 bytes"),
        (b"{}", "-1", "is not a length within"),
        (b"{}", "1" * 5_000, "is not a length within"),
        (THREE_BYTES + b"abc", str(len(THREE_BYTES)), "not a multiple of the 4 bytes of FP32"),
    ],
)
def test_inference_body_that_is_no_request(rest: Rest, body: bytes, length: str | None, words: str) -> None:
    headers = {} if length is None else {"inference-header-content-length": length}
    answer = rest.client.post(f"/v2/models/{NAME}/infer", content=body, headers=headers)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("parameters", [{"classification": 3}, {"shared_memory_region": "x"}])
def test_inference_unknown_outputs_are_rejected(rest: Rest, parameters: dict[str, Any]) -> None:
    body = request(windows_of(rest, NAME, 1))
    body["outputs"] = [{"name": "mean", "parameters": parameters}]
    answer = rest.client.post(f"/v2/models/{NAME}/infer", json=body)
    assert answer.status_code == 400
    assert "classification and shared memory are not supported" in answer.json()["detail"]


@pytest.mark.parametrize("json_length", [None, str(MAX_JSON_BYTES + 1)])
def test_inference_long_json_is_rejected_before_it_is_decoded(json_length: str | None) -> None:
    with pytest.raises(HTTPException, match=r"more than 1048576 bytes: send values as bytes") as raised:
        parse_request(b"[" * (MAX_JSON_BYTES + 1), json_length, ("window",), ("mean",))
    assert raised.value.status_code == 413


@dataclass(frozen=True, slots=True)
class Calling(Smooth):
    """Calls ``meanwhile`` while it predicts, and returns non-finite values."""

    meanwhile: Callable[[], object] = bool

    def predict(self, windows: F32) -> Prediction:
        self.meanwhile()
        return Prediction(np.full((len(windows), 1), np.nan, dtype=np.float32))


def test_inference_without_a_number_is_an_error_and_holds_up_no_other() -> None:
    served: list[int] = []
    model = Calling(quantile_levels=None, meanwhile=lambda: served.append(rest.client.get("/livez").status_code))
    with serving(Models({model.name: model}, model), HttpOptions(100_000, MAX_TENSOR_BYTES, 3)) as rest:  # type: ignore[dict-item, arg-type]  # a model double
        windows = np.ones((1, model.spec.context, 1), dtype=np.float32)
        answer = rest.client.post(f"/v2/models/{model.name}/infer", json=request(windows))
    assert (answer.status_code, answer.json()["detail"]) == (503, "model smooth returned a non-finite value")
    assert served == [200]


def test_inference_enormous_numbers_are_the_requests_error(rest: Rest) -> None:
    windows = np.full((1, 30, 3), 3e38, dtype=np.float32)
    answer = rest.client.post("/v2/models/linear/infer", json=request(windows))
    assert (answer.status_code, "for numbers as large as 3e+38: send kW" in answer.json()["detail"]) == (400, True)


def test_inference_empty_list_of_outputs_returns_all(rest: Rest) -> None:
    """Triton does the same: ``outputs`` is optional in the protocol, which does not mention an empty list."""
    sent = request(windows_of(rest, NAME, 1))
    expected = rest.client.post(f"/v2/models/{NAME}/infer", json=sent).json()
    assert rest.client.post(f"/v2/models/{NAME}/infer", json=sent | {"outputs": []}).json() == expected
    assert expected["outputs"]


def test_inference_documented_example_gets_an_answer(rest: Rest) -> None:
    body = rest.client.get("/openapi.json").json()["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]
    (example,) = body["content"]["application/json"]["schema"]["examples"]
    answer = rest.client.post("/v2/models/linear/infer", json=example)
    assert (answer.status_code, answer.json()["outputs"][0]["name"]) == (200, "mean")


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
near_inputs = st.fixed_dictionaries(
    {"name": st.just("window"), "datatype": st.just("FP32"), "shape": st.lists(st.integers(-1, 4), max_size=4)},
    optional={"data": st.lists(anything, max_size=4), "parameters": anything},
)


@examples(150)
@given(anything | st.fixed_dictionaries({"inputs": st.lists(near_inputs, max_size=2)}), st.binary(max_size=9))
def test_inference_any_request_never_returns_500(rest: Rest, body: Any, behind: bytes) -> None:
    content = json.dumps(body).encode()
    for headers in ({}, {"inference-header-content-length": str(len(content))}):
        answer = rest.client.post(f"/v2/models/{NAME}/infer", content=content + behind, headers=headers)
        assert answer.status_code == 400, answer.text


# --- a model with a history --------------------------------------------------------------------------

HISTORY = history_model().name


@pytest.fixture(scope="module")
def history_rest() -> Iterator[Rest]:
    model = load_model(history_model())
    with serving(Models({HISTORY: model}, model), HttpOptions(100_000, MAX_TENSOR_BYTES, 3)) as rest:
        yield rest


@pytest.fixture
def history_client(history_rest: Rest) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(f"{LOOPBACK}:{history_rest.port}")
    yield client
    client.close()


def histories(n: int, steps: int = 672) -> F32:
    return np.random.default_rng(n).uniform(0.1, 3.0, (n, steps)).astype(np.float32)


def both_inputs(windows: F32, history: F32, *, binary: bool) -> list[triton.InferInput]:
    made = triton.InferInput("history", list(history.shape), "FP32")
    made.set_data_from_numpy(history, binary_data=binary)
    return [made, tensor_of(windows, binary=binary)]


def test_inference_metadata_has_both_inputs_and_all_outputs(history_client: triton.InferenceServerClient) -> None:
    metadata = history_client.get_model_metadata(HISTORY)
    assert {one["name"]: one["shape"] for one in metadata["inputs"]} == {
        "window": [-1, 30, 3], "history": [-1, 672],
    }  # fmt: skip
    assert {one["name"]: one["shape"] for one in metadata["outputs"]} == {
        "mean": [-1, 9], "quantiles": [-1, 9, 5], "mean_to": [-1, 9], "quantiles_to": [-1, 9, 5],
    }  # fmt: skip


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("n", [1, 9])
def test_inference_with_a_history_matches_the_model(
    history_rest: Rest, history_client: triton.InferenceServerClient, binary: bool, n: int
) -> None:
    windows, history = windows_of(history_rest, HISTORY, n), histories(n)
    answer = history_client.infer(HISTORY, both_inputs(windows, history, binary=binary))
    expected = run_model(history_rest.service.queries.models[HISTORY], windows, history)
    for name in ("mean", "quantiles", "mean_to", "quantiles_to"):
        np.testing.assert_allclose(answer.as_numpy(name), getattr(expected, name), rtol=1e-5, atol=1e-6)


def test_inference_with_a_wrong_history_is_rejected(
    history_rest: Rest, history_client: triton.InferenceServerClient
) -> None:
    windows = windows_of(history_rest, HISTORY, 2)
    for history, problem in (
        (histories(2, 671), r"inputs: history \[N, 672\] is required, not history \[2, 671\]"),
        (histories(3), "each window needs its history; there are 2 and 3"),
    ):
        with pytest.raises(InferenceServerException, match=problem):
            history_client.infer(HISTORY, both_inputs(windows, history, binary=True))
    with pytest.raises(InferenceServerException, match="inputs: window and history are required, not 1"):
        history_client.infer(HISTORY, [tensor_of(windows, binary=True)])
    with pytest.raises(InferenceServerException, match="inputs: window is there twice"):
        history_client.infer(HISTORY, [tensor_of(windows, binary=True)] * 2)
    other = triton.InferInput("past", [2, 672], "FP32")
    other.set_data_from_numpy(histories(2))
    with pytest.raises(InferenceServerException, match=r"history \[N, 672\] is required, not past \[2, 672\]"):
        history_client.infer(HISTORY, [tensor_of(windows, binary=True), other])


def test_inference_bytes_of_all_inputs_are_counted(history_rest: Rest) -> None:
    tensor = {"datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": [{"name": "window", **tensor}, {"name": "history", **tensor}]}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    answer = history_rest.client.post(f"/v2/models/{HISTORY}/infer", content=head + bytes(12), headers=headers)
    assert answer.status_code == 400
    problem = "inputs: window: binary_data_size is 4, 8 in all, but 12 bytes follow the JSON"
    assert answer.json()["detail"] == problem


@pytest.mark.parametrize(
    ("of_request", "of_output", "is_binary"), [(True, None, True), (True, False, False), (False, True, True)]
)
def test_outputs_are_bytes_by_the_request_unless_they_say_otherwise(
    of_request: bool, of_output: bool | None, is_binary: bool
) -> None:
    output = {"name": "mean"} if of_output is None else {"name": "mean", "parameters": {"binary_data": of_output}}
    body = {
        "inputs": [{"name": "window", "datatype": "FP32", "shape": [1], "data": [1.0]}], "outputs": [output],
        "parameters": {"binary_data_output": of_request},
    }  # fmt: skip
    assert parse_request(json.dumps(body).encode(), None, ("window",), ("mean",)).outputs == {"mean": is_binary}
