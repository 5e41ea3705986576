"""The verifier: a task that compares the ledgers with a Segment that lies about some users, heals, and may be killed.

A lie makes the verifier set a user in doubt whom Segment has rightly, so the next sync must send that user again. What
Segment has does not change by it, so every other check of a history holds meanwhile.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from fakes.engine import shared_engine

from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAbsent, TraitAbsent, TraitFound
from airflow_provider_amplitude_segment.core.verification.ports import SegmentApis, VerifyPorts
from airflow_provider_amplitude_segment.core.verification.profile_requests import REQUESTS_PER_SECOND
from airflow_provider_amplitude_segment.core.verification.request_pacer import RequestPacer
from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings
from airflow_provider_amplitude_segment.core.verification.verification import CohortVerification
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, ClaimHeldError, NewerSyncError
from faults.faulty_store import FaultyStore
from faults.process import Accident, Killed, Process
from faults.strangers import run_of
from faults.virtual_time import ProcessClock
from faults.world import COHORT_ID

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from random import Random

    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer
    from airflow_provider_amplitude_segment.core.segment_api.workspace import ListedSource
    from faults.world import World

_LIES = 0.25
_SHORTEST_SECONDS = 0.04


class _PacingClock(ProcessClock):
    """A clock that lets time pass also in the short waits between requests."""

    def wait(self, seconds: float, until: threading.Event) -> bool:
        return super().wait(max(seconds, _SHORTEST_SECONDS), until)


class _Workspace:
    """A Public API that shows no source's key and suppresses no user."""

    def sources(self, host: str) -> Iterator[ListedSource]:  # noqa: ARG002 - it shows none
        return iter(())

    def suppressed_users(self) -> Iterator[Sequence[str]]:
        return iter(())


class _LyingSpace:
    """A Profile API that says of some users that Segment does not have what it has."""

    def __init__(self, world: World, key: str, salt: str) -> None:
        self._world, self._key, self._salt = world, key, salt

    def trait(self, user_id: str, trait: str) -> ProfileAnswer:
        traits = self._world.sandbox.segment.traits(self._key, user_id)
        digest = hashlib.sha256(f"{self._salt}\0{trait}\0{user_id}".encode()).digest()
        if digest[0] / 256 < _LIES:
            return TraitFound(not traits.get(trait, False))
        if not traits:
            return ProfileAbsent()
        return TraitFound(traits[trait]) if trait in traits else TraitAbsent()

    def user_ids(self, user_id: str) -> Sequence[str]:
        return [user_id]


class Verifier:
    """One try of a verification. ``outcome`` is what it returned or raised."""

    def __init__(self, draw: Random, world: World, number: int) -> None:
        accidents = []
        if draw.random() < 0.5:
            what = draw.choice(("kill", "kill", "torn write", "state path failed", "state path failed late"))
            accidents = [Accident(what, draw.randint(1, 30), after=draw.random() < 0.3 and what == "kill")]
        key = f"verify-{number}"
        self._world = world
        self._process = Process(f"{key}.1", key, accidents)
        self._verification: CohortVerification | None = None
        self._run = run_of(key)
        self._salt = str(draw.random())
        self.outcome: object = None

    def go_on(self) -> None:
        """Verify, from beginning to end."""
        world, process = self._world, self._process
        scratch = world.new_scratch()
        clock = _PacingClock(world.time, process, world.tokens)
        ports = VerifyPorts(
            apis={
                destination: SegmentApis("segment_api", _Workspace(), _LyingSpace(world, key, self._salt))
                for destination, key in world.keys.items()
            },
            store=FaultyStore(world, process),
            clock=clock,
            random_source=clock,
            stop=process.stop,
            pacer=RequestPacer(REQUESTS_PER_SECOND, clock, process.stop),
            scratch=scratch,
            engine=shared_engine(scratch),
        )
        settings = VerifySettings(
            cohort_id=COHORT_ID, max_mismatch_ratio=1.0, settle_seconds=0.0, recheck_seconds=0.0, heal=True
        )
        self._verification = CohortVerification(settings, self._run, ports)
        try:
            self.outcome = self._verification.run()
        except BaseException as error:  # noqa: BLE001 - how it ended is looked at by the history
            self.outcome = error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @property
    def healed(self) -> int:
        """Users that it reports as set in doubt."""
        reports = self._verification.report.destinations if self._verification else ()
        return sum(report.healed for report in reports)

    @property
    def survived(self) -> list[str]:
        """What was survived."""
        found = [f"verification: {what}" for what in self._process.met]
        if self.healed:
            found.append("verification that healed")
        if isinstance(self.outcome, ClaimHeldError | NewerSyncError):
            found.append("verification kept out")
        return found

    @property
    def escaped(self) -> BaseException | None:
        """What came out that is none of our errors, and no accident either."""
        known = (AmplitudeSegmentError, Killed)
        return self.outcome if isinstance(self.outcome, BaseException) and not isinstance(self.outcome, known) else None

    def __str__(self) -> str:
        """Say how it ended, for the history's steps."""
        ended = f"{type(self.outcome).__name__} {str(self.outcome)[:90] if isinstance(self.outcome, Exception) else ''}"
        return f"{self._process.name}: {' '.join(self._process.steps)} -> {ended}, {self.healed} healed"
