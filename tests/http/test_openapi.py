"""The OpenAPI document: committed as served, and consistent with the routes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode, checks
from schemathesis.core.result import Ok

from gapcast.core.demand.headroom.headroom_request import LEAST_KW
from gapcast.core.demand.headroom.headroom_request import MAX_MINUTES as MAX_LOAD_MIN
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import WEEK_MIN
from gapcast.http.routes.predict import MAX_FORECASTS
from gapcast.http.routes.route_inputs import MAX_PAGE
from tests.http.conftest import Rest
from tests.support.examples import examples
from tests.support.schemas import unknown_openapi_keywords

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
ENDLESS = "/events"
NO_ANSWER_BUT_WHAT_IS_DOCUMENTED = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def test_openapi_committed_document_is_current(rest: Rest) -> None:
    served = rest.client.get("/openapi.json").json()
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == served, "run scripts/generate"


def test_openapi_routes_are_documented() -> None:
    page = (COMMITTED.parent / "http.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`(?:[A-Z]+ )?/.*?) \|", page, re.MULTILINE)
    documented = {path.partition("?")[0] for row in rows for path in re.findall(r"/[^`]*", row)}
    paths = json.loads(COMMITTED.read_text(encoding="utf-8"))["paths"]
    assert [path for path in paths if not path.startswith("/v2") and path not in documented] == []


def test_openapi_errors_are_problem_documents(rest: Rest) -> None:
    document = rest.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path not in {"/readyz", "/healthz"}:
                    assert set(answer["content"]) == {"application/problem+json"}, (path, status)
    assert "HTTPValidationError" not in json.dumps(document)


def test_openapi_schemas_have_only_keywords_that_clients_know(rest: Rest) -> None:
    document = rest.client.get("/openapi.json").json()
    assert unknown_openapi_keywords(document) == set()
    document["paths"]["/outlook"]["get"]["parameters"][1]["schema"]["le"] = 7
    assert unknown_openapi_keywords(document) == {"le"}


@pytest.mark.parametrize(
    ("path", "name", "least", "most"),
    [
        ("/devices", "limit", 1, MAX_PAGE),
        ("/predict", "limit", 1, MAX_FORECASTS),
        ("/devices/{device}/history", "minutes", 1, WEEK_MIN),
        ("/headroom", "minutes", 1, MAX_LOAD_MIN),
        ("/headroom", "kw", LEAST_KW, None),
    ],
)
def test_openapi_numbers_in_queries_have_bounds(
    rest: Rest, path: str, name: str, least: float, most: int | None
) -> None:
    parameters = rest.client.get("/openapi.json").json()["paths"][path]["get"]["parameters"]
    schema = next(one["schema"] for one in parameters if one["name"] == name)
    assert (schema["minimum"], schema.get("maximum")) == (least, most)


def test_openapi_parameters_in_paths_are_text_and_in_the_path(rest: Rest) -> None:
    for path, operations in rest.client.get("/openapi.json").json()["paths"].items():
        for operation in operations.values():
            in_path = {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert [*in_path] == re.findall(r"\{(\w+)\}", path)
            assert [one["schema"]["type"] for one in in_path.values()] == ["string"] * len(in_path)
            in_query = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            assert "version" not in in_query, path


def test_openapi_responses_have_the_content_that_is_sent(rest: Rest) -> None:
    """Without a content, a generated client discards the body."""
    document = rest.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert "204" in answers or answers["200"]["content"], (path, method)
            assert "requestBody" not in operation or {"413", "415", "503"} <= set(answers), (path, method)
    assert "error" in rest.client.get("/v2/models/none").json()
    assert "error" in document["components"]["schemas"]["Problem"]["properties"]


def test_openapi_examples_match_their_schemas(rest: Rest) -> None:
    document = rest.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    n_examples = 0
    for name, schema in schemas.items():
        validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}})
        for example in schema.get("examples", ()):
            n_examples += 1
            assert [error.message for error in validator.iter_errors(example)] == [], name
            assert set(example) <= set(schema["properties"])
    assert n_examples >= 10
    assert schemas["DemandDocument"]["examples"][0]["fuse_kw"] is None


def operations() -> dict[str, Any]:
    """Return the operations of the document by name, without the plugin, which is incompatible with some pytests."""
    schema = schemathesis.openapi.from_path(COMMITTED).exclude(path=ENDLESS)
    found = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        found[result.ok().label] = result.ok()
    return found


OPERATIONS = operations()


@pytest.fixture(scope="module")
def with_forecast(rest: Rest) -> Rest:
    """A gateway with a device that has a forecast."""
    rest.push(*(Reading("home", 21_476_160 + minute, 1.0) for minute in range(5)))
    return rest


@pytest.mark.parametrize("name", OPERATIONS)
def test_openapi_routes_return_documented_answers(with_forecast: Rest, name: str) -> None:
    @examples(25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=OPERATIONS[name].as_strategy() | OPERATIONS[name].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def asked(case: Any) -> None:
        case.call_and_validate(base_url=str(with_forecast.client.base_url), checks=NO_ANSWER_BUT_WHAT_IS_DOCUMENTED)

    asked()
