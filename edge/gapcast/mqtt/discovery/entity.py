"""One entity of a device in Home Assistant's discovery message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def entity(identity: str, name: str, details: Mapping[str, Any] | None, platform: str = "sensor") -> dict[str, Any]:
    """Return the component of the entity ``name`` of the device with the object id ``identity``.

    Without ``details`` it has only its platform: Home Assistant removes the entity if it was announced earlier.
    """
    if details is None:
        return {"p": platform}
    return {
        "p": platform,
        "unique_id": f"{identity}_{name}",
        "default_entity_id": f"{platform}.{identity}_{name}".lower().replace("-", "_"),
        **details,
    }
