"""Verifications: drawn into a history between its syncs and beside them, with faults of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings
from airflow_provider_amplitude_segment.core.verification.verify_report import VerifyReport
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, MismatchError
from airflow_provider_amplitude_segment.sandbox import Fault
from faults.process import Accident
from faults.strangers import run_of
from faults.verification_verdict import Found, find, judge_verification
from faults.verify_attempt import VerifyAttempt
from faults.weather import draw_clock
from faults.world import COHORT_ID

if TYPE_CHECKING:
    from random import Random

    from faults.tally import Tally
    from faults.verdict import Finding
    from faults.world import World

EVERYTHING = 100_000
"""A sample of all pairs."""

_ENDS = ("kill", "kill", "kill", "torn write", "execution time-out", "stop", "state path failed", "slow answer")
_TARGETS = (
    ("profile", 30),
    ("public", 5),
    ("look", 8),
    ("read", 6),
    ("fetch", 2),
    ("claim", 1),
    ("file", 1),
    ("commit", 1),
    ("report", 2),
)
_MOST_STEPS = 40
_DELAYS = (0.0, 0.0, 0.0, 30.0, 300.0, 5000.0)
"""How many seconds late the Profile API shows a value."""


class Verifications:
    """Draws verifications, and holds against them what they say and do."""

    def __init__(self, random: Random, world: World, tally: Tally, log: list[str]) -> None:
        self._random = random
        self._world = world
        self._tally = tally
        self._log = log
        self._number = 0
        self._paused: list[tuple[VerifyAttempt, Found]] = []
        self._killed: VerifyAttempt | None = None
        self.findings: list[Finding] = []

    def play(self) -> None:
        """Draw whether a paused verification wakes, and whether another one begins."""
        draw = self._random
        if self._paused and draw.random() < 0.5:
            self.wake()
        if draw.random() < 0.4:
            self._world.sandbox.segment.profile_delay_seconds = draw.choice(_DELAYS)
        # Before the first sync there is nothing to verify.
        is_synced = self._world.newest(self._world.proved) is not None
        if draw.random() < (0.5 if is_synced else 0.1):
            self._begin(self._drawn(), self._draw_faults())

    def wake(self) -> bool:
        """Wake a paused verification; return whether there was one."""
        if not self._paused:
            return False
        attempt, found = self._paused.pop(0)
        self._count("verification paused")
        self._go_on(attempt, found, ())
        return True

    def verify_all(self, *, heal: bool, is_clean: bool = False) -> None:
        """Verify everything in calm; ``is_clean``: nothing may be wrong any more."""
        self._number += 1
        settings = VerifySettings(cohort_id=COHORT_ID, sample_size=EVERYTHING, recheck_seconds=20.0, heal=heal)
        attempt = VerifyAttempt(self._world, run_of(f"v{self._number}"), settings, [])
        self._begin(attempt, ())
        if not isinstance(attempt.outcome, VerifyReport if is_clean else VerifyReport | MismatchError):
            self.findings.append(("wrong", f"a calm verification, {is_clean=}: {attempt} {attempt.report}"))

    def _drawn(self) -> VerifyAttempt:
        draw = self._random
        run = run_of(f"v{self._number + 1}")
        if self._killed is not None and draw.random() < 0.6:
            run = replace(self._killed.run, try_number=self._killed.run.try_number + 1)
        else:
            self._number += 1
        settings = VerifySettings(
            cohort_id=COHORT_ID,
            sample_size=draw.choice((2, 10, 10, 40, EVERYTHING)),
            max_mismatch_ratio=draw.choice((0.0, 0.0, 1.0)),
            settle_seconds=draw.choice((0.0, 60.0, 60.0)),
            recheck_seconds=draw.choice((0.0, 20.0, 600.0)),
            heal=draw.random() < 0.5,
        )
        return VerifyAttempt(self._world, run, settings, self._draw_accidents(), ahead=draw_clock(draw))

    def _draw_accidents(self) -> list[Accident]:
        draw = self._random
        if draw.random() < 0.4:
            return []
        what = "pause" if draw.random() < 0.4 else draw.choice(_ENDS)
        after = what not in {"torn write", "state path failed", "slow answer"} and draw.random() < 0.5
        place = self._world.proved.name
        if draw.random() < 0.7:
            kind, highest = draw.choice(_TARGETS)
            return [Accident(what, draw.randint(1, highest), kind, after)]
        return [Accident(what, draw.randint(1, _MOST_STEPS), None, after, place)]

    def _draw_faults(self) -> tuple[tuple[str, Fault], ...]:
        draw = self._random
        if draw.random() < 0.5:
            return ()
        profile = draw.random() < 0.6
        on = (
            "segment.profile"
            if profile
            else draw.choice(("segment.public", "segment.overview", "segment.suppressions"))
        )
        api, after = "Profile API" if profile else "Public API", draw.randint(0, 8)
        status = draw.choice((429, 500, 502, 503))
        later = {"Retry-After": str(draw.choice((0, 1, 30)))} if draw.random() < 0.5 else {}
        faults = (
            (f"{api}: {status}", Fault(on=on, after=after, status=status, headers=later, times=draw.randint(1, 3))),
            (f"{api}: {status}", Fault(on=on, after=after, status=status, headers=later, times=draw.randint(1, 3))),
            (f"{api}: no response", Fault(on=on, after=after, reset=True, times=draw.randint(1, 3))),
            (f"{api}: part of a response", Fault(on=on, after=after, cut_after_bytes=20)),
            (f"{api} down", Fault(on=on, after=after, status=503, times=100)),
            (f"{api}: token refused", Fault(on=on, after=after, status=draw.choice((401, 403)), times=100)),
        )
        return (draw.choice(faults),)

    def _begin(self, attempt: VerifyAttempt, ordered: tuple[tuple[str, Fault], ...]) -> None:
        self._tally.verifications += 1
        self._log.append(f"{attempt.run.key} verifies{', and heals' if attempt.settings.heal else ''}")
        self._go_on(attempt, find(self._world), ordered)

    def _go_on(self, attempt: VerifyAttempt, found: Found, ordered: tuple[tuple[str, Fault], ...]) -> None:
        faults = self._world.sandbox.faults
        faults.add(*(fault for _, fault in ordered))
        met = faults.met
        has_ended = attempt.go_on()
        if faults.met > met:
            self._count(*(name for name, _ in ordered))
        faults.clear()
        self._log.append(f"  t={self._world.time.seconds % 1_000_000:.3f} {attempt}")
        if not has_ended:
            self._paused.append((attempt, found))
            return
        self._killed = attempt if "kill" in attempt.process.met else None
        self._count(*(f"verification: {what}" for what in attempt.process.met if what != "pause"))
        if isinstance(attempt.outcome, AmplitudeSegmentError):
            self._count(f"verification ended with {type(attempt.outcome).__name__}")
        self._tally.healed += attempt.report.healed
        self.findings += judge_verification(self._world, attempt, found)

    def _count(self, *what: str) -> None:
        self._tally.survived.update(what)
