"""Read the XComs ``sync_report`` and ``verify_report`` of any age, and any other value that is under these keys.

A count that is no whole number becomes ``None`` or 0, a text that is none becomes ``None``, and what is no report at
all becomes ``None``. Fields that are not listed here are left out, so a page shows only what this module names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST_TEXT = 4_000
_MOST_DESTINATIONS = 200
_MOST_REASONS = 50


@dataclass(frozen=True, slots=True)
class ShownDestination:
    """One destination's part of a sync or a retirement; the fields are those of ``DestinationReport``."""

    segment_conn_id: str
    destination: str
    mode: str | None
    trait: str | None
    entered: int
    exited: int
    retired: int
    changed: int
    unchanged: int
    in_doubt: int
    planned: int
    acknowledged: int
    rejected: int
    skipped: int
    pending: int
    events_planned: int
    events_acknowledged: int
    events_rejected: int
    batches: int
    retries: int
    seconds: float | None
    generation: int | None
    follows: int | None
    committed: bool
    known: int | None
    error: str | None
    planned_changes: str | None
    rejected_users: str | None
    source_checked: str | None
    approved_by: str | None


@dataclass(frozen=True, slots=True)
class ShownReport:
    """A sync or a retirement; the fields are those of ``SyncReport``."""

    cohort_id: str
    cohort_name: str | None
    cohort_size: int | None
    rows: int | None
    members: int | None
    anonymous: int | None
    duplicates: int | None
    exports_left: int | None
    export_request_id: str | None
    export_source: str | None
    nothing_new: bool
    dry_run: bool
    destinations: tuple[ShownDestination, ...]


@dataclass(frozen=True, slots=True)
class ShownVerifiedDestination:
    """One destination's part of a verification; the fields are those of ``VerifiedDestination``."""

    segment_conn_id: str
    destination: str
    trait: str | None
    members: int | None
    in_doubt: int | None
    sampled: int | None
    matched: int
    different: int
    absent: int
    suppressed: int
    shares_profile: int
    unreadable: int
    unanswered: int
    mismatches: int
    ratio: float | None
    upper_bound: float | None
    acknowledged: int | None
    received: int | None
    failed: dict[str, int] | None
    filtered: dict[str, int] | None
    healed: int
    mismatched_users: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ShownVerification:
    """A verification; the fields are those of ``VerifyReport``."""

    cohort_id: str
    sample_size: int | None
    max_mismatch_ratio: float | None
    destinations: tuple[ShownVerifiedDestination, ...]


def read_report(value: object) -> ShownReport | None:
    """Return the report of a sync or a retirement, or ``None`` for anything else."""
    raw = read_object(value)
    cohort_id = text(raw, "cohort_id")
    if raw is None or cohort_id is None:
        return None
    kept: dict[str, Any] = {
        **{name: text(raw, name) for name in ("cohort_name", "export_request_id", "export_source")},
        **_counts(raw, "cohort_size", "rows", "members", "anonymous", "duplicates", "exports_left"),
    }
    return ShownReport(
        **kept,
        cohort_id=cohort_id,
        nothing_new=raw.get("nothing_new") is True,
        dry_run=raw.get("dry_run") is True,
        destinations=tuple(_destination(part) for part in _parts(raw)),
    )


def read_verification(value: object) -> ShownVerification | None:
    """Return the report of a verification, or ``None`` for anything else."""
    raw = read_object(value)
    cohort_id = text(raw, "cohort_id")
    if raw is None or cohort_id is None:
        return None
    return ShownVerification(
        cohort_id=cohort_id,
        sample_size=count(raw, "sample_size"),
        max_mismatch_ratio=number(raw, "max_mismatch_ratio"),
        destinations=tuple(_verified(part) for part in _parts(raw)),
    )


def read_object(value: object) -> Mapping[str, Any] | None:
    """Return a JSON object as a mapping; Airflow stores it as such, or as its text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def text(raw: Mapping[str, Any] | None, name: str, *, longest: int = _LONGEST_TEXT) -> str | None:
    """Return a text that is not empty, cut after its longest number of characters, or ``None``."""
    value = raw.get(name) if raw is not None else None
    if not isinstance(value, str) or not value:
        return None
    return value if len(value) <= longest else f"{value[:longest]}…"


def count(raw: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number from 0, or ``None``.

    >>> [count({"n": value}, "n") for value in (7, 7.0, -1, True, "7", None)]
    [7, 7, None, None, None, None]
    """
    value = raw.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def number(raw: Mapping[str, Any], name: str) -> float | None:
    """Return a finite number from 0, or ``None``."""
    value = raw.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) and value >= 0 else None
    except OverflowError:  # an integer that no float holds
        return None


def _destination(raw: Mapping[str, Any]) -> ShownDestination:
    kept: dict[str, Any] = {
        **_names(raw),
        **{
            name: text(raw, name)
            for name in (
                *("mode", "trait", "error", "planned_changes", "rejected_users", "source_checked", "approved_by"),
            )
        },
        **_sums(raw, "entered", "exited", "retired", "changed", "unchanged", "in_doubt", "planned", "acknowledged"),
        **_sums(raw, "rejected", "skipped", "pending", "batches", "retries"),
        **_sums(raw, "events_planned", "events_acknowledged", "events_rejected"),
        **_counts(raw, "generation", "follows", "known"),
    }
    return ShownDestination(**kept, seconds=number(raw, "seconds"), committed=raw.get("committed") is True)


def _verified(raw: Mapping[str, Any]) -> ShownVerifiedDestination:
    kept: dict[str, Any] = {
        **_names(raw),
        **{name: text(raw, name) for name in ("trait", "mismatched_users", "error")},
        **_counts(raw, "members", "in_doubt", "sampled", "acknowledged", "received"),
        **_sums(raw, "matched", "different", "absent", "suppressed", "shares_profile", "unreadable", "unanswered"),
        **_sums(raw, "mismatches", "healed"),
        **{name: number(raw, name) for name in ("ratio", "upper_bound")},
        **{name: _by_reason(raw.get(name)) for name in ("failed", "filtered")},
    }
    return ShownVerifiedDestination(**kept)


def _parts(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = raw.get("destinations")
    if not isinstance(parts, list):
        return []
    return [part for part in parts if isinstance(part, Mapping)][:_MOST_DESTINATIONS]


def _names(raw: Mapping[str, Any]) -> dict[str, str]:
    conn_id = text(raw, "segment_conn_id") or "unknown"
    return {"segment_conn_id": conn_id, "destination": text(raw, "destination") or conn_id}


def _counts(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: count(raw, name) for name in names}


def _sums(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: count(raw, name) or 0 for name in names}


def _by_reason(value: object) -> dict[str, int] | None:
    if not isinstance(value, Mapping):
        return None
    counted = {reason: count(value, reason) for reason in value if isinstance(reason, str)}
    return dict([(reason[:200], n) for reason, n in counted.items() if n is not None][:_MOST_REASONS])
