"""Messages of a micro-batch to readings, in the order that the engine is to take them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from gapcast.core.errors import PayloadError
from gapcast.core.reading import Limits, Reading, is_device_id
from gapcast.mqtt.payloads import decode

#: Columns that every source gives, beside the device and its ``payload``: in which order messages came, the first
#: column before the others. Messages of one device are taken in that order, as a gateway takes them from its broker.
ORDER = ("at", "file", "block", "place")
#: What a message says of itself: when it arrived (epoch ms, null where that says nothing), and whether it came before.
SAID = ("device", "payload", "received_ms", "redelivered")


class RejectedMessage(NamedTuple):
    """A message that is no reading, or ``n`` that are told of as one."""

    device: str
    payload: bytes
    problem: PayloadError
    n: int = 1


def in_order(messages: pd.DataFrame) -> pd.DataFrame:
    """Return ``messages`` as they came, but device beside device: the first of each, then the second of each.

    Devices do not know of each other, so that only the order within each counts; side by side they share the calls
    of the models. A column ``nth`` says the how manieth of its device each is, from 0.
    """
    came = messages.sort_values(list(ORDER), kind="stable", ignore_index=True)
    came["nth"] = came.groupby("device", dropna=False, sort=False).cumcount()
    return came.sort_values("nth", kind="stable", ignore_index=True)


def read_messages(
    messages: pd.DataFrame, limits: Limits, extras: Sequence[str], most_per_device: int
) -> tuple[list[Reading], list[RejectedMessage]]:
    """Return the readings among ``messages``, in order, and the rest with what is wrong with each.

    ``extras`` are the measured features that are read beside power. More than ``most_per_device`` of one device are
    refused, and told once.
    """
    readings: list[Reading] = []
    refused: list[RejectedMessage] = []
    placed = in_order(messages)
    n_messages = placed.groupby("device", dropna=False, sort=False).size()
    for device, payload, received_ms, redelivered in _rows(placed[placed["nth"] < most_per_device]):
        content = payload.encode() if isinstance(payload, str) else payload or b""
        try:
            if not isinstance(device, str) or not is_device_id(device):
                detail = f"{device!r:.80} cannot name a device: use 1 to 64 of A-Z a-z 0-9 _ - ."
                raise PayloadError("bad_device", detail)
            arrived_ms = None if received_ms is None or math.isnan(received_ms) else int(received_ms)
            reading = decode(device, content, len(content), arrived_ms, limits, extras)
            readings.append(reading._replace(redelivered=True) if redelivered else reading)
        except PayloadError as problem:
            refused.append(RejectedMessage(device if isinstance(device, str) else "", content, problem))
    for name, n in n_messages[n_messages > most_per_device].items():
        detail = f"{n} readings in one micro-batch, {most_per_device} are taken: the {n - most_per_device} last are not"
        refused.append(
            RejectedMessage(str(name), b"", PayloadError("too_many_readings", detail), int(n - most_per_device))
        )
    return readings, refused


def _rows(messages: pd.DataFrame) -> Iterator[tuple[str | None, str | bytes | None, float | None, bool]]:
    columns = (messages[name].to_numpy(dtype=object) for name in SAID)
    return zip(*(np.asarray(column).tolist() for column in columns), strict=True)
