"""A history: several syncs of one cohort, drawn from a seed, and a calm end at which all must be right."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.ledger.claim import CLAIM_SECONDS
from airflow_provider_amplitude_segment.core.settings import SyncSettings
from airflow_provider_amplitude_segment.exceptions import (
    ClaimHeldError,
    ClaimLostError,
    ExportTimeoutError,
    TraitConflictError,
)
from faults.attempt import Attempt
from faults.cohort_moves import ANCHORS, ODD_USERS, CohortMoves
from faults.drawn_settings import draw_settings
from faults.file_moves import FileMoves
from faults.journeys import Journeys
from faults.source_checks import SourceChecks
from faults.strangers import OTHER_TRAIT, Strangers, run_of
from faults.tally import Tally
from faults.verdict import (
    judge_cohort,
    judge_ledger,
    judge_report,
    judge_success,
    judge_totals,
    pairs_to_send,
    planned_by,
    someone_is_pending,
)
from faults.verifications import Verifications
from faults.weather import Weather, draw_clock, draw_more_faults, draw_weather
from faults.world import COHORT_ID, World

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox
    from faults.verdict import Finding

_CALM_TRIES = 5
_AFTER_ALL_CLAIMS_SECONDS = 6000.0


class History:
    """One seed's history. The same seed gives the same one; two of five read cohort files, or all with ``files``."""

    def __init__(self, seed: int, sandbox: Sandbox, folder: Path, *, files: bool = False) -> None:
        self.random = random.Random(seed)  # noqa: S311 - drawn from a seed so that it can be played again
        # What was added later is drawn beside it, so that a seed's other draws stay as they were.
        self._more = random.Random(f"{seed} more")  # noqa: S311
        self.tally = Tally(histories=1)
        self.findings: list[Finding] = []
        self.log: list[str] = []
        draw = self.random
        users = [*ODD_USERS, *(f"user-{number:03d}" for number in range(draw.randint(5, 50)))]
        members = [*ANCHORS, *draw.sample(users, draw.randint(3, len(users)))]
        self.world = World(sandbox, folder, members, destinations=2 if draw.random() < 0.2 else 1)
        self._pace = draw.choice((20.0, 20.0, 40.0, 80.0, None))
        self._workers = 4 if draw.random() < 0.08 else 1
        self._settings = SyncSettings(cohort_id=COHORT_ID, poll_interval=10, export_timeout=600)
        self._paused: list[tuple[Attempt, float]] = []
        self._unfinished: dict[str, Attempt] = {}
        self._finished: dict[str, Attempt] = {}
        self._tries: dict[str, int] = {}
        self._allowed_exports = 0
        self._strangers = Strangers(self._more, self.world)
        self._moves = CohortMoves(self.random, self.world, users, self._count)
        draws = random.Random(f"{seed} files")  # noqa: S311
        self._files = FileMoves(draws, self.world, self._count, has_files=files or seed % 5 in {1, 4})
        self.tally.file_histories = int(self._files.has_files)
        self._proof = random.Random(f"{seed} proof")  # noqa: S311
        self._checks = SourceChecks(self._proof, self.world)
        policies = random.Random(f"{seed} policies")  # noqa: S311
        self._journeys = Journeys(random.Random(f"{seed} events"), policies, self.world, self._count)  # noqa: S311
        self._verifications = Verifications(self._proof, self.world, self.tally, self.log)

    def play(self) -> None:
        """Play it to its calm end; what is wrong stands in ``findings`` then."""
        for _ in range(self.random.randint(3, 7)):
            self._play_event()
        self._end_calmly()
        self._judge_totals()
        self.tally.findings.update(check for check, _ in self.findings)

    def _play_event(self) -> None:
        draw = self.random
        if self._paused and draw.random() < 0.4:
            self._wake(0)
        self._moves.move_users()
        self._journeys.note_moves()
        self._settings = self._moves.change_cohort(self._settings)
        self._moves.lose_silently(self._proof)
        self._journeys.change_policy(is_quiet=not self._paused and not self.world.mail.late)
        if self.world.mail.late and draw.random() < 0.4:
            self._let_late_bodies_arrive(draw.randint(1, 2))
        self.world.time.pass_by(draw.choice((1, 60, 200, 310, 400, 1000, 5000)))
        self._files.move()
        self._journeys.note_moves()
        weather = draw_weather(draw, [d.name for d in self.world.keys], self.world.time.seconds)
        more = draw_more_faults(self._more, self.world.cohort)
        self._verifications.play()
        self._judge_ledgers()
        self._meet_a_stranger()
        attempt = self._next_attempt(weather)
        checked = attempt.source_state.faults if attempt.source_state else ()
        self._go_on(attempt, (*weather.faults, *more, *checked))

    def _meet_a_stranger(self) -> None:
        """Let another Airflow, a second process or a second task use the ledgers, mostly while an owner is paused."""
        draw = self._more
        settings = self._own_settings(replace(self._settings, max_exit_ratio=None, on_rejected="warn"))
        if self._paused and draw.random() < 0.5:
            stranger = self._strangers.twin_of(draw.choice(self._paused)[0], settings)
        elif draw.random() < 0.12:
            stranger = self._strangers.other_task(settings)
        else:
            return
        attempt = stranger.attempt
        self._begin(f"{attempt.process.name}: {stranger.kind}")
        self.tally.tries += 1
        attempt.go_on()
        self.log.append(f"  t={self.world.time.seconds % 1_000_000:.3f} {attempt}")
        if survived := stranger.survived():
            self._count(survived)
        if attempt.has_ended_the_run and attempt.has_succeeded:
            # It took the run's record along, if it had one: the owner's next try asks for an export anew.
            self.world.forget_run(attempt.run.key)
            self._allowed_exports += 1
        self.findings += self._strangers.judge(stranger)
        self._judge_end(attempt)

    def _next_attempt(self, weather: Weather) -> Attempt:
        draw = self.random
        settings = self._draw_settings()
        wait_error = None
        wait_for_export = draw.random() < 0.75
        known = list(self._unfinished.values())
        if known and draw.random() < 0.6:
            last = draw.choice(known)
            run = replace(last.run, try_number=self._tries[last.run.key] + (0 if last.is_incomplete else 1))
            if last.process.has_forgotten:
                self._begin(f"{run.key} had ended, and Airflow did not hear of it")
                self.world.forget_run(run.key)
            if last.is_incomplete:
                wait_for_export = True
                if draw.random() < 0.2:
                    self._count("deferral that waited in vain")
                    wait_error = ExportTimeoutError("of the trigger", 600.0, "JOB INPROGRESS")
        elif self._finished and draw.random() < 0.15:
            last = draw.choice(list(self._finished.values()))
            run = replace(last.run, try_number=self._tries[last.run.key] + 1)
            self._begin(f"{run.key} is cleared")
        else:
            key = f"r{len(self._tries) + 1}"
            run = run_of(key)
            self._begin(f"{key} begins")
        self._tries[run.key] = run.try_number
        self.tally.tries += 1
        how: dict[str, Any] = {
            "wait_for_export": wait_for_export,
            "wait_error": wait_error,
            "ahead": draw_clock(self._more),
            "source_state": self._checks.draw(run.key),
            "from_files": self._files.draw_source(run.key),
        }
        accidents = [
            *self._journeys.accidents(),
            *weather.accidents,
            *self._files.draw_accidents(from_files=how["from_files"]),
        ]
        return Attempt(self.world, run, settings, accidents, **how)

    def _draw_settings(self) -> SyncSettings:
        return self._own_settings(draw_settings(self.random, self._more, self._settings, self._strangers))

    def _own_settings(self, settings: SyncSettings) -> SyncSettings:
        paced = replace(settings, events_per_second=self._pace, max_concurrent_requests=self._workers)
        return self._journeys.settings(paced)

    def _begin(self, what: str) -> None:
        self.tally.syncs += 1
        self.log.append(what)

    def _go_on(self, attempt: Attempt, ordered: tuple[tuple[str, Fault], ...] = ()) -> None:
        """Let an attempt go on until it ends or is paused, under the servers' faults that were ordered for it."""
        faults = self.world.sandbox.faults
        faults.add(*(fault for _, fault in ordered))
        with self._checks.prevailing(attempt):
            has_ended = attempt.go_on()
        self._journeys.note_moves()
        pending = faults.pending
        faults.clear()
        for name, fault in ordered:
            if fault in pending:
                pending.remove(fault)
                continue
            self._count(name)
            if fault.on == "amplitude.request" and fault.apply:
                self._allowed_exports += 1
        self._journeys.note_end(attempt.process)
        self.log.append(f"  t={self.world.time.seconds % 1_000_000:.3f} {attempt}")
        if has_ended:
            self._note_end(attempt)
        else:
            # It may be paused after its commit: what is sent from now on is of a later sync.
            self.findings += self._journeys.judge_first_sync()
            self._paused.append((attempt, self.world.time.seconds))
            self._unfinished[attempt.run.key] = attempt

    def _note_end(self, attempt: Attempt) -> None:
        key = attempt.run.key
        if ahead := attempt.process.ahead:
            self._count(f"worker's clock {'ahead' if ahead > 0 else 'behind'}")
        for what in attempt.process.met:
            if what not in {"pause", "late batch"}:
                self._count(what)
        self._allowed_exports += attempt.process.accidents_before_saving
        if isinstance(attempt.outcome, ClaimHeldError):
            self._count("rival kept out")
        if isinstance(attempt.outcome, TraitConflictError):
            self._count(f"{OTHER_TRAIT} refused")
        if attempt.has_ended_the_run:
            self._unfinished.pop(key, None)
            self._finished[key] = attempt
            self.world.forget_run(key)
        elif key not in self._finished or attempt.run.try_number >= self._tries[key]:
            self._unfinished[key] = attempt
            self._finished.pop(key, None)
        self._judge_end(attempt)

    def _judge_end(self, attempt: Attempt) -> None:
        if attempt.has_succeeded:
            self.findings += judge_success(self.world, attempt)
            self.tally.file_syncs += attempt.from_files
        if attempt.escaped is not None:
            self.findings.append(("escaped", f"{attempt.process.name}: {attempt.escaped!r}"))
        self.findings += judge_report(attempt)
        self.findings += self._journeys.judge_first_sync()
        self._judge_ledgers()

    def _judge_ledgers(self) -> None:
        for destination in self.world.keys:
            self.findings += judge_ledger(self.world, destination)

    def _wake(self, number: int) -> None:
        attempt, since = self._paused.pop(number)
        if attempt.run.key in self._finished:
            # Its own retry has ended the run meanwhile: what it does now, it does as who clears a finished task.
            self._begin(f"{attempt.run.key} wakes after its end")
        has_expired = self.world.time.seconds - since > CLAIM_SECONDS
        self._go_on(attempt)
        self._count("owner paused past its claim's expiry" if has_expired else "owner paused")
        if isinstance(attempt.outcome, ClaimLostError):
            self._count("woken owner that saw its claim taken over")

    def _let_late_bodies_arrive(self, count: int) -> None:
        arrived = self.world.mail.deliver_late(count, self.world.time.seconds)
        self._count("late batch", arrived)
        self.log.append(f"  {arrived} late bodies arrive")
        self._judge_ledgers()

    def _end_calmly(self) -> None:
        segment = self.world.sandbox.segment
        segment.poisoned, segment.profile_delay_seconds = set(self._moves.for_good), 0.0
        self.world.lost.clear()
        self._let_late_bodies_arrive(len(self.world.mail.late) // 2)
        while self._paused:
            self._wake(0)
        while self._verifications.wake():
            self._judge_ledgers()
        self._sync_calmly("incremental")
        self._let_late_bodies_arrive(len(self.world.mail.late))
        self.findings += judge_cohort(self.world, self._moves.for_good, spare_waiting=True)
        self.findings += self._journeys.judge_at_least_once(self._moves.for_good | self.world.lost.ever)
        if self.world.lost.unhealed or self._proof.random() < 0.1:
            self._heal_calmly()
        if self.random.random() < 0.3 or someone_is_pending(self.world):
            self._sync_calmly("full")
            self.findings += judge_cohort(self.world, self._moves.for_good, spare_waiting=False)
        self._sync_idly()

    def _sync_idly(self) -> None:
        """Sync twice what has not changed: only users who are still in doubt may be sent the second time."""
        for is_idle in (False, True):
            in_doubt = pairs_to_send(self.world)
            attempt = self._sync_calmly("incremental")
            if is_idle and attempt is not None and (planned := planned_by(attempt)) > in_doubt:
                self.findings.append(("needless", f"{planned} identifies, and {in_doubt} pairs are in doubt"))

    def _heal_calmly(self) -> None:
        """Heal what Segment lost, sync, and hold Segment against the cohort without a pardon for the lost users."""
        self.world.time.pass_by(_AFTER_ALL_CLAIMS_SECONDS)
        self._verifications.verify_all(heal=True)
        self._sync_calmly("incremental")
        self.world.lost.unhealed.clear()
        self._verifications.verify_all(heal=False, is_clean=True)
        self.findings += judge_cohort(self.world, self._moves.for_good, spare_waiting=True)

    def _sync_calmly(self, mode: Any) -> Attempt | None:
        for _ in range(_CALM_TRIES):
            self._files.calm_down()
            self.world.time.pass_by(_AFTER_ALL_CLAIMS_SECONDS)
            attempt = self._next_calm_attempt(mode)
            self._go_on(attempt)
            if attempt.has_succeeded:
                return attempt
        self.findings.append(("stuck", f"no calm sync succeeded: {attempt}"))
        return None

    def _next_calm_attempt(self, mode: Any) -> Attempt:
        key = f"calm-{len(self._tries) + 1}"
        self._tries[key] = 1
        self.tally.tries += 1
        self._begin(f"{key} begins")
        settings = replace(self._draw_settings(), sync_mode=mode, on_rejected="warn", max_exit_ratio=None)
        if self._strangers.is_replaced() and settings.on_trait_change == "retire":
            settings = replace(settings, on_trait_change="take-over")
        return Attempt(self.world, run_of(key), settings, [], from_files=self._files.draw_source(key))

    def _judge_totals(self) -> None:
        self.findings += [*self._checks.findings, *self._verifications.findings]
        self.tally.survived.update(self._checks.survived)
        self._count("users lost behind a 200", len(self.world.lost.ever))
        self.findings += self._journeys.judge_at_most_once()
        self.tally.exports = self.world.sandbox.amplitude.exports_spent
        allowed = self.tally.syncs + self._allowed_exports + self.world.book.renewed
        self.findings += judge_totals(self.world, allowed)

    def _count(self, what: str, times: int = 1) -> None:
        if times:
            self.tally.survived[what] += times
