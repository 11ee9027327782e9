"""The scale on which powers are compared: almost logarithmic above 0.1 kW, linear around zero, odd."""

from __future__ import annotations

from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F64

#: Twice the power at which the scale turns from linear to logarithmic, kW.
_BEND_KW: Final = 0.2
#: The largest power on the scale, kW.
_MOST_KW: Final = 1e4
#: :data:`_MOST_KW` on the scale.
MOST: Final = float(np.arcsinh(_MOST_KW / _BEND_KW))


def scaled(kw: F64) -> F64:
    """Return ``kw`` on the scale: the inverse hyperbolic sine. Finite for any input; what is no number is the largest.

    >>> bool(abs(scaled(np.array([2.0])) - scaled(np.array([1.0])) - np.log(2)) < 0.01)
    True
    """
    found: F64 = np.arcsinh(np.fmax(np.fmin(kw, _MOST_KW), -_MOST_KW) / _BEND_KW)
    return found


def unscaled(z: F64) -> F64:
    """Return the power, kW, of ``z`` on the scale, at most :data:`MOST`.

    >>> float(unscaled(scaled(np.array([1.5])))[0])
    1.5
    """
    found: F64 = _BEND_KW * np.sinh(np.minimum(np.maximum(z, -MOST), MOST))
    return found
