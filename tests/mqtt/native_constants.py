"""The constants of edge/native/packets.c and plain_reading.c, and their Python originals."""

from __future__ import annotations

from datetime import UTC, datetime

from gapcast.core.readings import reading
from gapcast.core.time_grid import DAY_MIN, EARLIEST_MS, LATEST_MS, MINUTE_MS, minute_label
from gapcast.mqtt.packets import frames

_FIRST = datetime.fromtimestamp(EARLIEST_MS / 1_000, UTC)
_PACKETS, _READING = "packets.c", "plain_reading.c"
#: Constants without a counterpart: bits of packets, and the digits that a double holds.
OF_C_ALONE = {"KIND", "HAS_ID", "MORE_LENGTH", "LENGTH_BITS", "N_EXACT_DIGITS"}
#: The Python value of each other constant, by file and name.
ORIGINALS: dict[tuple[str, str], object] = {
    (_PACKETS, "PUBLISH"): frames.PUBLISH,
    (_PACKETS, "PUBACK"): frames.PUBACK,
    (_PACKETS, "MAX_PAYLOAD"): frames.MAX_PAYLOAD,
    (_READING, "EARLIEST_MS"): EARLIEST_MS,
    (_READING, "LATEST_MS"): LATEST_MS,
    (_READING, "MILLISECONDS_FROM"): reading._MILLISECONDS_FROM,
    (_READING, "FIRST_YEAR"): _FIRST.year,
    (_READING, "FIRST_DAY"): (_FIRST - datetime(1970, 1, 1, tzinfo=UTC)).days,
    (_READING, "SECOND_MS"): MINUTE_MS // 60,
    (_READING, "MINUTE_MS"): MINUTE_MS,
    (_READING, "DAY_S"): DAY_MIN * 60,
    (_READING, "INSTANT_LENGTH"): len(minute_label(0)),
}
