"""The declaration of the forecast's fields: every form of a forecast follows it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import gapcast.core.forecasts.forecast
import gapcast.core.forecasts.forecast_fields
import gapcast.core.forecasts.forecast_template
from gapcast.core.forecasts.forecast import EnsembleWeights, Forecasts
from gapcast.core.forecasts.forecast_fields import FIELDS, ForecastField
from gapcast.core.forecasts.forecast_json import ForecastEncoder
from gapcast.core.models.predictor import PublishedModel
from gapcast.core.windows.window import WindowSpec
from gapcast.http.schemas.forecast_schemas import ForecastDocument
from tests.support.optional_tools import ROOT

MODEL = PublishedModel("blend", "1", WindowSpec(30, "oldest"), (1, 5), (0.05, 0.5, 0.95))


def documented_field() -> ForecastField:
    """Return the worked example of docs/extending.md, as the module of the fields evaluates it."""
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"^```python\n(ForecastField\(.*?)^```", page, re.DOTALL | re.MULTILINE)
    field = eval(entry, vars(gapcast.core.forecasts.forecast_fields))  # noqa: S307 - of this repository
    assert isinstance(field, ForecastField)
    return field


WIDTH = documented_field()


def forecasts(*, complete: bool) -> Forecasts:
    bare = Forecasts(MODEL, 1_700_000_000_123, ["a", "b"], [28_000_000, 28_000_001], [2, 30], [1.6, 2.6])
    if not complete:
        return bare
    return replace(
        bare,
        median_kw=[1.5, 2.5],
        lower_kw=[1.0, 2.0],
        upper_kw=[2.0, 4.0],
        path_kw=np.array([[1.2, 1.6], [2.2, 2.6]]),
        shares=EnsembleWeights(
            ("lstm", "persistence"), np.array([[0.75, 0.25, 0.5, 0.5], [1.0, 0.0, 0.125, 0.875]], "f4")
        ),
        uncontrolled_kw=[0.6, 0.1],
        planned_kw=[1.0, 2.5],
    )


def test_columns_of_optional_fields_are_none_without_their_values() -> None:
    bare = forecasts(complete=False)
    absent = {field.name for field in FIELDS if field.column is not None and field.column(bare) is None}
    assert absent >= {"experts", "median_experts"}


@pytest.mark.parametrize("complete", [True, False])
def test_document_has_the_declared_fields_in_order(complete: bool) -> None:
    document = forecasts(complete=complete)[0].document()
    assert list(document) == [field.name for field in FIELDS if complete or not field.is_optional]
    assert {field.name for field in FIELDS if document.get(field.name, 0) is None} == (
        set() if complete else {field.name for field in FIELDS if field.is_nullable} - {"device"}
    )


@pytest.mark.parametrize("complete", [True, False])
def test_encoder_writes_the_documents_and_the_rest_schema_accepts_them(complete: bool) -> None:
    made, encoder = forecasts(complete=complete), ForecastEncoder()
    documents = [one.document() for one in made]
    for _ in range(2):  # the second time from the template of the first
        assert [json.loads(payload) for payload in encoder.encode(made)] == documents
    for document in documents:
        assert ForecastDocument.model_validate(document).model_dump(exclude_unset=True) == document


def test_encoder_writes_sparse_fields_of_some_forecasts_only() -> None:
    made = replace(forecasts(complete=True), uncontrolled_kw=[None, 0.1], planned_kw=[None, 2.5])
    sent = [json.loads(payload) for payload in ForecastEncoder().encode(made)]
    assert sent == [one.document() for one in made]
    assert ["planned_kw" in document for document in sent] == [False, True]


def test_encoder_changes_its_template_with_the_form_of_the_batch() -> None:
    encoder = ForecastEncoder()
    for complete in (True, False, True):
        made = forecasts(complete=complete)
        assert [json.loads(payload) for payload in encoder.encode(made)] == [one.document() for one in made]


def test_rest_schema_has_the_declared_fields() -> None:
    assert list(ForecastDocument.model_fields) == [field.name for field in FIELDS]


def as_calibrated_ensemble(made: Forecasts) -> Forecasts:
    """Return ``made`` as the service publishes it by default, also with all numbers in one array."""
    assert made.shares is not None
    columns = made.gap_kw, made.median_kw, made.lower_kw, made.upper_kw, made.path_kw, made.shares.weights
    numbers = np.column_stack([np.asarray(column) for column in columns])
    return replace(made, uncontrolled_kw=None, planned_kw=None, numbers=numbers)


@pytest.mark.parametrize("of_service", [False, True])
def test_added_field_reaches_document_and_encoder(of_service: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    place = [field.name for field in FIELDS].index("level")
    fields = (*FIELDS[:place], WIDTH, *FIELDS[place:])
    for module in (gapcast.core.forecasts.forecast, gapcast.core.forecasts.forecast_template):
        monkeypatch.setattr(module, "FIELDS", fields)
    made = as_calibrated_ensemble(forecasts(complete=True)) if of_service else forecasts(complete=True)
    sent = [json.loads(payload) for payload in ForecastEncoder().encode(made)]
    assert [document["width_kw"] for document in sent] == [1.0, 2.0]
    assert sent == [one.document() for one in made]
