"""The document of an outlook: its fields, and the schemas derived from it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from gapcast.core.outlook.documents.outlook_document import OUTLOOK_FIELDS, outlook_document
from gapcast.core.outlook.outlook import Outlook
from gapcast.http.schemas.forecast_schemas import OutlookDocument

OUTLOOK = Outlook(
    device="home",
    observed_minute=28_000_000,
    issued_at_ms=1_700_000_000_123,
    model="outlook",
    model_version="3",
    lead_times_min=(1, 60),
    point_kw=np.array([[1.00000049, 0.5, 0.9, 1.6], [2.0, 0.1, 1.1, 4.2]]),
    mean_kw=np.array([[1.00000049, 0.5, 0.9, 1.6], [1.5, 0.4, 1.2, 3.0]]),
)


def test_document_has_each_column_in_kw() -> None:
    assert outlook_document(OUTLOOK) == {
        "v": 1, "device": "home", "observed_at": "2023-03-28T10:40:00Z", "issued_at": "2023-11-14T22:13:20.123Z",
        "model": "outlook", "model_version": "3", "level": 0.9, "lead_min": [1, 60],
        "target_at": ["2023-03-28T10:41:00Z", "2023-03-28T11:40:00Z"],
        "mean_kw": [1.0, 2.0], "lower_kw": [0.5, 0.1], "median_kw": [0.9, 1.1], "upper_kw": [1.6, 4.2],
        "mean_to_kw": [1.0, 1.5], "mean_to_lower_kw": [0.5, 0.4], "mean_to_median_kw": [0.9, 1.2],
        "mean_to_upper_kw": [1.6, 3.0],
    }  # fmt: skip


def test_document_is_plain_json_and_matches_the_rest_schema() -> None:
    document = outlook_document(replace(OUTLOOK, device=None))
    assert json.loads(json.dumps(document)) == document
    assert OutlookDocument.model_validate(document).model_dump() == document
    assert list(OutlookDocument.model_fields) == list(document) == [field.name for field in OUTLOOK_FIELDS]
