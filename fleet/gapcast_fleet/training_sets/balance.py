"""Balances the number of windows over houses, so that no house dominates."""

from __future__ import annotations

import math

from gapcast.core.errors import SettingsError
from gapcast.core.windows.training_set import PARTS, TEST, TRAIN, VALIDATE, Draw


def balance(found: dict[str, list[int]], begins: dict[str, int | None], draw: Draw) -> dict[str, list[int]]:
    """Return the number of windows that each house contributes to each part.

    At most ``windows_a_house``, and for validation a proportional number; without that option, at most the number of
    windows of the house with the fewest, at least one.

    >>> begins = {"a": 1, "b": 1, "c": None}
    >>> found = {"a": [90, 10, 0], "b": [30, 20, 0], "c": [0, 0, 70]}
    >>> balance(found, begins, Draw()), balance(found, begins, Draw(windows_a_house=45))["a"]
    ({'a': [30, 10, 0], 'b': [30, 10, 0], 'c': [0, 0, 70]}, [45, 5, 0])
    >>> balance({"a": [90, 10, 0]}, begins, Draw(windows_a_house=12, validate_share=0.2))
    {'a': [12, 3, 0]}
    """
    most = [0] * len(PARTS)
    if draw.windows_a_house is not None:
        in_proportion = draw.windows_a_house * draw.validate_share / (1 - draw.validate_share)
        to_validate = math.ceil(round(in_proportion, 6))  # 12 x 0.2 / 0.8 is 3 plus a rounding error
        most = [to_validate if part == VALIDATE else draw.windows_a_house for part in PARTS]
    else:
        for at, part in enumerate(PARTS):
            candidates = [name for name in found if (begins[name] is None) == (part == TEST)]
            fewest = min(candidates, key=lambda name: found[name][at], default=None)
            most[at] = 0 if fewest is None else found[fewest][at]
            if fewest is not None and not most[at]:
                out = "remove it from the folder" if part == TEST else f"exclude it (--leave-out {fewest})"
                fix = f"{out}, or set --windows-a-house, so that each house contributes what it has"
                msg = f"house {fewest} has no window to {part} on, so that no house could contribute any: {fix}"
                raise SettingsError(msg)
    taken = {name: [min(its) for its in zip(of_house, most, strict=True)] for name, of_house in found.items()}
    for at, part in ((PARTS.index(TRAIN), TRAIN), (PARTS.index(VALIDATE), VALIDATE)):
        if not any(its[at] for its in taken.values()):
            msg = f"no house has a window to {part} on: see --validate-share and --validate-from"
            raise SettingsError(msg)
    return taken
