"""Submeters: meters of single loads of a device, such as smart plugs, whose powers are inputs of the learning.

A reading holds their powers in ``measured``, by :func:`measured_name`. In windows they are channels after the mains and
the models' other measured features, as many as any device has; NaN for unknown values.
"""

from __future__ import annotations

from collections.abc import Mapping

#: The names of each device's submeters, in the order of their channels.
Submeters = Mapping[str, tuple[str, ...]]
_PREFIX = "submeter "
#: Maximum age of a submeter's minute that is attached to a reading, minutes: a submeter may be late, or send rarely.
MAX_AGE_MIN = 3


def measured_name(name: str) -> str:
    """Return the key of the submeter ``name`` in :attr:`gapcast.core.readings.reading.Reading.measured`.

    >>> measured_name("car")
    'submeter car'
    """
    return _PREFIX + name


def name_of(measured: str) -> str:
    """Return the name of the submeter with the key ``measured``: the inverse of :func:`measured_name`."""
    return measured.removeprefix(_PREFIX)


def is_submeter(measured: str) -> bool:
    """Return whether ``measured`` is a result of :func:`measured_name`, or an item of :func:`channels_of`."""
    return measured.startswith(_PREFIX)


def channels_of(submeters: Submeters) -> tuple[str, ...]:
    """Return the channels that windows need for ``submeters``.

    >>> channels_of({"home": ("car", "refrigerator"), "shop": ("oven",)})
    ('submeter 1', 'submeter 2')
    """
    n_channels = max((len(names) for names in submeters.values()), default=0)
    return tuple(f"{_PREFIX}{i}" for i in range(1, n_channels + 1))
