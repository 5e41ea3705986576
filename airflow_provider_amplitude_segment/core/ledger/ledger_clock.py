"""The ledger's clock: whether the workers that wrote it and this one agree on the time (ADR 0019)."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import duration, is_ahead, seconds_ahead, timestamp
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import decode_entry, encode_entry
from airflow_provider_amplitude_segment.exceptions import CHECK_CLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream


log = logging.getLogger(__name__)


def warn_of_clocks(newest: Mapping[Stream, Plan | Commit | None], now: float) -> None:
    """Warn of each ledger whose newest entry is ahead of this worker's clock by more than clocks may differ.

    The warning names both clocks, because either may be wrong. The next entry has this worker's time.

    Args:
        newest: the newest entry of each stream's ledger.
        now: seconds since 1970, by this worker's clock.
    """
    for stream, entry in newest.items():
        if entry is None or not is_ahead(entry.timestamp, now):
            continue
        log.warning(
            "Segment connection %r: the ledger is %s ahead of this worker's clock: its newest entry, generation %d, is "
            "of %s, and it is %s here. The clock of the worker that wrote it was ahead, or this worker's clock is "
            "behind. This sync uses the clock of this worker, and Segment corrects each clock by the time of sending. "
            "%s",
            stream.destination.segment_conn_id,
            duration(seconds_ahead(entry.timestamp, now)),
            entry.generation,
            entry.timestamp,
            timestamp(now),
            CHECK_CLOCKS,
        )


_MOST_MOMENTS = 8
"""Each reader whose clock differs adds one; more than these would change nothing."""


def first_seen(store: Store, folder: str, generation: int, content: bytes, now: float) -> float:
    """Return when a reader first saw a claim with this content, in seconds since 1970; else note ``now``.

    Of several times, the latest one that is not ahead of ``now`` counts, because a reader whose clock is behind must
    not make a claim look old to another reader.

    Args:
        store: where the ledger is.
        folder: of the ledger.
        generation: of the claim.
        content: the claim's bytes.
        now: by this reader's clock.

    Raises:
        StatePathError: the store failed.
    """
    name = f"{folder}/{ObjectName('seen', generation)}"
    digest = hashlib.sha256(content).hexdigest()
    moments = _read(store.get(name), digest)
    past = [moment for moment in moments if moment <= now]
    if past:
        return max(past)
    # Those ahead of this clock are kept, because this clock may be the wrong one.
    moments = sorted([*moments, now])[:_MOST_MOMENTS]
    entry = {"claim": digest, "seen_at_epoch": moments, "seen_at": [timestamp(m) for m in moments]}
    store.put(name, encode_entry(entry))
    return now


def _read(content: bytes | None, digest: str) -> list[float]:
    """Return the times that a note gives for a claim of this digest; none where it is about another content."""
    entry = decode_entry(content) or {}
    try:
        moments = [float(moment) for moment in entry["seen_at_epoch"]] if entry["claim"] == digest else []
        for moment in moments:
            timestamp(moment)
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return []
    return moments
