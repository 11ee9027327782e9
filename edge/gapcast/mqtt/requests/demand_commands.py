"""The commands that change a device's limit and correct its month's peak."""

from __future__ import annotations

from typing import Protocol

from gapcast.core.billing.changes import MonthPeak, limit_kw_of, month_peak_of
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.mqtt.payloads import decode_document
from gapcast.mqtt.requests.commands import Command, arrival_ms_of
from gapcast.mqtt.session.received_messages import ReceivedMessage


class DemandChanges(Protocol):
    """Makes changes; raises :class:`PayloadError` if the device has no demand, or the value is unusable."""

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        """Use ``limit_kw`` as the limit of ``device``; None: the configured one."""
        ...

    def correct_month_peak(self, device: str, peak: MonthPeak, *, is_retained: bool) -> None:
        """Use ``peak`` as the highest window of the running month of ``device``, if it is not retained and outdated."""
        ...


def limit_command(limits: Limits, changes: DemandChanges) -> Command:
    """Return the command that sets a device's limit; an empty message is that of a removed retained one."""

    def command(device: str, received: ReceivedMessage) -> None:
        document = _document_of(received, "limit") if received.publication.n_bytes else None
        changes.set_demand_limit(device, limit_kw_of(document, limits))

    return command


def month_peak_command(limits: Limits, changes: DemandChanges) -> Command:
    """Return the command that corrects a device's month's peak."""

    def command(device: str, received: ReceivedMessage) -> None:
        if not received.publication.n_bytes:
            return  # a retained correction was removed; the month's peak stays
        peak = month_peak_of(_document_of(received, "month's peak"), limits)
        if peak.minute is None and arrival_ms_of(received) is None:
            detail = 'a month\'s peak that was retained, or is sent again, may be of any month: send it with "at"'
            raise PayloadError("unknown_age", detail)
        changes.correct_month_peak(device, peak, is_retained=received.publication.retained)

    return command


def _document_of(received: ReceivedMessage, what: str) -> object:
    publication = received.publication
    if publication.n_bytes > MAX_PAYLOAD:
        detail = f"the {what} has {publication.n_bytes} bytes; at most {MAX_PAYLOAD} are read"
        raise PayloadError("too_large", detail)
    return decode_document(publication.payload)
