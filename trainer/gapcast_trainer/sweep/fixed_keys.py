"""Keys that a search must not change, because the losses of its trials could then not be compared.

The loss of a trial is that of the validation part, in units that depend on the training part. A searched value must not
change what is measured, on which windows, or the unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapcast_trainer.experiments.experiment import Experiment

_MEASURES = "changes what the loss measures"
_SHORTENS = "changes which windows of the validation part are shortened, and by how much"
_PARTS = "changes the parts, or the standard deviation of the training part, which is the unit of the loss"
_OUTSIDE = "set it outside of [search]"
#: Why a key, or each key of a section, is fixed.
_REASONS = {
    "loss": _MEASURES,
    "outputs": _MEASURES,
    "hyper.l2": "adds its penalty to the loss (descent.weight_decay does not)",
    "data": _PARTS,
    "augment.short_share": _SHORTENS,
    "augment.short_law": _SHORTENS,
    "seed": _SHORTENS,
}
#: Keys of a section above that only change the training.
_FREE = frozenset({"data.every"})


def problem_with_search(values: Mapping[str, list[Any]], experiment: Experiment) -> str | None:
    """Return why a search of ``experiment`` cannot try ``values``, some of them by dotted key, or None."""
    for key, tried in values.items():
        reason: str | None = next((why for one, why in _REASONS.items() if f"{key}.".startswith(f"{one}.")), None)
        fix = _OUTSIDE
        if key == "window.context" and experiment.augment.short_share:
            reason, fix = _SHORTENS, "set augment.short_share = 0 to search it"
        elif key == "mixing.share" and any(tried) and not all(tried):
            reason, fix = "changes the unit of the loss between 0 and other values", "leave out 0"
        if reason is not None and key not in _FREE:
            return f"search.{key}: {reason}, and the losses of trials must be comparable: {fix}"
    return None
