"""A forest and the result of its fit are stored and read back."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.errors import StateError
from gapcast.refit.forest_file import RefitResult, decode_arrays, decode_result, encode_arrays, encode_result


def test_encoded_arrays_are_read_back() -> None:
    arrays = decode_arrays(encode_arrays({"minutes": np.arange(3), "about": np.array("a house")}))
    assert sorted(arrays) == ["about", "minutes"]
    assert np.array_equal(arrays["minutes"], np.arange(3))
    assert str(arrays["about"][()]) == "a house"


def test_encoded_result_without_a_forest_is_read_back() -> None:
    result = RefitResult(None, "too few windows", 5, n_windows=10, n_checked=0, skills=None, former=None, took_s=0.5)
    assert decode_result(encode_result(result)) == result


def test_decode_arrays_damaged_content_raises_state_error() -> None:
    with pytest.raises(StateError, match="it is damaged: "):
        decode_arrays(encode_arrays({"minutes": np.arange(3)})[:-1])


def test_decode_arrays_damaged_header_raises_state_error() -> None:
    """The header of a large array is parsed before its checksum is verified; the parser raises errors of its own."""
    content = encode_arrays({"minutes": np.arange(10_000)})
    for sound, damaged in ((b", }", b",  "), (b"'<i8'", b"'<,8'"), (b", 'shape'", b",B'shape'")):
        assert content.count(sound) == 1
        with pytest.raises(StateError, match="it is damaged: "):
            decode_arrays(content.replace(sound, damaged))
