"""The Public API and the Profile API of a ``FakeSegment``: they say what it believes, and can be down."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.identify_counts import IdentifyCounts
from airflow_provider_amplitude_segment.core.segment_api.profile import (
    ProfileAbsent,
    ProfileAnswer,
    ProfileUnreadable,
    TraitAbsent,
    TraitFound,
)
from airflow_provider_amplitude_segment.core.segment_api.workspace import (
    ConnectedDestination,
    IdentifyRules,
    ListedSource,
    Workspace,
)
from airflow_provider_amplitude_segment.exceptions import SegmentApiError
from fakes.clock import FakeClock
from fakes.segment import FakeSegment


@dataclass
class PublicApiOfSegment:
    """The workspace of a Segment's sources.

    Attributes:
        keys: write keys of the sources, each with a source of the same name.
        shows_keys: whether the token may see them.
        enabled: whether the sources are.
        faults: raised instead of a response, by the method's name, as long as there are some.
        suppressed: users whom Segment suppresses.
        others: identifies of other senders in any span of time.
    """

    segment: FakeSegment
    keys: tuple[str, ...] = ("default", "second")
    shows_keys: bool = True
    enabled: bool = True
    faults: dict[str, SegmentApiError] = field(default_factory=dict)
    suppressed: list[str] = field(default_factory=list)
    others: int = 0
    failed: dict[str, int] | None = field(default_factory=dict)
    filtered: dict[str, int] | None = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def _begin(self, name: str) -> None:
        self.asked.append(name)
        if name in self.faults:
            raise self.faults[name]

    def workspace(self) -> Workspace:
        self._begin("workspace")
        return Workspace("w1", "acme", "Acme")

    def sources(self, host: str) -> Iterator[ListedSource]:  # noqa: ARG002 - the fake's fingerprints have none
        self._begin("sources")
        for key in self.keys:
            fingerprints = frozenset({f"fp-{key}"}) if self.shows_keys else frozenset()
            yield ListedSource(
                f"source-{key}", key, key, enabled=self.enabled, keys=fingerprints, hides_keys=not self.shows_keys
            )

    def identify_rules(self, source_id: str) -> IdentifyRules:  # noqa: ARG002 - all are alike
        return IdentifyRules()

    def connected_destinations(self, source_id: str) -> Sequence[ConnectedDestination]:  # noqa: ARG002 - as above
        return ()

    def identify_counts(self, source_id: str, since: float, until: float) -> IdentifyCounts:
        self._begin("identify_counts")
        key = source_id.removeprefix("source-")
        ours = sum(since <= moment < until and by == key for moment, by in self.segment.taken_at)
        return IdentifyCounts(ours + self.others, self.failed, self.filtered, since, until)

    def suppressed_users(self) -> Iterator[Sequence[str]]:
        self._begin("suppressed_users")
        for start in range(0, len(self.suppressed), 2):
            yield self.suppressed[start : start + 2]


class FakeProfileApi:
    """The space that one source feeds.

    Like Segment's it knows IDs in lower case only, where ``lower_case`` is set; and an ID that is merged into a profile
    reads that profile's traits.

    Attributes:
        script: responses given instead of the real ones, first to first; ``None`` stands for the real one.
        is_down: whether no request has a response.
        unreadable: user IDs that have none.
        faulty: by user ID, what each request for it ends with.
        merged: by user ID, the user ID whose traits its profile has.
        times: when each request came.
        late: by user ID, the time from which the profile is seen.
        before: called with each user ID that is asked for, in the thread that asks.
        before_request: called before each request.
        requests_a_user: how many requests one user takes.
    """

    def __init__(self, segment: FakeSegment, clock: FakeClock, write_key: str = "default") -> None:
        self._segment, self._clock, self._key = segment, clock, write_key
        self.script: deque[ProfileAnswer | None] = deque()
        self.is_down = False
        self.lower_case = False
        self.unreadable: set[str] = set()
        self.faulty: dict[str, ProfileAnswer] = {}
        self.merged: dict[str, str] = {}
        self.late: dict[str, float] = {}
        self.times: list[float] = []
        self.asked: list[str] = []
        self.before: Callable[[str], None] = lambda _user: None
        self.before_request: Callable[[], None] = lambda: None
        self.requests_a_user = 1
        self._lock = threading.Lock()

    def trait(self, user_id: str, trait: str) -> ProfileAnswer:
        for _ in range(self.requests_a_user):
            self.before_request()
            self.before(user_id)
            with self._lock:
                self.times.append(self._clock.now())
        with self._lock:
            self.asked.append(user_id)
            fault = self._fault(user_id)
            if fault is not None:
                return fault
            traits = self._traits(user_id)
            if not traits or self._clock.now() < self.late.get(user_id, 0.0):
                return ProfileAbsent()
            return TraitFound(traits[trait]) if trait in traits else TraitAbsent()

    def user_ids(self, user_id: str) -> Sequence[str] | ProfileAnswer:
        self.before_request()
        with self._lock:
            self.times.append(self._clock.now())
            fault = self._fault(user_id)
            if fault is not None:
                return fault
            profile = self.merged.get(user_id, user_id)
            return [profile, *(other for other, into in self.merged.items() if into == profile)]

    def _fault(self, user_id: str) -> ProfileAnswer | None:
        if self.is_down:
            return RetryLater(503)
        if self.script and (answer := self.script.popleft()) is not None:
            return answer
        return ProfileUnreadable(500) if user_id in self.unreadable else self.faulty.get(user_id)

    def _traits(self, user_id: str) -> dict[str, object]:
        profile = self.merged.get(user_id, user_id)
        if not self.lower_case:
            return self._segment.traits(profile, self._key)
        # One profile for all cases of an ID: the last message counts.
        found: dict[str, object] = {}
        for known in self._segment.known_users(self._key):
            if known.lower() == profile.lower():
                found |= self._segment.traits(known, self._key)
        return found

    @property
    def most_in_a_second(self) -> int:
        times = sorted(self.times)
        return max((sum(first <= time < first + 1 for time in times) for first in times), default=0)
