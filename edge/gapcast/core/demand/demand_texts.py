"""What is published of demands, as texts and whole numbers."""

from __future__ import annotations

from typing import NamedTuple


class DemandTexts(NamedTuple):
    """N demands: their JSON ``documents``, headrooms (W), and the powers that the houses may draw (W)."""

    documents: list[bytes]
    headrooms_w: list[int]
    max_powers_w: list[int]
