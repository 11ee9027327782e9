"""Home Assistant's sensors of a device's outlook: the mean power of the next 15, 30 and 60 minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gapcast.core.models.predictor import ModelIdentity

#: Lead times that have a sensor; the whole outlook is an attribute of the last one.
LEAD_TIMES_MIN = (15, 30, 60)
#: The next outlook follows in a minute.
_GRACE_S = 60


def outlook_components(identity: str, topic: str | None, model: ModelIdentity | None) -> Iterator[tuple[str, Any]]:
    """Yield the name and the discovery component of each sensor of an outlook on ``topic``.

    Without a ``topic`` or a ``model``, or for a lead time that ``model`` lacks, it removes the sensor. ``identity`` is
    the device's object id.
    """
    for lead_min in LEAD_TIMES_MIN:
        name = f"next_{lead_min}"
        is_there = topic is not None and model is not None and lead_min in model.lead_times_min
        yield name, _component(identity, name, lead_min, topic) if is_there else {"p": "sensor"}


def _component(identity: str, name: str, lead_min: int, topic: str | None) -> Mapping[str, Any]:
    # No state_class: a forecast is not a measurement and does not belong in long-term statistics.
    component = {
        "p": "sensor",
        "unique_id": f"{identity}_{name}",
        "default_entity_id": f"sensor.{identity}_{name}".lower().replace("-", "_"),
        "name": f"Mean power next {lead_min} min",
        "dev_cla": "power",
        "unit_of_meas": "kW",
        "sug_dsp_prc": 2,
        "stat_t": topic,
        "val_tpl": f"{{{{ value_json.mean_to_kw[value_json.lead_min.index({lead_min})] }}}}",
        "exp_aft": lead_min * 60 + _GRACE_S,
    }
    return component | ({"json_attr_t": topic} if lead_min == LEAD_TIMES_MIN[-1] else {})
