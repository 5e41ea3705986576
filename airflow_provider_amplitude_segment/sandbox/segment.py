"""A stand-in Segment workspace: the traits of each source, and the messages lost behind a 200."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.sandbox.batch_body import BatchBody

WRITE_KEY_DEFAULT = "sbxDefaultWriteKey00000000000001"
WRITE_KEY_EMEA = "sbxEmeaWriteKey00000000000000002"
MESSAGES_A_BATCH = 2500
MESSAGE_ID_CHARACTERS = 100
SEEN_IDS = 2_000_000
"""At least this many of the latest message IDs are kept, at most twice as many."""
BATCHES_KEPT = 100_000
_TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias"})


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that reached Segment and got a 200 or 400; batches that a fault kept away are not recorded."""

    write_key: str = field(repr=False)
    size: int
    """Bytes, uncompressed; of a rejected batch the bytes read so far, of an unreadable batch 0."""
    messages: int
    """As sent; 0 if the body is unreadable."""
    retry_count: int | None
    """``X-Retry-Count``; ``None`` if the header is missing or not a number."""
    received: float
    """``time.monotonic()`` seconds."""
    status: int


@dataclass(slots=True)
class ReceivedMessage:
    """A message kept with ``keep_messages``, with the batch's ``context`` and ``integrations`` merged in."""

    write_key: str = field(repr=False)
    message: dict[str, Any] = field(repr=False)
    times_received: int = 1


@dataclass(slots=True)
class _Source:
    label: str
    # trait -> user -> (moment of the value, value)
    traits: dict[str, dict[str, tuple[float, Any]]] = field(default_factory=dict)


def why_lost(message: Any) -> str | None:
    """Return why Segment loses a message behind a 200, in the words of its Delivery Overview.

    >>> why_lost({"type": "identify", "userId": ""})
    'id_not_string'
    >>> why_lost({"type": "identify", "userId": "ann", "traits": {}}) is None
    True
    """
    # _includes/content/delivery-overview-discards.html; "Each item must have type": http-api, "Batch".
    if not isinstance(message, dict):
        return "not_an_object"
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return "no_type"
    if not isinstance(message.get("traits") or {}, dict):
        return "traits_not_object"
    # unify/product-limits.md: a messageId over 100 characters is dropped silently. The HTTP API's page says "fewer than
    # 100", which is stricter and is used here.
    if len(str(message.get("messageId") or "")) >= MESSAGE_ID_CHARACTERS:
        return "message_id_too_long"
    return _why_no_user(message.get("userId"), message.get("anonymousId"))


def _why_no_user(user_id: Any, anonymous_id: Any) -> str | None:
    if user_id is None and anonymous_id is None:
        return "no_user_anon_id"
    for identity in (user_id, anonymous_id):
        if identity is not None and not (isinstance(identity, str) and identity):
            return "id_not_string"
    return None


