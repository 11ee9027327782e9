"""Both implementations of what the compiled library computes."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", params=[True, False], ids=["compiled", "numpy"])
def compiled(request: pytest.FixtureRequest) -> bool:
    """Whether the compiled library is to be used."""
    return bool(request.param)
