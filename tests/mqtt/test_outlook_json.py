"""Outlooks as JSON: the bytes are those of their documents."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic_core import to_json

from gapcast.core.outlook.document import outlook_document
from gapcast.core.outlook.outlook import Outlooks
from gapcast.mqtt.outlook_json import encode_outlooks
from tests.support.outlook_model import OutlookModel

MODEL = OutlookModel(lead_times_min=(1, 60), name="100 % ä")
POWERS_KW = st.floats(-2e6, 2e6) | st.sampled_from((0.0, -0.0, 1e-5, -3e-7, 12.0, 0.1234565, 999_999.999999))


@given(st.lists(st.sampled_from((7, 28_000_000, 28_000_001)), min_size=1, max_size=4), st.data())
def test_encoded_outlooks_are_their_documents(minutes: list[int], data: st.DataObject) -> None:
    n = len(minutes)
    point_kw, mean_kw = (data.draw(arrays(np.float64, (n, 2, 4), elements=POWERS_KW)) for _ in range(2))
    devices = [f"y-{i}.l2" for i in range(n)]
    outlooks = Outlooks(MODEL, 1_700_000_000_123, devices, minutes, point_kw, mean_kw)
    assert list(encode_outlooks(outlooks)) == [to_json(outlook_document(one)) for one in outlooks]


def test_encoded_outlooks_of_one_lead_time_are_their_documents() -> None:
    kw = np.arange(8.0).reshape(2, 1, 4)
    outlooks = Outlooks(OutlookModel(lead_times_min=(5,)), 1, ["a", "b"], [7, 8], kw, kw + 0.5)
    assert list(encode_outlooks(outlooks)) == [to_json(outlook_document(one)) for one in outlooks]
