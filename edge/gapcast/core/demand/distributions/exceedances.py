"""The probability that any of several windows or minutes exceeds its limit, from the probability of each.

Neighbouring windows rise and fall together: a house that cooks now is likely to cook in a quarter of an hour. Under
such a positive association (J. Esary, F. Proschan and D. Walkup, *Association of random variables, with applications*,
Annals of Mathematical Statistics 38, 1967) the probability that all windows stay below their limits is at least the
product of the probabilities of each. :func:`any_window` uses this product: it never understates the risk.

For minutes the product is far too high, because a load that is on stays on. The exceedances of a dependent series come
in runs, and the maximum over n minutes has the distribution of the maximum over ``theta * n`` independent minutes. The
extremal index ``theta`` is one over the mean length of a run (M. Leadbetter, *Extremes and local dependence in
stationary sequences*, Zeitschrift fuer Wahrscheinlichkeitstheorie 65, 1983). :func:`any_minute` uses it.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64

#: One over the mean length, minutes, of the runs above a high limit. It is 0.20, 0.23, 0.28 and 0.30 above 4, 5, 6 and
#: 7 kW in the UCI household, and 0.23, 0.27 and 0.24 above 3, 4 and 5 kW in REFIT house 2.
EXTREMAL_INDEX = 0.3


def any_window(p_exceed: F64) -> F64:
    """Return the probability ``[...]`` that any of the windows exceeds its limit, from ``p_exceed`` ``[..., n]``.

    >>> any_window(np.array([0.1, 0.2])).round(6).tolist()
    0.28
    """
    found: F64 = 1.0 - np.prod(1.0 - p_exceed, axis=-1)
    return found


def any_minute(p_above: F64) -> F64:
    """Return the probability ``[...]`` that any of the minutes is above a limit, from ``p_above`` ``[..., n]``.

    The result is at least the probability of each single minute.

    >>> any_minute(np.array([0.1, 0.1, 0.1, 0.1])).round(6).tolist(), any_minute(np.array([0.1])).round(6).tolist()
    (0.118766, 0.1)
    """
    joint = 1.0 - np.prod(1.0 - p_above, axis=-1) ** EXTREMAL_INDEX
    found: F64 = np.maximum(joint, p_above.max(axis=-1, initial=0.0))
    return found
