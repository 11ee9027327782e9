"""The declaration of the forecast's fields: every form of a forecast follows it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import gapcast.core.forecast
import gapcast.core.forecast_layout
from gapcast.core.document_field import FieldType
from gapcast.core.forecast import DECIMALS, Forecasts, Shares
from gapcast.core.forecast_fields import FIELDS, ForecastField
from gapcast.core.forecast_json import ForecastEncoder
from gapcast.core.predictor import PublishedModel
from gapcast.core.window import WindowSpec
from gapcast.http.schemas import ForecastDocument

MODEL = PublishedModel("blend", "1", WindowSpec(30, "oldest"), (1, 5), (0.05, 0.5, 0.95))
#: The worked example of docs/extending.md.
WIDTH = ForecastField(
    "width_kw",
    FieldType.NUMBER,
    "width of the prediction interval, kW",
    lambda one: None if one.lower_kw is None or one.upper_kw is None else round(one.upper_kw - one.lower_kw, DECIMALS),
    lambda batch: (
        None
        if batch.lower_kw is None or batch.upper_kw is None
        else [round(upper - lower, DECIMALS) for lower, upper in zip(batch.lower_kw, batch.upper_kw, strict=True)]
    ),
    is_nullable=True,
)


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
        shares=Shares(("lstm", "persistence"), np.array([[0.75, 0.25, 0.5, 0.5], [1.0, 0.0, 0.125, 0.875]], "f4")),
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
        set() if complete else {"median_kw", "lower_kw", "upper_kw", "level"}
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


def test_added_field_reaches_document_and_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    place = [field.name for field in FIELDS].index("level")
    fields = (*FIELDS[:place], WIDTH, *FIELDS[place:])
    for module in (gapcast.core.forecast, gapcast.core.forecast_layout):
        monkeypatch.setattr(module, "FIELDS", fields)
    made = forecasts(complete=True)
    sent = [json.loads(payload) for payload in ForecastEncoder().encode(made)]
    assert [document["width_kw"] for document in sent] == [1.0, 2.0]
    assert sent == [one.document() for one in made]
