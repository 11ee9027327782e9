"""What documents have from the code is up to date: scripts/generate writes it."""

from __future__ import annotations

import pytest

from scripts._generated_documents import DOCUMENTS, ROOT, message_fields


@pytest.mark.parametrize("name", DOCUMENTS)
def test_generated_document_matches_the_code(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == DOCUMENTS[name](text), "run scripts/generate"


def test_document_without_a_place_for_the_generated_part_is_refused() -> None:
    with pytest.raises(ValueError, match="has no part between"):
        message_fields("# A page\n")
