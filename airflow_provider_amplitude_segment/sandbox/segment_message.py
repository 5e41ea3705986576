"""What Segment reads in one message: whether it can use it, and of which moment it is."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox.batch_body import BatchBody

MESSAGES_A_BATCH = 2500
MESSAGE_ID_CHARACTERS = 100
_TYPES = frozenset({"identify", "track", "page", "screen", "group", "alias"})


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


def why_lost_in_batch(place: int, body: BatchBody) -> str | None:
    """Return why Segment loses the message at a place of a batch, whatever it says."""
    # http-api, "Errors": more than 2,500 events in a batch, or one over 32 KB, "returns a 200 response but
    # rejects the event".
    if place >= MESSAGES_A_BATCH:
        return "over_2500_in_batch"
    return "over_32_kb" if place in body.oversize else None


def with_envelope(message: dict[str, Any], envelope: dict[str, Any]) -> dict[str, Any]:
    """Return a message with what its batch says of all messages.

    >>> with_envelope({"context": {"ip": "1"}}, {"context": {"ip": "2", "app": {}}, "sentAt": "now"})
    {'context': {'ip': '1', 'app': {}}}
    """
    # http-api, "Batch": context and integrations of the batch are "merged with" each item's.
    whole = dict(message)
    for shared in ("context", "integrations"):
        if isinstance(envelope.get(shared), dict):
            whole[shared] = {**envelope[shared], **(message.get(shared) or {})}
    return whole


def app_version(holder: dict[str, Any]) -> str:
    """Return ``context.app.version`` of a message or of a batch; empty where it has none.

    >>> app_version({"context": {"app": {"version": "7"}}}), app_version({"context": None})
    ('7', '')
    """
    found: Any = holder
    for name in ("context", "app", "version"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def skew(sent_at: Any, now: float) -> float:
    """Return the seconds by which the sender's clock is behind; 0 if ``sentAt`` is missing or not a time."""
    # connections/spec/common.md, "Timestamps": timestamp = receivedAt - (sentAt - originalTimestamp).
    sent = moment(sent_at) if isinstance(sent_at, str) else None
    return 0.0 if sent is None else now - sent


@lru_cache(maxsize=4096)
def moment(timestamp: str) -> float | None:
    """Return the epoch seconds of an ISO-8601 text, in UTC without a zone; ``None`` for any other text.

    >>> moment("1970-01-01T01:00:00+01:00"), moment("soon")
    (0.0, None)
    """
    try:
        read = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
