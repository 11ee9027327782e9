"""The Open Inference Protocol, version 2: runs the loaded models on raw tensors for any client."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.predictor import Predictor, forecasts_means, history_steps_of, run_model
from gapcast.http.errors import problems
from gapcast.http.guards.request_bodies import BINARY_TYPE, JSON_LENGTH
from gapcast.http.routes import tensors
from gapcast.http.routes.route_inputs import body_of
from gapcast.http.schemas.inference_schemas import InferResponse, Live, ModelMetadata, ModelReady, Ready, ServerMetadata
from gapcast.service.queries.queries import ServiceQueries
from gapcast.text.distribution_version import version_of

#: Windows computed at a time, so that the stream, which may wait for the same model, is not blocked.
_N_PER_CALL = 8
_PAUSE_S = 0.000_5
#: The highest power that ``limits`` permits, kW. Models need not have finite outputs above it.
_LARGEST_INPUT = 1e6
_UNKNOWN = problems.answers(HTTPStatus.NOT_FOUND)
_BINARY = {BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}}}
#: Descriptions of the routes, each with and without a version, whose operation ids begin with the same name.
_METADATA: dict[str, Any] = {
    "name": "metadata",
    "summary": "Model metadata",
    "description": "Return the inputs and outputs of a model; -1 is any number of windows.",
    "response_model": ModelMetadata,
    "responses": _UNKNOWN,
}
_READY: dict[str, Any] = {
    "name": "model_ready",
    "summary": "Model readiness",
    "description": "Return whether a model is ready for inference: all loaded models are.",
    "response_model": ModelReady,
    "responses": _UNKNOWN,
}
_INFER: dict[str, Any] = {
    "name": "infer",
    "summary": "Run a model",
    "description": "Run a model on raw windows: in physical units, not scaled, padded by the caller as its card "
    "specifies.\n\nA model with a history takes that of each window as a second input.",
    "response_model": InferResponse,
    "responses": problems.answers(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    | {200: {"content": _BINARY}},
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": tensors.request_schema()}} | _BINARY,
        }
    },
}
_JsonLength = Annotated[str | None, Header(description="Length of the JSON part of the body in bytes")]


def inference_router(queries: ServiceQueries) -> APIRouter:
    """Return the routes under ``/v2``; each model is also available with its version."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])

    @router.get("", summary="Server metadata", response_model=ServerMetadata)
    async def server() -> Any:
        """Return the name, version and extensions of the server."""
        return JSONResponse({"name": "gapcast", "version": version_of("gapcast"), "extensions": ["binary_tensor_data"]})

    @router.get("/health/live", summary="Server liveness", response_model=Live)
    async def live() -> Any:
        """Liveness: return 200 while the process is alive."""
        return JSONResponse({"live": True})

    @router.get("/health/ready", summary="Server readiness", response_model=Ready)
    async def ready() -> Any:
        """Readiness: return 200 once models are loaded, with or without a broker."""
        return JSONResponse({"ready": True})

    @router.get("/models/{model}", **_METADATA)
    async def metadata(model: str) -> Any:
        return JSONResponse(_metadata(_model(queries, model)))

    @router.get("/models/{model}/versions/{version}", **_METADATA)
    async def metadata_of_version(model: str, version: str) -> Any:
        return JSONResponse(_metadata(_model(queries, model, version)))

    @router.get("/models/{model}/ready", **_READY)
    async def model_ready(model: str) -> Any:
        return JSONResponse({"name": _model(queries, model).name, "ready": True})

    @router.get("/models/{model}/versions/{version}/ready", **_READY)
    async def version_ready(model: str, version: str) -> Any:
        return JSONResponse({"name": _model(queries, model, version).name, "ready": True})

    @router.post("/models/{model}/infer", **_INFER)
    async def infer(request: Request, model: str, inference_header_content_length: _JsonLength = None) -> Any:
        predictor = _model(queries, model)
        return await run_in_threadpool(_infer, predictor, await body_of(request), inference_header_content_length)

    @router.post("/models/{model}/versions/{version}/infer", **_INFER)
    async def infer_version(
        request: Request, model: str, version: str, inference_header_content_length: _JsonLength = None
    ) -> Any:
        predictor = _model(queries, model, version)
        return await run_in_threadpool(_infer, predictor, await body_of(request), inference_header_content_length)

    return router


