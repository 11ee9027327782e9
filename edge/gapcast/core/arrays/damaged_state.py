"""Options of ``numpy.errstate`` for arithmetic with state that may be damaged: no warnings."""

from __future__ import annotations

from typing import Literal, TypedDict


class ErrstateOptions(TypedDict):
    """What :func:`numpy.errstate` ignores."""

    over: Literal["ignore"]
    divide: Literal["ignore"]
    invalid: Literal["ignore"]


#: Damaged state may overflow: the results are detected and replaced.
DAMAGED: ErrstateOptions = {"over": "ignore", "divide": "ignore", "invalid": "ignore"}
