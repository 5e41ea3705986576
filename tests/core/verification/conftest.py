"""A world whose Segment can be asked, and a way to verify it."""

import itertools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from fakes import World
from fakes.engine import shared_engine
from fakes.segment_apis import FakeProfileApi, PublicApiOfSegment

from airflow_provider_amplitude_segment.core.ledger.stream import Run
from airflow_provider_amplitude_segment.core.verification.ports import SegmentApis, VerifyPorts
from airflow_provider_amplitude_segment.core.verification.profile_requests import REQUESTS_PER_SECOND
from airflow_provider_amplitude_segment.core.verification.request_pacer import RequestPacer
from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings
from airflow_provider_amplitude_segment.core.verification.verification import CohortVerification, Unsettled
from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport

TRAIT = "Power Users (c1)"


class Proof:
    """A world with APIs that say what its Segment believes.

    Attributes:
        spaces: by write key, the Profile API; a key without one has no space.
    """

    def __init__(self, scratch: Path) -> None:
        self.world = World(scratch)
        self.public = PublicApiOfSegment(self.world.segment)
        self.profile = FakeProfileApi(self.world.segment, self.world.clock)
        self.spaces: dict[str, FakeProfileApi] = {"default": self.profile}
        self.stop = threading.Event()
        self.pacer = RequestPacer(REQUESTS_PER_SECOND, self.world.clock, self.stop)
        self.profile.before_request = self.pacer.before_request
        self.shown: list[dict[str, Any]] = []
        self.last: CohortVerification | None = None
        self._scratch = scratch
        self._numbers = itertools.count(1)

    def cohort(self, users: Iterable[str]) -> None:
        self.world.amplitude.cohort("c1", "Power Users", users)

    def sync(self, *users: str, **more: Any) -> None:
        """Sync a cohort of these users, or of those that it has."""
        if users:
            self.cohort(users)
        self.world.sync("c1", max_exit_ratio=None, **more)

    def prepare(
        self, *, run: Run | None = None, keys: tuple[str, ...] = ("default",), **settings: Any
    ) -> CohortVerification:
        scratch = self._scratch / f"verification-{next(self._numbers)}"
        scratch.mkdir(parents=True)
        ports = VerifyPorts(
            apis={
                self.world.destination(key): SegmentApis("segment_api", self.public, self.spaces.get(key))
                for key in keys
            },
            store=self.world.store,
            clock=self.world.clock,
            random_source=self.world.random_source,
            stop=self.stop,
            pacer=self.pacer,
            scratch=scratch,
            engine=shared_engine(scratch),
            show=lambda facts: self.shown.append(dict(facts)),
        )
        self.last = CohortVerification(
            VerifySettings(cohort_id="c1", **settings), run or self.world.run_named("verify"), ports
        )
        return self.last

    def verify(self, **more: Any) -> VerifiedDestination:
        """Verify one destination, which ends well; return its report."""
        outcome = self.prepare(**more).run()
        assert isinstance(outcome, VerifyReport)
        assert not isinstance(outcome, Unsettled)
        return outcome.destinations[0]

    @property
    def report(self) -> VerifiedDestination:
        """The first destination's report of the last verification, however it ended."""
        assert self.last is not None
        return self.last.report.destinations[0]

    def file(self, ending: str) -> bytes | None:
        """An object of the ledgers, by the end of its name."""
        return next((content for name, content in self.world.store.objects.items() if name.endswith(ending)), None)


@pytest.fixture
def proof(tmp_path: Path) -> Proof:
    return Proof(tmp_path)


@pytest.fixture
def make_proof(tmp_path: Path) -> Callable[[str], Proof]:
    """Make a proof of its own for each name."""
    return lambda name: Proof(tmp_path / name)