def _model(queries: ServiceQueries, name: str, version: str | None = None) -> Predictor:
    """Return the model ``name``; raise :class:`HTTPException` if it is not loaded, or not in ``version``."""
    models = queries.models
    if name not in models:
        raise tensors.unusable(
            f"there is no model {name!r}; there are {', '.join(sorted(models))}", HTTPStatus.NOT_FOUND
        )
    model = models[name]
    if version not in {None, model.version}:
        msg = f"model {name} is loaded in version {model.version}, not {version!r}"
        raise tensors.unusable(msg, HTTPStatus.NOT_FOUND)
    return model


def _inputs_of(model: Predictor) -> dict[str, tuple[int, ...]]:
    """Return the shape of one row of each input."""
    steps = history_steps_of(model)
    return {"window": (model.spec.context, len(model.features))} | ({"history": (steps,)} if steps else {})


def _outputs_of(model: Predictor) -> dict[str, tuple[int, ...]]:
    """Return the shape of one row of each output, in the order of :class:`Prediction`'s fields."""
    n_leads, levels = len(model.lead_times_min), model.quantile_levels
    means = ("mean", "mean_to") if forecasts_means(model) else ("mean",)
    shapes: dict[str, tuple[int, ...]] = {}
    for mean in means:
        shapes[mean] = (n_leads,)
        if levels is not None:
            shapes[mean.replace("mean", "quantiles")] = (n_leads, len(levels))
    return shapes


def _metadata(model: Predictor) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "tensorflow_lite",
        "inputs": [_tensor(name, [-1, *shape]) for name, shape in _inputs_of(model).items()],
        "outputs": [_tensor(name, [-1, *shape]) for name, shape in _outputs_of(model).items()],
    }


def _tensor(name: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": tensors.FLOAT, "shape": shape}


def _infer(model: Predictor, body: bytes, json_length: str | None) -> Response:
    inputs, names = _inputs_of(model), tuple(_outputs_of(model))
    request = tensors.parse_request(body, json_length, tuple(inputs), names)
    found = [_checked(request.tensors, name, shape) for name, shape in inputs.items()]
    if len({len(tensor) for tensor in found}) > 1:
        msg = f"inputs: each window needs its history; there are {' and '.join(str(len(tensor)) for tensor in found)}"
        raise tensors.unusable(msg)
    head: dict[str, object] = {"model_name": model.name, "model_version": model.version}
    if request.id is not None:
        head["id"] = request.id
    outputs = dict(zip(names, _outputs(model, names, found), strict=True))
    answer, n_json = tensors.encode_response(head, outputs, request.outputs)
    if n_json == len(answer):
        return Response(answer, media_type="application/json")
    return Response(answer, headers={JSON_LENGTH: str(n_json)}, media_type=BINARY_TYPE)


def _checked(found: Mapping[str, F32], name: str, shape: tuple[int, ...]) -> F32:
    """Return the tensor ``name`` ``[N, *shape]``, N >= 1; raise :class:`HTTPException` if it has another shape."""
    other = next((one for one in found if one not in {"window", "history"}), next(iter(found)))
    sent = name if name in found else other
    tensor = found[sent]
    if sent != name or tensor.shape[1:] != shape or not len(tensor):
        required = f"{name} [N, {', '.join(map(str, shape))}]"
        raise tensors.unusable(f"inputs: {required} is required, not {sent} {list(tensor.shape)}")
    return tensor


def _outputs(model: Predictor, names: Sequence[str], inputs: Sequence[F32]) -> list[F32]:
    parts: list[list[F32]] = []
    for first in range(0, len(inputs[0]), _N_PER_CALL):
        if first:
            time.sleep(_PAUSE_S)
        windows, *histories = [rows[first : first + _N_PER_CALL] for rows in inputs]
        prediction = run_model(model, windows, histories[0] if histories else None)
        parts.append([getattr(prediction, name) for name in names])
    outputs = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if not all(np.isfinite(output).all() for output in outputs):
        largest = max(float(np.abs(tensor).max()) for tensor in inputs)
        if largest > _LARGEST_INPUT:
            msg = f"inputs: model {model.name} returns no finite value for numbers as large as {largest:g}: send kW"
            raise tensors.unusable(msg)
        msg = f"model {model.name} returned a non-finite value"
        raise ModelError(msg)
    return outputs
