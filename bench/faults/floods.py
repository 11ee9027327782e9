"""Overload: a topic with a random part, a backlog of a million messages, a week at full speed."""

from __future__ import annotations

import time
from pathlib import Path

from bench.faults.stage import WAIT_S, FaultError, PersistentBroker, RestartableGateway, wait_until
from bench.faults.trials import Rows
from bench.fleet import Fleet
from bench.load import Generator, connected, received

MB = 1e6
#: Memory by which a gateway may grow between hour 12 and the end of a long stream, MB.
GROWTH_MB = 5.0
#: Hours until the gateway's resources are stable: by then it has created the interpreters of all batch sizes, stored an
#: hour of outlooks, and copied its whole state for a checkpoint.
WARM_HOURS = 12
#: Minutes of each device before a backlog: by then its state and an hour of outlooks are stored, so that only the
#: backlog causes later growth.
_KNOWN_MIN = 62
_WINDOW = 1_000
_HOUR_MIN = 60


def pour(port: int, fleet: Fleet, n_minutes: int) -> int:
    """Publish ``n_minutes`` of a fleet's readings at QoS 1 as fast as the broker confirms them; return their number."""
    link = connected(port, "faults-flood")
    n_confirmed, n_sent, rest = 0, 0, b""
    last = n_minutes * fleet.n_devices
    while n_confirmed < last * 4:
        if not rest and n_sent < last:
            rest = fleet.next_minute()
            n_sent += fleet.n_devices
        room = _WINDOW * fleet.packet_bytes
        if rest and n_sent * 4 - n_confirmed < (_WINDOW + fleet.n_devices) * 4:
            try:
                rest = rest[link.send(rest[:room]) :]
            except BlockingIOError:
                time.sleep(0.001)
        else:
            time.sleep(0.001)
        n_confirmed += len(received(link))  # only PUBACKs, 4 bytes each
    link.close()
    return last


def crowd(folder: Path, n_devices: int, n_at_most: int) -> Rows:
    """Let many more devices appear than ``devices.max``; tracked devices continue, readings of others are counted."""
    with (
        PersistentBroker(folder / "broker") as broker,
        RestartableGateway(folder, broker.port, devices__max=n_at_most) as gateway,
    ):
        before_mb = gateway.rss_mb
        never = connected(broker.port, "faults-never-reads", "gap/+/forecast")  # a subscriber that never reads
        n_sent = pour(broker.port, Fleet(n_devices, qos=1), 2)
        n_processed = _wait_processed(gateway, n_sent)
        more_mb = gateway.rss_mb - before_mb
        never.close()
        metrics = gateway.metrics()
        n_tracked, n_rejected = metrics["gapcast_devices"], metrics['gapcast_readings_total{result="rejected"}']
        if (n_tracked, n_rejected) != (n_at_most, 2 * (n_devices - n_at_most)):
            msg = f"{n_tracked:g} devices are tracked and {n_rejected:g} readings rejected, of {n_processed:g}"
            raise FaultError(msg)
    return {
        "devices that appeared": n_devices,
        "devices.max": n_at_most,
        "readings": n_sent,
        "rejected": int(n_rejected),
        "memory more, MB": round(more_mb, 1),
    }


def backlog(folder: Path, n_messages: int, n_devices: int = 1_000) -> Rows:
    """Let ``n_messages`` readings queue at the broker while the gateway is stopped.

    The memory is compared with that of the gateway before it was stopped.
    """
    with PersistentBroker(folder / "broker") as broker, RestartableGateway(folder, broker.port) as gateway:
        fleet = Fleet(n_devices, qos=1)
        _wait_processed(gateway, pour(broker.port, fleet, _KNOWN_MIN))
        before_mb = gateway.rss_mb  # with all that a first forecast loads, which may come before or after readiness
        gateway.stop()
        n_sent = pour(broker.port, fleet, n_messages // n_devices)
        begin_s = time.monotonic()
        gateway.start()
        gateway.wait_ready()
        rss_mb = [gateway.rss_mb]
        while _n_processed(gateway) < n_sent:
            rss_mb.append(gateway.rss_mb)
            wait_until(lambda: _n_processed(gateway) > 0, "the backlog to be processed")
            time.sleep(0.1)
            if time.monotonic() > begin_s + WAIT_S + n_sent / 1_000:
                msg = f"{_n_processed(gateway):g} of {n_sent} were processed"
                raise FaultError(msg)
        took_s = time.monotonic() - begin_s
        accepted = gateway.metrics()['gapcast_readings_total{result="accepted"}']
        if accepted != n_sent:
            msg = f"{accepted:g} of {n_sent} queued readings were accepted"
            raise FaultError(msg)
    return {
        "messages that waited": n_sent,
        "accepted": int(accepted),
        "taken in s": round(took_s, 1),
        "memory more at most, MB": round(max(rss_mb) - before_mb, 1),
    }


def long_stream(folder: Path, n_hours: int, n_devices: int = 1_000) -> Rows:
    """Replay ``n_hours``, more than 12, at full speed; compare the gateway's resources at the end with hour 12."""
    with PersistentBroker(folder / "broker") as broker, RestartableGateway(folder, broker.port) as gateway:
        fleet = Fleet(n_devices, qos=1)
        with Generator(broker.port, fleet) as generator:
            generator.wait_until_answered()
            begin_s = time.monotonic()
            held = []
            for _ in range(n_hours):
                generator.send_minutes(_HOUR_MIN, _WINDOW)
                held.append((gateway.rss_mb, gateway.n_files, gateway.n_threads))
            took_s = time.monotonic() - begin_s

            def n_lost() -> int:  # the first reading of each device has no forecast
                generator.tick(0, generator.n_sent)
                return generator.n_sent - generator.n_answered - n_devices

            # A generator stops waiting after a second without answers, which a busy machine may take.
            try:
                wait_until(lambda: n_lost() == 0, "a forecast for each reading")
            except FaultError as error:
                msg = f"{n_lost()} forecasts lost"
                raise FaultError(msg) from error
        (first_mb, first_files, first_threads), (last_mb, _, last_threads) = held[WARM_HOURS - 1], held[-1]
        wait_until(lambda: gateway.n_files <= first_files, "the file of a checkpoint to be closed")
        kept_mb = sum(path.stat().st_size for path in (folder / "state" / "stream").iterdir()) / MB
    if last_mb - first_mb > GROWTH_MB or last_threads > first_threads:
        msg = f"(MB, files, threads) were {held[WARM_HOURS - 1]}, and are {held[-1]}"
        raise FaultError(msg)
    return {
        "hours": n_hours,
        "devices": n_devices,
        "readings": generator.n_sent,
        "readings a second": round(n_hours * _HOUR_MIN * n_devices / took_s),
        "forecasts lost": 0,  # otherwise the wait above fails
        f"memory after {WARM_HOURS} hours, MB": round(first_mb, 1),
        "memory at the end, MB": round(last_mb, 1),
        "memory most, MB": round(max(mb for mb, _, _ in held), 1),
        "files, threads": f"{first_files}, {first_threads} and {first_files}, {last_threads}",
        "state on disk, MB": round(kept_mb, 1),
    }


def _n_processed(gateway: RestartableGateway) -> float:
    return sum(n for name, n in gateway.metrics().items() if name.startswith("gapcast_readings_total"))


def _wait_processed(gateway: RestartableGateway, n: int) -> float:
    wait_until(lambda: _n_processed(gateway) >= n, f"{n} readings to be processed", WAIT_S + n / 1_000)
    return _n_processed(gateway)
