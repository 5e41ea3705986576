"""A Public API with one workspace in memory, which remembers what it was asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit
from airflow_provider_amplitude_segment.core.segment_api.workspace import (
    ConnectedDestination,
    IdentifyRules,
    ListedSource,
    Workspace,
)
from fakes.clock import FakeClock

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.exceptions import SegmentApiError


@dataclass
class FakeSource:
    """A source of the workspace; its keys are fingerprints, as ``World`` makes them of a write key."""

    slug: str
    keys: frozenset[str] = frozenset()
    enabled: bool = True
    rules: IdentifyRules = field(default_factory=IdentifyRules)
    destinations: tuple[ConnectedDestination, ...] = ()
    has_keys: bool = True

    @property
    def source_id(self) -> str:
        return f"id-{self.slug}"


class FakePublicApi:
    """The Public API of one workspace, as far as a check of write keys asks it.

    Attributes:
        slug: of the workspace.
        listed: its sources.
        shows_keys: whether the token may see write keys.
        faults: by the name of a request, what it raises.
        seconds: how long each request takes, on the clock.
        requests: what was asked, in order; a page of sources is one.
        limit: of its time.
        shifts: sources that its first list leaves out.
    """

    def __init__(self, clock: FakeClock, slug: str = "acme", *, page: int = 2) -> None:
        self.slug = slug
        self.listed: list[FakeSource] = []
        self.shows_keys = True
        self.faults: dict[str, SegmentApiError] = {}
        self.seconds = 0.1
        self.requests: list[str] = []
        self.limit = TimeLimit(clock.monotonic)
        self.shifts: list[FakeSource] = []
        self._clock = clock
        self._page = page

    def source(self, slug: str, *write_keys: str, **more: object) -> FakeSource:
        """Add a source with some write keys."""
        added = FakeSource(slug, frozenset(f"fp-{key}" for key in write_keys), **more)  # type: ignore[arg-type]
        self.listed.append(added)
        return added

    def access(self, region: str | None = None) -> PublicApiAccess:
        """The way to this API, as a connection ``api`` gives it."""
        return PublicApiAccess("api", region, self, self.limit)

    def _ask(self, request: str) -> None:
        self.limit.check()
        self.requests.append(request)
        self._clock.pass_by(self.seconds)
        if request in self.faults:
            raise self.faults[request]

    def workspace(self) -> Workspace:
        self._ask("workspace")
        return Workspace(f"id-{self.slug}", self.slug, self.slug.title())

    def sources(self, host: str) -> Iterator[ListedSource]:  # noqa: ARG002 - its fingerprints have none
        for first in range(0, max(1, len(self.listed)), self._page):
            self._ask("sources")
            for each in self.listed[first : first + self._page]:
                keys = each.keys if self.shows_keys else frozenset[str]()
                hides = each.has_keys and not keys
                yield ListedSource(each.source_id, each.slug, each.slug.title(), each.enabled, keys, hides)
        self.listed += self.shifts
        self.shifts = []

    def _of(self, source_id: str) -> FakeSource:
        return next(each for each in self.listed if each.source_id == source_id)

    def identify_rules(self, source_id: str) -> IdentifyRules:
        self._ask("rules")
        return self._of(source_id).rules

    def connected_destinations(self, source_id: str) -> Sequence[ConnectedDestination]:
        self._ask("destinations")
        return self._of(source_id).destinations
