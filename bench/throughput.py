"""Answered readings per second; gapcast and echo alternate within one run, under the same conditions."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

from bench.broker import running_broker
from bench.fleet import Fleet
from bench.load import Generator
from bench.process import cpu_s, peak_mb
from bench.subject import Subject, running
from bench.transports import BrokerTransport, listener_for

N_DEVICES = 1_000
#: Readings in flight. A subject is compared with the echo at the same number: with more at QoS 1, paho scans a longer
#: table of them on every acknowledgement, and gapcast's batches grow.
WINDOWS = (256, 2_000)
LEVELS = (0, 1)


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures of one block of a run. CPU times are user and system time of all threads, in microseconds per message.

    ``peak_mb`` is the peak resident memory of the process and its descendants.
    """

    name: str
    qos: int
    window: int
    per_s: float
    cpu_us: float
    broker_cpu_us: float
    generator_cpu_us: float
    answer_bytes: float
    n_lost: int
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Block:
    """Settings of one block; a subject of None is the ceiling: broker and generator alone."""

    subject: Subject | None
    qos: int
    window: int
    warm_up_s: float
    measured_s: float


def measure(block: Block) -> Pace:
    """Measure one block on its own broker."""
    fleet = Fleet(N_DEVICES, block.qos)
    if block.subject is not None and block.subject.transport is not None:
        return _measure_over(block.subject.transport, block, block.subject, fleet)
    with running_broker() as (port, broker_pid):
        if block.subject is None:
            with Generator(port, fleet, answers="gap/+/reading") as generator:
                return _measure(block, None, broker_pid, generator)
        with running(block.subject, port, block.qos) as process, Generator(port, fleet) as generator:
            return _measure(block, process.pid, broker_pid, generator)


def _measure_over(transport: BrokerTransport, block: Block, subject: Subject, fleet: Fleet) -> Pace:
    with (
        listener_for(transport) as listener,
        running_broker(listeners=listener.configuration) as (port, broker_pid),
        running(subject, listener.port, block.qos, listener.settings) as process,
        Generator(port, fleet) as generator,
    ):
        return _measure(block, process.pid, broker_pid, generator)


def _measure(block: Block, pid: int | None, broker_pid: int, generator: Generator) -> Pace:
    def used_s() -> tuple[float, float, float]:
        return cpu_s(pid) if pid else 0.0, cpu_s(broker_pid), time.process_time()

    generator.wait_until_answered()
    generator.run(block.warm_up_s, block.window)
    n_unanswered, n_before, n_bytes_before = generator.n_unanswered, generator.n_answered, generator.n_answer_bytes
    before = used_s()
    lasted_s = generator.run(block.measured_s, block.window)
    used_us = [1e6 * (now - then) for now, then in zip(used_s(), before, strict=True)]
    n_answered, n_bytes = generator.n_answered - n_before, generator.n_answer_bytes - n_bytes_before
    generator.send_minutes(0, block.window)
    return Pace(
        block.subject.name if block.subject else "broker alone",
        block.qos,
        block.window,
        per_s=n_answered / lasted_s,
        cpu_us=used_us[0] / n_answered,
        broker_cpu_us=used_us[1] / n_answered,
        generator_cpu_us=used_us[2] / n_answered,
        answer_bytes=n_bytes / n_answered,
        n_lost=generator.n_unanswered - n_unanswered,
        peak_mb=peak_mb(pid) if pid else 0.0,
    )


def measure_rounds(blocks: list[Block], n_rounds: int) -> list[list[Pace]]:
    """Measure all blocks one after the other, ``n_rounds`` times."""
    return [[_measure_and_print(block) for block in blocks] for _ in range(n_rounds)]


def _measure_and_print(block: Block) -> Pace:
    pace = measure(block)
    progress = f"QoS {pace.qos}, {pace.window:5} in flight: {pace.per_s:8,.0f}/s, {pace.cpu_us:5.1f} us  {pace.name}"
    print(progress, file=sys.stderr, flush=True)
    return pace


@dataclass(frozen=True, slots=True)
class ThroughputComparison(Pace):
    """One subject over all rounds of one QoS and window: medians, and ratios to the baseline of the same round.

    ``ratio_cpu`` is the subject's CPU time per message divided by the baseline's: above 1 is more expensive.
    """

    ratio: float
    ratio_min: float
    ratio_max: float
    ratio_cpu: float


def compare(rounds: list[list[Pace]], baseline: str) -> list[ThroughputComparison]:
    """Summarise rounds; each subject is compared with the one named ``baseline`` at the same window.

    >>> def pace(name, per_s, cpu_us):
    ...     return Pace(name, 0, 9, per_s, cpu_us, 5.0, 3.0, 80.0, 0, 23.0)
    >>> rounds = [[pace("echo", 100, 10), pace("gapcast", 90, 12)], [pace("echo", 200, 10), pace("gapcast", 160, 12)]]
    >>> [(one.name, one.per_s, round(one.ratio, 2), round(one.ratio_cpu, 2)) for one in compare(rounds, "echo")]
    [('echo', 150.0, 1.0, 1.0), ('gapcast', 125.0, 0.85, 1.2)]
    """
    columns = list(zip(*rounds, strict=True))
    bases = {column[0].window: column for column in columns if column[0].name == baseline}
    return [_summarise(column, bases[column[0].window]) for column in columns]


def _summarise(column: tuple[Pace, ...], base: tuple[Pace, ...]) -> ThroughputComparison:
    pairs = list(zip(column, base, strict=True))
    ratios = [one.per_s / other.per_s for one, other in pairs]
    return ThroughputComparison(
        column[0].name,
        column[0].qos,
        column[0].window,
        per_s=statistics.median(pace.per_s for pace in column),
        cpu_us=statistics.median(pace.cpu_us for pace in column),
        broker_cpu_us=statistics.median(pace.broker_cpu_us for pace in column),
        generator_cpu_us=statistics.median(pace.generator_cpu_us for pace in column),
        answer_bytes=statistics.median(pace.answer_bytes for pace in column),
        n_lost=sum(pace.n_lost for pace in column),
        peak_mb=max(pace.peak_mb for pace in column),
        ratio=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        ratio_cpu=statistics.median(one.cpu_us / other.cpu_us for one, other in pairs),
    )
