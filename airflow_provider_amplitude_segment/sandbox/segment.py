"""A stand-in Segment workspace: the traits of each source, and the messages lost behind a 200."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox.delivery_counts import DeliveryCounts, IntakeCounts
from airflow_provider_amplitude_segment.sandbox.journeys import Journeys
from airflow_provider_amplitude_segment.sandbox.oauth import SandboxOAuth
from airflow_provider_amplitude_segment.sandbox.profiles import SandboxProfiles
from airflow_provider_amplitude_segment.sandbox.public_api_access import PublicApiAccess
from airflow_provider_amplitude_segment.sandbox.received import ReceivedMessage
from airflow_provider_amplitude_segment.sandbox.seen_ids import SeenIds
from airflow_provider_amplitude_segment.sandbox.segment_message import (
    moment,
    skew,
    why_lost,
    why_lost_in_batch,
    with_envelope,
)
from airflow_provider_amplitude_segment.sandbox.source_traits import SourceTraits
from airflow_provider_amplitude_segment.sandbox.sources import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    SandboxSource,
    default_sources,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_amplitude_segment.sandbox.batch_body import BatchBody
    from airflow_provider_amplitude_segment.sandbox.delivery_counts import Counted
    from airflow_provider_amplitude_segment.sandbox.journeys import JourneyEvent
    from airflow_provider_amplitude_segment.sandbox.profiles import Profile
    from airflow_provider_amplitude_segment.sandbox.received import Batch

BATCHES_KEPT = 100_000
SUPPRESSED = "suppressed"
LOST_LATER = "lost_after_ingest"


class SandboxSegment:
    """The stand-in workspace. Its properties return copies, which are safe to read while the server runs."""

    def __init__(self, *, clock: Callable[[], float], keep_messages: bool = False) -> None:
        self._clock = clock
        self._keep_messages = keep_messages
        self._lock = threading.RLock()
        self.oauth = SandboxOAuth(clock)
        """The OAuth applications, and the tokens that they were given."""
        self._set_up()

    def _set_up(self) -> None:
        self.poisoned: set[str] = set()
        """A batch with one of these user IDs is rejected as a whole, with 400."""
        self.suppressed: set[str] = set()
        """User IDs that Segment blocks: behind a 200, and in no count of the Public API."""
        self.loses_users: set[str] = set()
        """User IDs whose messages are lost behind a 200 although the delivery overview counts them as received."""
        self.loses: float = 0.0
        """The share of all users whose messages are lost in this way; a hash of the user ID chooses them."""
        self.profile_delay_seconds: float = 0.0
        """How long after its arrival a profile has a value; for what arrives from now on."""
        self.sources: dict[str, SandboxSource] = default_sources()
        """The sources of the workspace by write key. Any other key is in no source, and gets a 200 all the same."""
        self._without_keys: list[SandboxSource] = []
        self.public_api = PublicApiAccess()
        """What the token of the Public API opens."""
        self.profile_api = SandboxProfiles()
        """What the token of the Profile API opens."""
        self.oauth.forget()
        self.forget()

    def reset(self) -> None:
        """Set everything to what it was at the start."""
        with self._lock:
            self._set_up()

    def forget(self) -> None:
        """Delete every trait, event, message, batch and count; sources and settings stay."""
        with self._lock:
            self._traits: dict[str, SourceTraits] = {}
            self._name(WRITE_KEY_DEFAULT, "segment_default")
            self._name(WRITE_KEY_EMEA, "segment_emea")
            self._seen = SeenIds()
            self._journeys = Journeys()
            self._lost: Counter[str] = Counter()
            self._delivery = DeliveryCounts()
            self._batches: deque[Batch] = deque(maxlen=BATCHES_KEPT)
            self._messages: dict[str, ReceivedMessage] = {}
            self.public_api.forget()
            self.profile_api.forget()
            self.identifies_received = 0
            """Identifies in batches with a 200, with copies and lost ones."""
            self.messages_received = 0
            self.batches_received = 0
            self.duplicates_dropped = 0
            """Messages whose ``messageId`` had arrived before."""
            self.traits_omitted = 0
            """Traits that a tracking plan took out of messages."""

    def add_source(self, source: SandboxSource) -> None:
        """Register a source under each of its write keys; one without a key is only listed."""
        with self._lock:
            self.sources.update(dict.fromkeys(source.write_keys, source))
            if not source.write_keys:
                self._without_keys.append(source)

    @property
    def listed_sources(self) -> list[SandboxSource]:
        """The sources of the workspace, each once."""
        with self._lock:
            sources = (*self.sources.values(), *self._without_keys)
            return list({source.source_id: source for source in sources}.values())

    @property
    def silently_lost(self) -> int:
        """Messages lost behind a 200, without copies."""
        with self._lock:
            return self._lost.total()

    @property
    def lost(self) -> dict[str, int]:
        """``silently_lost`` by reason."""
        with self._lock:
            return dict(self._lost)

    @property
    def batches(self) -> list[Batch]:
        """The latest batches, in order of arrival."""
        with self._lock:
            return list(self._batches)

    @property
    def messages_by_id(self) -> dict[str, ReceivedMessage]:
        """Messages by ``messageId``; empty unless the sandbox was started with ``keep_messages``."""
        with self._lock:
            return dict(self._messages)

    @property
    def write_keys(self) -> dict[str, str]:
        """Label of each known write key: a connection ID or slug, or ``…`` and the key's last four characters."""
        with self._lock:
            return {write_key: traits.label for write_key, traits in self._traits.items()}

    def believes(self, write_key: str, trait: str) -> set[str]:
        """Users for whom the trait is ``true``."""
        with self._lock:
            return self._traits_of(write_key).users(trait, value=True)

    def disbelieves(self, write_key: str, trait: str) -> set[str]:
        """Users for whom a message set the trait to ``false``."""
        with self._lock:
            return self._traits_of(write_key).users(trait, value=False)

    def traits(self, write_key: str, user_id: str) -> dict[str, Any]:
        """All traits of a user in one source."""
        with self._lock:
            return self._traits_of(write_key).of_user(user_id)

    def trait_counts(self, write_key: str) -> dict[str, dict[str, int]]:
        """Count the users with ``true`` and with ``false``, for each trait."""
        with self._lock:
            return self._traits_of(write_key).counts()

    def journeys(self, write_key: str) -> dict[str, list[JourneyEvent]]:
        """The events of each user that journeys of a source receive, in order of arrival and without copies."""
        with self._lock:
            return self._journeys.of_source(self._traits_of(write_key).label)

    def profile(self, user_id: str, at: float | None = None) -> Profile | None:
        """Return what the space knows of a user ID now, or ``at`` another time, over all sources of the workspace."""
        with self._lock:
            sources = {
                source.source_id: self._traits[key] for key, source in self.sources.items() if key in self._traits
            }
            return self.profile_api.read(user_id, sources, self._clock() if at is None else at)

    def delivery(self, source_id: str, since: float, until: float) -> Iterator[tuple[int, Counted, int]]:
        """Return minute, kind and count of what a source's Tracking API took in, in a span of epoch seconds."""
        with self._lock:
            return iter(list(self._delivery.between(source_id, since, until, self._clock())))

    def receive(self, write_key: str, body: BatchBody) -> None:
        """Apply a batch that gets a 200."""
        now = self._clock()
        behind = skew(body.envelope.get("sentAt"), now)
        with self._lock:
            traits = self._name(write_key, "…" + write_key[-4:])
            source = self.sources.get(write_key)
            taken = IntakeCounts(body.envelope)
            self.messages_received += len(body.messages)
            for place, message in enumerate(body.messages):
                self.identifies_received += isinstance(message, dict) and message.get("type") == "identify"
                lost = self._why_blocked(source, message) or why_lost_in_batch(place, body) or why_lost(message)
                if lost:
                    self._lost[lost] += 1
                    if lost != SUPPRESSED:
                        taken.add("failed", message, lost)
                elif self._is_new(write_key, message, body.envelope):
                    filtered = self._filter(source, message)
                    taken.add("filtered" if filtered else "delivered", message, filtered)
                    lost = filtered or self._why_lost_later(message)
                    if lost:
                        self._lost[lost] += 1
                    elif message["type"] == "identify":
                        self._learn(traits, message, now, behind)
                    elif message["type"] == "track":
                        self._journeys.receive(traits.label, message)
            if source is not None:
                self._delivery.add(source.source_id, now, taken.by_step(), self.public_api.counts_delay_seconds)

    def record(self, batch: Batch) -> None:
        """Record a batch, with any response."""
        with self._lock:
            self._batches.append(batch)
            self.batches_received += 1

    def _traits_of(self, write_key: str) -> SourceTraits:
        return self._traits.get(write_key) or SourceTraits("")

    def _name(self, write_key: str, label: str) -> SourceTraits:
        """Return the traits of a write key's source, which all of its keys share."""
        if write_key not in self._traits:
            source = self.sources.get(write_key)
            for other in source.write_keys if source else ():
                if other in self._traits and self.sources.get(other) is source:
                    self._traits[write_key] = self._traits[other]
                    return self._traits[write_key]
            label = source.slug if source else label
            taken = {traits.label for traits in self._traits.values()}
            again = sum(known == label or known.startswith(f"{label} (") for known in taken)
            self._traits[write_key] = SourceTraits(f"{label} ({again + 1})" if again else label)
        return self._traits[write_key]

    def _why_blocked(self, source: SandboxSource | None, message: Any) -> str | None:
        if source is not None and not source.enabled:
            return "source_disabled"
        if self.suppressed and isinstance(message, dict) and message.get("userId") in self.suppressed:
            return SUPPRESSED
        return None

    def _filter(self, source: SandboxSource | None, message: dict[str, Any]) -> str:
        """Take unplanned traits out of an identify, or return why its source drops it."""
        if source is None or source.tracking_plan_id is None or message["type"] != "identify":
            return ""
        traits = message.get("traits") or {}
        unplanned = source.unplanned(traits)
        if unplanned and source.mode == "BLOCK":
            return "schema_violation"
        self.traits_omitted += len(unplanned)
        message["traits"] = {trait: value for trait, value in traits.items() if trait not in unplanned}
        return ""

    def _why_lost_later(self, message: dict[str, Any]) -> str:
        user_id = message.get("userId")
        if not isinstance(user_id, str) or not (self.loses_users or self.loses):
            return ""
        return LOST_LATER if user_id in self.loses_users or _share(user_id) < self.loses else ""

    def _is_new(self, write_key: str, message: dict[str, Any], envelope: dict[str, Any]) -> bool:
        # A message without an ID is always new, because the API assigns one.
        message_id = message.get("messageId")
        if not message_id:
            return True
        if self._keep_messages:
            self._keep(write_key, message, envelope)
        is_new = self._seen.is_new(message_id)
        self.duplicates_dropped += not is_new
        return is_new

    def _keep(self, write_key: str, message: dict[str, Any], envelope: dict[str, Any]) -> None:
        kept = self._messages.get(str(message["messageId"]))
        if kept is not None:
            kept.times_received += 1
        else:
            whole = with_envelope(message, envelope)
            self._messages[str(message["messageId"])] = ReceivedMessage(write_key, whole)

    def _learn(self, traits: SourceTraits, message: dict[str, Any], now: float, behind: float) -> None:
        user_id, timestamp = message.get("userId"), message.get("timestamp")
        if user_id is None:  # an anonymous user
            return
        sent = moment(timestamp) if isinstance(timestamp, str) else None
        effective = now if sent is None else sent + behind
        delay = self.profile_delay_seconds
        traits.learn(user_id, message.get("traits") or {}, effective, now + delay if delay > 0 else None)
        self.profile_api.notice(user_id)


def _share(user_id: str) -> float:
    """Return a number from 0 to 1 that is the same for a user ID each time."""
    digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()
    return float(int.from_bytes(digest[:8]) / 2**64)
