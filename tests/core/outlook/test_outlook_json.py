"""Outlooks as JSON: the bytes equal their documents, with and without the library."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gapcast.core.outlook.documents.outlook_document import outlook_document
from gapcast.core.outlook.documents.outlook_json import OutlookEncoder
from gapcast.core.outlook.outlook import Outlooks
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel

MODEL = OutlookModel(lead_times_min=(1, 60), name="100 % ä")
EDGES_KW = (0.0, -0.0, 1e-5, 9.4e-6, -3e-7, 12.0, 0.1234565, 0.0000005, 999_999.999999, -999_999_999.9, 1e10)
POWERS_KW = st.floats(-2e6, 2e6) | st.floats(-1e-4, 1e-4) | st.sampled_from(EDGES_KW)


def documents_of(outlooks: Outlooks) -> list[bytes]:
    return [json.dumps(outlook_document(one), separators=(",", ":")).encode() for one in outlooks]


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.compiled)])
@given(minutes=st.lists(st.sampled_from((7, 28_000_000, 28_000_001)), min_size=1, max_size=4), data=st.data())
def test_encoded_outlooks_are_their_documents(compiled: bool, minutes: list[int], data: st.DataObject) -> None:
    n = len(minutes)
    point_kw, mean_kw = (data.draw(arrays(np.float64, (n, 2, 4), elements=POWERS_KW)) for _ in range(2))
    devices = [f"y-{i}.l2" for i in range(n)]
    outlooks = Outlooks(MODEL, 1_700_000_000_123, devices, minutes, point_kw, mean_kw)
    assert build(OutlookEncoder, compiled=compiled).encode(outlooks) == documents_of(outlooks)


def test_encoder_accepts_batches_and_models_of_any_size() -> None:
    encoder = OutlookEncoder()
    for leads_min in ((5,), (1, 2, 60), (5,)):
        for n in (2, 1, 5):
            kw = np.random.default_rng(n).normal(1.0, 9.0, (n, len(leads_min), 2, 4))
            model, devices = OutlookModel(lead_times_min=leads_min), [f"d{i}" for i in range(n)]
            outlooks = Outlooks(model, 1, devices, list(range(n)), kw[:, :, 0], kw[:, :, 1])
            assert encoder.encode(outlooks) == documents_of(outlooks)


@pytest.mark.parametrize("kw", [1e9, -1e9, -999_999_999.4, 1e17])
def test_encoder_writes_powers_of_many_digits(kw: float) -> None:
    outlooks = Outlooks(MODEL, 1, ["home"], [7], np.full((1, 2, 4), kw), np.zeros((1, 2, 4)))
    assert OutlookEncoder().encode(outlooks) == documents_of(outlooks)
