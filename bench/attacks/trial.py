"""Runs the attacks one after the other against one gateway, and evaluates each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.attacks import http_connections, http_requests, models, mqtt, state_files
from bench.attacks.attack import Attack, AttackReport, Victim
from bench.attacks.target import AttackTarget, Installation
from bench.attacks.traffic import Traffic
from bench.attacks.watch import Watch
from bench.faults.stage import FaultError, PersistentBroker

MAX_LIVEZ_MS = 1_000.0
MAX_RSS_MB = 80.0
_FORECAST_TIMEOUT_S = 30.0
_WARM_UP_ROUNDS = 3

#: Attacks on a running gateway, in their order.
LIVE = [*mqtt.ATTACKS, *http_connections.ATTACKS, *http_requests.ATTACKS, *models.ATTACKS, *mqtt.DEVICE_ATTACKS]
ARCHIVES, STATE, ECHO = "model archives", "state damaged", "own forecasts read"
NAMES = [*(attack.name for attack in LIVE), ARCHIVES, STATE, ECHO]
#: Omitted in a quick run, which has other attacks of the same kind.
_SLOW = {
    "http 60 MB of headers x 20",
    "http slow bytes",
    "http many requests",
    "http pipelined requests",
    "http lists of devices",
    "model card tolerance",
    "mqtt client id taken",
    "mqtt forged forecasts",
    "mqtt new devices",
}
QUICK_NAMES = [name for name in NAMES if name not in _SLOW]


@dataclass(slots=True)
class Result:
    """The result of an attack; figures are None unless it attacks a running gateway."""

    attack: str
    sent: str
    longest_livez_ms: float | None = None
    rss_more_mb: float | None = None
    children_mb: float | None = None
    lost: int | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the gateway withstood the attack."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self) | {"result": "pass" if self.is_good else "fail"}


class Trial:
    """One gateway with its broker and normal traffic; replaced by a new gateway if an attack fails."""

    def __init__(
        self, installation: Installation, folder: Path, *, quick: bool, report: Callable[[Result], None]
    ) -> None:
        """Keep all files in ``folder``; pass each result to ``report`` immediately."""
        self._installation, self._folder, self._quick, self._report = installation, folder, quick, report
        self._broker = PersistentBroker(folder / "broker")
        self._n_gateways = 0
        self._idle_mb = self._lasting_mb = 0.0

    def run(self, names: set[str]) -> None:
        """Run the attacks with these names."""
        self._broker.start()
        try:
            self._begin()
            try:
                self._run_live([attack for attack in LIVE if attack.name in names])
                if STATE in names:
                    self._target.kill()
                    self._traffic.stop()
                    self._report(self._offline(STATE, self._damage_state))
            finally:
                self._end()
            if ARCHIVES in names:
                self._report(self._offline(ARCHIVES, self._install_archives))
            if ECHO in names:
                self._report(self._offline(ECHO, self._read_own_forecasts))
        finally:
            self._broker.stop()

    def _begin(self) -> None:
        """Start a new gateway with its own traffic; measure its memory after the warm-up."""
        self._n_gateways += 1
        name = f"g{self._n_gateways}"
        self._target = AttackTarget(self._installation, self._folder / name, name, self._broker.port)
        self._traffic = Traffic(self._broker.port, name)
        self._target.start()
        self._traffic.start()
        self._traffic.wait_for_more(_WARM_UP_ROUNDS)
        self._target.reset_peak()
        self._idle_mb, self._lasting_mb = self._target.rss_mb(), 0.0

    def _end(self) -> None:
        self._traffic.stop()
        self._target.stop()

    def _run_live(self, attacks: list[Attack]) -> None:
        for attack, following in zip(attacks, [*attacks[1:], None], strict=True):
            result = self._attack(attack)
            self._report(result)
            if not result.is_good:  # the next attack starts on a fresh gateway
                self._end()
                self._begin()
            if following is None or following.group != attack.group:
                self._report(self._restart(attack.group))

    def _attack(self, attack: Attack) -> Result:
        target = self._target
        self._lasting_mb += attack.lasting_mb
        target.reset_peak()
        watch = Watch(target)
        try:
            outcome = attack.run(Victim(target, self._traffic.devices[0], self._quick))
        except FaultError as error:
            outcome = AttackReport("", [str(error)])
        n_lost = self._traffic.wait_for_forecasts(_FORECAST_TIMEOUT_S if target.is_alive else 0.0)
        seen = watch.finish()
        result = Result(attack.name, outcome.sent, seen.longest_ms, None, seen.children_mb, n_lost, outcome.problems)
        if not target.is_alive:
            result.problems.append(f"the gateway ended with {target.exit_code}: ...{target.log_tail(300)}")
            return result
        self._check_memory(result)
        if seen.n_failed:
            result.problems.append(f"{seen.n_failed} of {seen.n_probes} probes of /livez failed")
        elif seen.longest_ms > MAX_LIVEZ_MS:
            result.problems.append(f"/livez took {seen.longest_ms:.0f} ms")
        if n_lost:
            result.problems.append(f"{n_lost} acknowledged readings have no forecast")
        return result

    def _restart(self, group: str) -> Result:
        """Kill the gateway and restart it on the same state and session, with all pending messages."""
        ends = {"SIGKILL": self._target.kill} | ({} if self._quick else {"SIGTERM": self._target.stop})
        result = Result(f"restart after {group}", f"{', '.join(ends)}, start on the same state and session")
        try:
            for end in ends.values():
                end()
                self._target.start()
                self._traffic.wait_for_more(1)
            self._check_memory(result)
            result.lost = self._traffic.wait_for_forecasts(_FORECAST_TIMEOUT_S)
        except FaultError as error:
            result.problems.append(str(error))
            if not self._target.is_alive:
                self._end()
                self._begin()
        return result

    def _check_memory(self, result: Result) -> None:
        result.rss_more_mb = self._target.peak_rss_mb() - self._idle_mb
        allowed_mb = MAX_RSS_MB + self._lasting_mb
        if result.rss_more_mb > allowed_mb:
            result.problems.append(f"{result.rss_more_mb:.0f} MB above idle, of {allowed_mb:.0f} MB allowed")

    def _offline(self, name: str, run: Callable[[], tuple[AttackReport, float | None]]) -> Result:
        try:
            outcome, more_mb = run()
        except FaultError as error:
            outcome, more_mb = AttackReport("", [str(error)]), None
        return Result(name, outcome.sent, rss_more_mb=more_mb, problems=outcome.problems)

    def _damage_state(self) -> tuple[AttackReport, float | None]:
        return state_files.damage_state(self._target, self._traffic, 1 if self._quick else 10), None

    def _install_archives(self) -> tuple[AttackReport, float | None]:
        return models.install_archives(self._installation, self._folder / "archives")

    def _read_own_forecasts(self) -> tuple[AttackReport, float | None]:
        return state_files.read_own_forecasts(self._installation, self._folder, self._broker.port), None
