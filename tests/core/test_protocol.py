"""Whatever happens to syncs of a cohort, in whatever order, a calm sync afterwards ends right."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from fakes import FakeSegment, Killed, World
from fakes.clock import FakeClock, FakeRandomSource
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from airflow_provider_amplitude_segment.core.delivery.response import (
    CredentialsRejected,
    Response,
    no_response,
)
from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.claim import Claim, newest_generation
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, read_state
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.plan.diff import REJECTIONS_BEFORE_WAITING
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, ClaimLostError, RejectedUsersError

USERS = [f"user-{number}" for number in range(8)]
ANCHOR = "anchor"
"""Healthy and always a member: a first sync of refused users alone is taken for a bad key."""

NAMES = ("Power Users", "Big Spenders")
KEYS = ("default", "emea")
PROPERTIES = ("plan", "town")
AFTER_A_CLAIM, AFTER_ALL_CLAIMS = 310.0, 5000.0
CLOCKS = (0.0, 0.0, 0.0, 200.0, -200.0, 400 * 86_400.0, -400 * 86_400.0)
"""By how many seconds a worker's clock is ahead: right, wrong by what is tolerated, and very wrong."""


class LateSegment(FakeSegment):
    """A Segment to which the next bodies come late: their sender hears nothing, and they arrive when they are let."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.to_hold = 0
        # With the skew of the sender's clock when they left: Segment takes what a body is late for a wrong clock, and
        # no protocol can heal that.
        self.held: list[tuple[str, dict[str, Any], float]] = []
        self.message_ids: dict[tuple[str, str, str, str], set[str]] = {}

    def _take(self, write_key: str, body: dict[str, Any], skew: float | None = None) -> Response:
        if self.to_hold:
            self.to_hold -= 1
            self.held.append((write_key, body, self.skew(body)))
            return no_response("ReadTimeout")
        return super()._take(write_key, body, skew)

    def _apply(self, write_key: str, message: dict[str, Any], skew: float = 0.0) -> None:
        super()._apply(write_key, message, skew)
        for trait in message.get("traits", {}):
            place = (write_key, trait, message["userId"], message["messageId"].partition("-")[0])
            self.message_ids.setdefault(place, set()).add(message["messageId"])

    def let_arrive(self) -> None:
        held, self.held = self.held, []
        for held_back in held:
            super()._take(*held_back)


class TickingRandomSource(FakeRandomSource):
    """Chance that takes a while, so that no two plans are of one moment, whatever the clocks."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def token(self) -> str:
        self._clock.pass_by(0.005)
        return super().token()


