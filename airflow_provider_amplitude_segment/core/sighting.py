"""Since when a claim has been seen unchanged: for claims whose own times cannot be believed.

A claim that was written ahead of the reader's clock may end in a year. Its owner renews it while it is alive, which
changes it; so a reader notes when it first saw the claim as it is, and counts the claim's length from there, by its own
clock. This is the rule of Amazon's lock client for DynamoDB
(https://aws.amazon.com/blogs/database/building-distributed-locks-with-the-dynamodb-lock-client/). The note is
``seen-n.json`` beside ``claim-n.json``, because the next reader is another process.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.mark import decode_entry, encode_entry
from airflow_provider_amplitude_segment.core.object_names import ObjectName

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.stream import Store

_MOST_MOMENTS = 8
"""Readers whose clocks differ leave one each; more than these few differ no more in what they lead to."""


def first_seen(store: Store, folder: str, generation: int, content: bytes, now: float) -> float:
    """Return when a claim was first seen as it is, in seconds since 1970; note ``now`` where no reader saw it before.

    Of several moments the latest one that is not ahead of ``now`` counts, because a reader with a clock that is behind
    must not make another one believe that the claim has stood for long.

    Args:
        store: where the ledger is.
        folder: of the ledger.
        generation: of the claim.
        content: the claim's bytes.
        now: by this reader's clock.

    Raises:
        StatePathError: the place failed.
    """
    name = f"{folder}/{ObjectName('seen', generation)}"
    digest = hashlib.sha256(content).hexdigest()
    moments = _read(store.get(name), digest)
    believed = [moment for moment in moments if moment <= now]
    if believed:
        return max(believed)
    # Those ahead of this clock are kept: which of the clocks is right is not known.
    moments = sorted([*moments, now])[:_MOST_MOMENTS]
    entry = {"claim": digest, "seen_at_epoch": moments, "seen_at": [timestamp(m) for m in moments]}
    store.put(name, encode_entry(entry))
    return now


def _read(content: bytes | None, digest: str) -> list[float]:
    """Return the moments at which a claim of this digest was first seen; none where the note is of another content."""
    entry = decode_entry(content) or {}
    try:
        moments = [float(moment) for moment in entry["seen_at_epoch"]] if entry["claim"] == digest else []
        for moment in moments:
            timestamp(moment)
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return []
    return moments
