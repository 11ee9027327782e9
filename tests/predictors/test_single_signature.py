"""A file reduced to one signature has only that one; a file that cannot be reduced stays unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.predictors.tflite.model_file import HEAD_SIGNATURE
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.predictors.tflite.single_signature import with_words, words_at, words_of_signature
from tests.support.models import shipped_models

WHOLE = "serving_default"
OUTLOOK = (shipped_models() / "outlook" / "model.tflite").read_bytes()


def with_signature_alone(content: bytes, key: str) -> bytes:
    return with_words(content, words_of_signature(content, key))


def inputs_of(content: bytes) -> dict[str, set[str]]:
    interpreter_class, _ = load_interpreter()
    interpreter = interpreter_class(model_content=content, num_threads=1)
    signatures = interpreter.get_signature_list()
    return {key: set(interpreter.get_signature_runner(key).get_input_details()) for key in signatures}


@pytest.mark.parametrize("key", [WHOLE, HEAD_SIGNATURE])
def test_reduced_file_has_one_signature_with_its_inputs(key: str) -> None:
    reduced = with_signature_alone(OUTLOOK, key)
    assert len(reduced) == len(OUTLOOK)
    assert inputs_of(reduced) == {key: inputs_of(OUTLOOK)[key]}


def test_file_without_the_signature_is_unchanged() -> None:
    assert with_signature_alone(OUTLOOK, "another") is OUTLOOK


def test_file_with_a_subgraph_of_no_signature_is_unchanged() -> None:
    reduced = words_of_signature(OUTLOOK, WHOLE)
    signatures = next(position for position, word in reduced.items() if word == 1)  # that of subgraphs comes after it
    content = with_words(OUTLOOK, {signatures: 1})
    assert with_signature_alone(content, WHOLE) is content


def test_file_with_two_signatures_of_one_subgraph_is_unchanged() -> None:
    """It has as many subgraphs as signatures, one of them without a signature, which an operation may refer to."""
    of_one, of_other = (words_of_signature(OUTLOOK, key) for key in (WHOLE, HEAD_SIGNATURE))
    (index,) = of_one.keys() ^ of_other.keys()  # the default, 0, is not stored: the other signature's is
    content = with_words(OUTLOOK, {index: 0})
    assert with_signature_alone(content, WHOLE) is content


def test_whole_file_is_restored_from_the_words_that_were_replaced() -> None:
    words = words_of_signature(OUTLOOK, HEAD_SIGNATURE)
    assert len(words) <= 5
    assert with_words(with_words(OUTLOOK, words), words_at(OUTLOOK, words)) == OUTLOOK


def test_truncated_file_is_unchanged() -> None:
    for n in (0, 3, 4, 40, 600, len(OUTLOOK) // 2):
        content = OUTLOOK[:n]
        assert with_signature_alone(content, HEAD_SIGNATURE) is content


@given(st.binary(max_size=200))
def test_any_bytes_are_returned_as_they_are(content: bytes) -> None:
    assert with_signature_alone(content, HEAD_SIGNATURE) is content


@given(st.integers(0, 1_999), st.integers(0, 255))
def test_changed_byte_raises_nothing(place: int, value: int) -> None:
    changed = bytearray(OUTLOOK)
    changed[place] = value
    assert len(with_signature_alone(bytes(changed), HEAD_SIGNATURE)) == len(OUTLOOK)