class SandboxSegment:
    """The stand-in workspace. Its properties return copies, which are safe to read while the server runs."""

    def __init__(self, *, clock: Callable[[], float], keep_messages: bool = False) -> None:
        self.poisoned: set[str] = set()
        """A batch with one of these user IDs is rejected as a whole, with 400."""
        self._clock = clock
        self._keep_messages = keep_messages
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Delete every source, message and batch."""
        with self._lock:
            self._sources: dict[str, _Source] = {}
            self._name(WRITE_KEY_DEFAULT, "segment_default")
            self._name(WRITE_KEY_EMEA, "segment_emea")
            self._seen: set[int] = set()
            self._seen_before: set[int] = set()
            self._lost: Counter[str] = Counter()
            self._batches: deque[Batch] = deque(maxlen=BATCHES_KEPT)
            self._messages: dict[str, ReceivedMessage] = {}
            self.identifies_received = 0
            """Identifies in batches with a 200, with copies and lost ones."""
            self.messages_received = 0
            self.batches_received = 0
            self.duplicates_dropped = 0
            """Messages dropped because their ``messageId`` had arrived before."""

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
        """Label of each known write key: a connection ID, or ``…`` and the key's last four characters."""
        with self._lock:
            return {write_key: source.label for write_key, source in self._sources.items()}

    def believes(self, write_key: str, trait: str) -> set[str]:
        """Users for whom the trait is ``true``."""
        return self._users(write_key, trait, value=True)

    def disbelieves(self, write_key: str, trait: str) -> set[str]:
        """Users for whom a message set the trait to ``false``."""
        return self._users(write_key, trait, value=False)

    def traits(self, write_key: str, user_id: str) -> dict[str, Any]:
        """All traits of a user in one source."""
        with self._lock:
            known = self._sources[write_key].traits if write_key in self._sources else {}
            return {trait: users[user_id][1] for trait, users in known.items() if user_id in users}

    def trait_counts(self, write_key: str) -> dict[str, dict[str, int]]:
        """Count the users with ``true`` and with ``false``, for each trait."""
        with self._lock:
            known = self._sources[write_key].traits if write_key in self._sources else {}
            return {
                trait: {
                    "true": sum(value is True for _, value in users.values()),
                    "false": sum(value is False for _, value in users.values()),
                }
                for trait, users in known.items()
            }

    def receive(self, write_key: str, body: BatchBody) -> None:
        """Apply a batch that gets a 200."""
        now = self._clock()
        skew = _skew(body.envelope.get("sentAt"), now)
        with self._lock:
            source = self._name(write_key, "…" + write_key[-4:])
            self.messages_received += len(body.messages)
            for place, message in enumerate(body.messages):
                lost = _why_lost_here(place, body) or why_lost(message)
                self.identifies_received += isinstance(message, dict) and message.get("type") == "identify"
                if lost:
                    self._lost[lost] += 1
                elif self._is_new(write_key, message, body.envelope) and message["type"] == "identify":
                    _learn(source, message, now, skew)

    def record(self, batch: Batch) -> None:
        """Record a batch, with any response."""
        with self._lock:
            self._batches.append(batch)
            self.batches_received += 1

    def _users(self, write_key: str, trait: str, *, value: bool) -> set[str]:
        with self._lock:
            known = self._sources[write_key].traits if write_key in self._sources else {}
            return {user_id for user_id, (_, held) in known.get(trait, {}).items() if held is value}

    def _name(self, write_key: str, label: str) -> _Source:
        if write_key not in self._sources:
            taken = {source.label for source in self._sources.values()}
            again = sum(known == label or known.startswith(f"{label} (") for known in taken)
            self._sources[write_key] = _Source(f"{label} ({again + 1})" if again else label)
        return self._sources[write_key]

    def _is_new(self, write_key: str, message: dict[str, Any], envelope: dict[str, Any]) -> bool:
        # guides/duplicate-data.md: the messageId alone identifies a copy, "not scoped to a specific source or a
        # workspace". A message without one is always new, because the API assigns one.
        message_id = message.get("messageId")
        if not message_id:
            return True
        mark = hash(message_id) if isinstance(message_id, str) else hash(str(message_id))
        copy = mark in self._seen or mark in self._seen_before
        if self._keep_messages:
            self._keep(write_key, message, envelope)
        if copy:
            self.duplicates_dropped += 1
            return False
        self._seen.add(mark)
        if len(self._seen) >= SEEN_IDS:
            self._seen, self._seen_before = set(), self._seen
        return True

    def _keep(self, write_key: str, message: dict[str, Any], envelope: dict[str, Any]) -> None:
        kept = self._messages.get(str(message["messageId"]))
        if kept is not None:
            kept.times_received += 1
            return
        # http-api, "Batch": context and integrations of the batch are "merged with" each item's.
        whole = dict(message)
        for shared in ("context", "integrations"):
            if isinstance(envelope.get(shared), dict):
                whole[shared] = {**envelope[shared], **(message.get(shared) or {})}
        self._messages[str(message["messageId"])] = ReceivedMessage(write_key, whole)


def _why_lost_here(place: int, body: BatchBody) -> str | None:
    # http-api, "Errors": more than 2,500 events in a batch, or one over 32 KB, "returns a 200 response but
    # rejects the event".
    if place >= MESSAGES_A_BATCH:
        return "over_2500_in_batch"
    return "over_32_kb" if place in body.oversize else None


def _skew(sent_at: Any, now: float) -> float:
    """Return the seconds by which the sender's clock is behind; 0 if ``sentAt`` is missing or not a time."""
    # connections/spec/common.md, "Timestamps": timestamp = receivedAt - (sentAt - originalTimestamp).
    moment = _moment(sent_at) if isinstance(sent_at, str) else None
    return 0.0 if moment is None else now - moment


def _learn(source: _Source, message: dict[str, Any], now: float, skew: float) -> None:
    """Keep the value with the newest ``timestamp`` in any order of arrival; of equal ones the later arrival."""
    user_id, traits = message.get("userId"), message.get("traits")
    if user_id is None or not traits:
        return
    timestamp = message.get("timestamp")
    moment = _moment(timestamp) if isinstance(timestamp, str) else None
    effective = now if moment is None else moment + skew
    for trait, value in traits.items():
        users = source.traits.setdefault(trait, {})
        known = users.get(user_id)
        if known is None or effective >= known[0]:
            users[user_id] = (effective, value)


@lru_cache(maxsize=4096)
def _moment(timestamp: str) -> float | None:
    """Return the epoch seconds of an ISO-8601 text, in UTC without a zone; ``None`` for any other text.

    >>> _moment("1970-01-01T01:00:00+01:00"), _moment("soon")
    (0.0, None)
    """
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
