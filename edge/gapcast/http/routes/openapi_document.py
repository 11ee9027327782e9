"""The OpenAPI document: FastAPI's, with one shared ``Problem`` schema for all errors."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from gapcast.api.predict_answer import Problem
from gapcast.api.predict_request import PredictRequest
from gapcast.http.errors.problems import answer_of
from gapcast.http.guards.token_guard import OPEN_PATHS

#: FastAPI's default schemas of a 422 response, which no route returns.
_NOT_OURS = ("HTTPValidationError", "ValidationError")
#: FastAPI's description of every success.
_DEFAULT_DESCRIPTION = "Successful Response"
_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"}}


class DocumentedApp(FastAPI):
    """An application whose OpenAPI document lists every response."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        if self.openapi_schema is None:
            document = super().openapi()
            components = document["components"]
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _complete(operation["responses"], is_open=path in OPEN_PATHS)
                    _describe_success(operation, components["schemas"])
                    if path not in OPEN_PATHS:
                        operation["security"] = [{}, *({name: []} for name in _SCHEMES)]  # {}: if no token is set
            for name in _NOT_OURS:
                components["schemas"].pop(name, None)
            for schema in components["schemas"].values():
                _restore_nulls(schema)
            schemas = components["schemas"] | request_schemas()
            components["schemas"] = dict(sorted(schemas.items())) | {"Problem": _problem_schema()}
            components["securitySchemes"] = _SCHEMES
            self.openapi_schema = document
        return self.openapi_schema


def request_schemas() -> dict[str, Any]:
    """Return the schemas of the bodies that gapcast decodes itself, which FastAPI therefore omits."""
    schema = PredictRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), PredictRequest.__name__: schema}


def _problem_schema() -> dict[str, Any]:
    """Return the schema of a problem, with the member that :func:`~gapcast.http.errors.problems.response_of` adds."""
    schema = Problem.model_json_schema()
    schema["properties"]["error"] = {"description": "The detail again; only under `/v2`", "type": "string"}
    return schema


def _restore_nulls(schema: dict[str, Any]) -> None:
    """Put required keys back into the examples of ``schema``: FastAPI removes those that are null."""
    required = schema.get("required", ())
    for i, example in enumerate(schema.get("examples", ())):
        names = [name for name in schema["properties"] if name in example or name in required]
        schema["examples"][i] = {name: example.get(name) for name in names}


def _describe_success(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Describe the success of ``operation`` by its returned content, its response schema, or its summary."""
    returned = operation.get("description", "").partition("Return ")
    for status, response in operation["responses"].items():
        if response["description"] != _DEFAULT_DESCRIPTION:
            continue
        content = response.get("content", {}).get("application/json", {})
        schema = schemas.get(content.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
        if status == str(HTTPStatus.NO_CONTENT):
            text = "Deleted; the response has no content"
        elif not returned[0] and returned[1]:
            text = returned[2].partition("\n")[0]
        else:
            text = schema.get("description", operation["summary"]).partition("\n")[0]
        response["description"] = text[0].upper() + text[1:].rstrip(".")


def _complete(responses: dict[str, Any], *, is_open: bool) -> None:
    if "422" in responses:
        responses["422"] = answer_of(HTTPStatus.UNPROCESSABLE_ENTITY)
    responses["403"] = answer_of(HTTPStatus.FORBIDDEN)
    if not is_open:
        responses["401"] = answer_of(HTTPStatus.UNAUTHORIZED)
        responses["421"] = answer_of(HTTPStatus.MISDIRECTED_REQUEST)