class Protocol(RuleBasedStateMachine):
    """Syncs of one cohort by several runs; the claim, plan and commit protocol of design 4."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.world.segment = self.segment = LateSegment(self.world.clock.now)
        self.world.random_source = TickingRandomSource(self.world.clock)
        self.engine = duckdb.connect(config={"threads": 1})
        self.name, self.members = NAMES[0], {ANCHOR, *USERS[:4]}
        self.keys: tuple[str, ...] = KEYS[:1]
        self.properties: tuple[str, ...] = PROPERTIES
        self.known_keys: set[str] = set()
        self.runs = 0
        self.ahead = 0.0
        self.last_run: str | None = None
        self.scratches = 0

    # What changes outside.

    @rule(movers=st.sets(st.sampled_from(USERS), min_size=1, max_size=5))
    def move(self, movers: set[str]) -> None:
        self.members ^= movers

    @rule(name=st.sampled_from(NAMES))
    def rename(self, name: str) -> None:
        self.name = name

    @rule(user=st.sampled_from(USERS), name=st.sampled_from(PROPERTIES), text=st.sampled_from(["", "free", "pro"]))
    def give_a_property(self, user: str, name: str, text: str) -> None:
        self.world.amplitude.properties.setdefault(user, {})[name] = text

    @rule(names=st.sampled_from([(), ("plan",), ("town",), PROPERTIES]))
    def choose_properties(self, names: tuple[str, ...]) -> None:
        self.properties = names

    @rule(poisoned=st.sets(st.sampled_from(USERS), max_size=3))
    def poison_or_heal(self, poisoned: set[str]) -> None:
        self.segment.poisoned = poisoned

    @rule(seconds=st.sampled_from([AFTER_A_CLAIM, AFTER_ALL_CLAIMS]))
    def expire(self, seconds: float) -> None:
        self.world.clock.pass_by(seconds)

    @rule(ahead=st.sampled_from(CLOCKS))
    def run_on_a_worker_whose_clock_is(self, ahead: float) -> None:
        self.ahead = ahead

    @rule(both=st.booleans())
    def choose_destinations(self, both: bool) -> None:
        self.keys = KEYS if both else KEYS[:1]

    @rule(answer=st.sampled_from([no_response("ReadTimeout"), RetryLater(503, None, "")]))
    def lose_the_next_answer(self, answer: Response) -> None:
        self.segment.lost = [answer]

    @rule(batches=st.integers(0, 2))
    def go_away_after(self, batches: int) -> None:
        self.segment.script = [*[None] * batches, CredentialsRejected(403)]

    @rule(answers=st.integers(1, 3))
    def let_an_export_take_long(self, answers: int) -> None:
        self.world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")] * answers

    @rule()
    def hold_the_next_body(self) -> None:
        self.segment.to_hold = 1

    @precondition(lambda self: self.segment.held)
    @rule()
    def let_late_bodies_arrive(self) -> None:
        self.segment.let_arrive()
        self.judge_ledgers()

    # Syncs.

    @rule(mode=st.sampled_from(["incremental", "incremental", "full"]), wait_for_export=st.booleans())
    def sync_in_a_new_run(self, mode: str, wait_for_export: bool) -> None:
        self.attempt(self.new_run(), sync_mode=mode, wait_for_export=wait_for_export)

    @precondition(lambda self: self.last_run)
    @rule(wait_for_export=st.booleans())
    def retry(self, wait_for_export: bool) -> None:
        assert self.last_run is not None
        self.attempt(self.last_run, wait_for_export=wait_for_export)

    @rule(write=st.integers(1, 16), again=st.booleans())
    def die_before_a_write(self, write: int, again: bool) -> None:
        run = self.last_run if again and self.last_run else self.new_run()
        self.world.store.die_before_write(write)
        self.attempt(run)

    @rule(
        write=st.integers(1, 12),
        by_retry=st.booleans(),
        seconds=st.sampled_from([1.0, AFTER_A_CLAIM]),
        movers=st.sets(st.sampled_from(USERS), max_size=4),
        rival_dies=st.one_of(st.none(), st.none(), st.integers(1, 12)),
    )
    def pause_before_a_write(
        self, write: int, by_retry: bool, seconds: float, movers: set[str], rival_dies: int | None
    ) -> None:
        """The owner sleeps while its own retry, or another run, works to its end or dies; then it wakes."""
        run, rival = self.new_run(), self.new_run()

        def meanwhile() -> None:
            self.world.clock.pass_by(seconds)
            self.members ^= movers
            if rival_dies:
                self.world.store.die_before_write(rival_dies)
            self.attempt(run if by_retry else rival)

        self.world.store.before_write = self.before(write, meanwhile)
        self.attempt(run)
        self.world.store.before_write = lambda _name: None

    def before(self, write: int, meanwhile: Callable[[], None]) -> Callable[[str], None]:
        """Let something happen before the ``write``-th write from now on, once."""
        left = [write]

        def count(_name: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                meanwhile()

        return count

    @precondition(lambda self: self.last_run)
    @rule(write=st.integers(1, 12), again=st.booleans())
    def sync_from_another_airflow_meanwhile(self, write: int, again: bool) -> None:
        """While the owner sleeps, its twin begins: the same run of another Airflow, which differs in nothing else."""
        run = self.last_run if again and self.last_run else self.new_run()
        ahead, before = self.ahead, self.newest_claim()

        def meanwhile() -> None:
            claim, now = self.newest_claim(), self.world.clock.now()
            self.ahead = 0.0
            self.attempt(f"{run}-twin", identity={"key": run, "dag_run": run, "started_at": "a second later"})
            self.ahead = ahead
            if claim is not None and not claim.released:
                is_fresh = before is None or claim.generation > before.generation
                is_held = claim.written_at <= now < claim.expires_at or (is_fresh and ahead > 0)
                assert not is_held or self.newest_claim() == claim, "the twin took a live claim over"

        self.world.store.before_write = self.before(write, meanwhile)
        self.attempt(run)
        self.world.store.before_write = lambda _name: None

    def newest_claim(self) -> Claim | None:
        stream = Stream("1234", "c1", self.world.destination(KEYS[0]))
        number = newest_generation(self.world.store.names(stream.folder))
        return Claim.from_json(self.world.store.objects.get(f"{stream.folder}/claim-{number}.json", b""))

    def new_run(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    def attempt(self, run: str, *, identity: dict[str, Any] | None = None, **more: Any) -> SyncReport | None:
        """Run one try; return its report where it succeeded. Nothing but our own errors comes out."""
        self.world.amplitude.cohort("c1", self.name, sorted(self.members))
        self.last_run = run
        self.known_keys |= set(self.keys)
        settled = {
            "events_per_second": 12.0,
            "max_concurrent_requests": 1,
            "max_exit_ratio": None,
            "user_properties": self.properties,
            **more,
        }
        wait_for_export = bool(settled.pop("wait_for_export", True))
        sync = self.world.prepare("c1", run=run, keys=self.keys, ahead=self.ahead, identity=identity, **settled)
        outcome: object = None
        try:
            outcome = sync.run(wait_for_export=wait_for_export)
            if isinstance(outcome, ExportIncomplete):
                self.world.deferred.add(run)
        except RejectedUsersError:
            outcome = sync.report
        except Killed:
            self.world.store.revive()
        except AmplitudeSegmentError as error:
            outcome = error
        self.world.store.revive()
        for part in sync.report.destinations:
            assert part.planned == part.acknowledged + part.rejected + part.pending
        if not isinstance(outcome, ClaimLostError):
            self.judge_ledgers()
        return outcome if isinstance(outcome, SyncReport) else None

    # What must hold.

    def state(self, key: str) -> dict[tuple[str, str], tuple[bool | None, bool, int]]:
        ledger = Ledger(self.world.store, Stream("1234", "c1", self.world.destination(key)).folder)
        self.scratches += 1
        scratch = Path(self.folder.name) / f"state-{self.scratches}"
        scratch.mkdir()
        path = read_state(self.engine, ledger, ledger.newest(), scratch)
        rows = self.engine.execute(f"FROM ({pairs_query(path)})").fetchall()
        return {
            (trait, user): (delivered, in_doubt, rejections) for trait, user, delivered, in_doubt, rejections in rows
        }

    def judge_ledgers(self) -> None:
        """Segment has the values that the ledger has without doubt, and the ledger has every user that Segment has."""
        for key in sorted(self.known_keys):
            state = self.state(key)
            for (trait, user), (delivered, in_doubt, _) in state.items():
                believed = self.segment.members(trait, key) if delivered else self.segment.former(trait, key)
                assert in_doubt or user in believed, (key, trait, user, delivered)
            for name in NAMES:
                trait = f"{name} (c1)"
                for user in self.segment.members(trait, key) | self.segment.former(trait, key):
                    assert (trait, user) in state, (key, trait, user)

    def sync_calmly(self, mode: str) -> None:
        for _ in range(3):
            self.world.clock.pass_by(AFTER_ALL_CLAIMS)
            if self.attempt(self.new_run(), sync_mode=mode, on_rejected="warn"):
                return
        raise AssertionError("stuck: no calm sync succeeded")

    def judge_members(self, spared: set[str]) -> None:
        for key in self.keys:
            for name in NAMES:
                wanted = self.members if name == self.name else set()
                assert self.segment.members(f"{name} (c1)", key) - spared == wanted - spared
            for user in self.members - spared:
                for name in PROPERTIES:
                    text = self.world.amplitude.properties.get(user, {}).get(name) or None
                    assert self.segment.traits(user, key).get(name) == text, (key, user, name)

    def teardown(self) -> None:
        """Heal everybody, set the clock, let all arrive, sync calmly, and hold Segment against the cohort."""
        self.ahead = 0.0
        self.segment.poisoned, self.segment.script, self.segment.lost, self.segment.to_hold = set(), [], [], 0
        self.keys = KEYS if len(self.known_keys) > 1 else KEYS[:1]
        self.properties = PROPERTIES
        self.sync_calmly("incremental")
        self.segment.let_arrive()
        waiting = {
            user
            for key in self.keys
            for (_, user), (_, _, rejections) in self.state(key).items()
            if rejections >= REJECTIONS_BEFORE_WAITING
        }
        self.judge_members(spared=waiting)
        self.judge_ledgers()
        if waiting:
            self.sync_calmly("full")
            self.judge_members(spared=set())
        self.judge_messages()
        self.engine.close()
        self.folder.cleanup()

    def judge_messages(self) -> None:
        """No change was sent under two message IDs of one plan, which begin alike."""
        assert all(len(message_ids) == 1 for message_ids in self.segment.message_ids.values())


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(
    max_examples=20,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
