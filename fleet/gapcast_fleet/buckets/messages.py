"""Converts the messages of a micro-batch to readings, in the engine's order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic_core import from_json

from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits, Reading, device_id_problem, is_device_id
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.mqtt.payloads import decode

#: Columns of every source that give the order of messages, most significant first. Messages of one device are
#: processed in this order, as a gateway processes them from its broker.
ORDER = ("at", "file", "block", "place")
#: Columns of a message; additionally when it was received (epoch ms, null if unknown), and whether it is redelivered.
_MESSAGE_COLUMNS = ("device", "payload", "received_ms", "redelivered")

#: The rejection of a reading without a power, also of a row of Parquet with null: there are no ``[[sources]]`` here.
_NO_VALUE = PayloadError(
    "no_value", 'the reading has no "gap_kw", or it is null: leave out the minutes that were not measured'
)
#: Reasons of a rejection that come before a missing device: the message is no JSON in which a device could be.
_NOT_READABLE = frozenset({"empty", "not_json", "not_finite"})


class RejectedMessage(NamedTuple):
    """A message that is not a valid reading, or ``n`` such messages reported as one."""

    device: str
    payload: bytes
    problem: PayloadError
    n: int = 1


def in_order(messages: pd.DataFrame) -> pd.DataFrame:
    """Return ``messages`` in order, interleaved by device: the first of each device, then the second of each.

    Devices are independent, so that only the order within a device matters; interleaved, they share model calls.
    The column ``nth`` is the index of a message within its device, from 0.
    """
    ordered = messages.sort_values(list(ORDER), kind="stable", ignore_index=True)
    ordered["nth"] = ordered.groupby("device", dropna=False, sort=False).cumcount()
    return ordered.sort_values("nth", kind="stable", ignore_index=True)


def read_messages(
    messages: pd.DataFrame, limits: Limits, extras: Sequence[str], most_per_device: int
) -> tuple[list[Reading], list[RejectedMessage]]:
    """Return the readings among ``messages``, in order, and the rejected messages with their problems.

    ``extras`` are the measured features besides power. Messages beyond ``most_per_device`` of one device are
    rejected, and reported once.
    """
    readings: list[Reading] = []
    rejected: list[RejectedMessage] = []
    ordered = in_order(messages)
    n_messages = ordered.groupby("device", dropna=False, sort=False).size()
    for device, payload, received_ms, redelivered in _rows(ordered[ordered["nth"] < most_per_device]):
        content = payload.encode() if isinstance(payload, str) else payload or b""
        if not isinstance(device, str):
            rejected.append(_without_device(content, limits))
            continue
        try:
            if not is_device_id(device):
                raise PayloadError("bad_device", device_id_problem(device))
            if len(content) > MAX_PAYLOAD:  # the MQTT source has cut it
                raise PayloadError("too_large", f"the payload has more than the {MAX_PAYLOAD} bytes that are read")
            arrived_ms = None if received_ms is None or math.isnan(received_ms) else int(received_ms)
            reading = decode(device, content, len(content), arrived_ms, limits, extras)
            readings.append(reading._replace(redelivered=True) if redelivered else reading)
        except PayloadError as problem:
            rejected.append(RejectedMessage(device, content, _NO_VALUE if problem.reason == "no_value" else problem))
    for name, n in n_messages[n_messages > most_per_device].items():
        detail = (
            f"{n} readings in one micro-batch, at most {most_per_device} are processed: "
            f"the last {n - most_per_device} are dropped"
        )
        too_many = PayloadError("too_many_readings", detail)
        topic = name if isinstance(name, str) else ""
        rejected.append(RejectedMessage(topic, b"", too_many, int(n - most_per_device)))
    return readings, rejected


def _without_device(payload: bytes, limits: Limits) -> RejectedMessage:
    """Return the rejection of a message in which Spark found no device, because it is not JSON or has none."""
    try:
        decode("", payload, len(payload), None, limits)
    except PayloadError as problem:
        if problem.reason in _NOT_READABLE:
            return RejectedMessage(_device_beside_nan(payload), payload, problem)
    detail = 'the message has no device: write {"device": "m1", …}; in Kafka the key of the record is the device'
    return RejectedMessage("", payload, PayloadError("bad_device", detail))


def _device_beside_nan(payload: bytes) -> str:
    """Return the device of a JSON object, also of one with ``NaN`` or ``Infinity``; "" if it has none."""
    try:
        value = from_json(payload)
    except ValueError:
        return ""
    device = value.get("device") if isinstance(value, dict) else None
    return device if isinstance(device, str) and is_device_id(device) else ""


def _rows(messages: pd.DataFrame) -> Iterator[tuple[str | None, str | bytes | None, float | None, bool]]:
    columns = (messages[name].to_numpy(dtype=object) for name in _MESSAGE_COLUMNS)
    return zip(*(np.asarray(column).tolist() for column in columns), strict=True)
