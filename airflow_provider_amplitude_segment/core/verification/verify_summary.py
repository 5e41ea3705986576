"""Summarize a verification in the last lines of its log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport


def summarize_verification(report: VerifyReport, *, ending: str) -> list[str]:
    """Return the lines: the ending, and for each destination the users, the counts, and what is open."""
    lines = [f"Summary: {ending}"]
    for part in report.destinations:
        lines += [
            f"- {part.segment_conn_id}: {text}"
            for text in (_users(part), _counts(part), _warning(part), _open(part))
            if text
        ]
    return lines


def _users(part: VerifiedDestination) -> str:
    if part.sampled is None:
        return "no user was asked for"
    if not part.sampled:
        return "the ledger has no user to verify, because the cohort was retired, or every user is in doubt or erased"
    others = [
        f"{count:,} {what}"
        for count, what in (
            (part.different, "different"),
            (part.absent, "absent"),
            (part.suppressed, "suppressed by Segment"),
            (part.shares_profile, "sharing a profile"),
            (part.unreadable, "unreadable"),
            (part.unanswered, "without a response"),
        )
        if count
    ]
    return ", ".join([f"{part.matched:,} of {part.sampled:,} users match", *others]) + _bound(part)


def _bound(part: VerifiedDestination) -> str:
    """Return the bounds, with whom they leave out."""
    if part.upper_bound is None:
        return ""
    left_out = [
        what
        for what, count in (
            ("are suppressed", part.suppressed or part.suppressed_members),
            ("share a profile", part.shares_profile),
            ("are in doubt", part.in_doubt),
        )
        if count
    ]
    bounds = "no user differs"
    if part.upper_bound:
        bounds = f"at most {_percent(part.upper_bound)} of all users"
        if part.member_upper_bound is not None:
            bounds += f" and {_percent(part.member_upper_bound)} of the members"
        bounds += " differ (95 %)"
    return f"; {bounds}" + (f", without those who {' or '.join(left_out)}" if left_out else "")


def _percent(share: float) -> str:
    """Round up, so that a bound stays one.

    >>> _percent(0.00001), _percent(0.0643), _percent(1.0)
    ('0.01%', '6.43%', '100.00%')
    """
    return f"{math.ceil(round(share * 10_000, 6)) / 10_000:.2%}"


def _counts(part: VerifiedDestination) -> str:
    suppressed = (
        f"Segment suppresses {part.suppressed_members:,} of {part.members:,} members" if part.suppressed_members else ""
    )
    if part.received is None:
        return suppressed
    dropped = [
        f"{sum(reasons.values()):,} {what} ({', '.join(f'{reason}: {count:,}' for reason, count in reasons.items())})"
        for reasons, what in ((part.failed, "failed on ingest"), (part.filtered, "filtered at the source"))
        if reasons
    ]
    counted = f"Segment acknowledged {part.acknowledged:,} identifies, and received {part.received:,} of all senders"
    return "; ".join(filter(None, [", ".join([counted, *dropped]), suppressed]))


def doubts_of_counts(part: VerifiedDestination) -> list[str]:
    """Return what the counts say against a delivery, for a warning."""
    if part.source_id is None:
        unknown = part.acknowledged is not None and part.error is None
        return ["no source shows the write key to this token, so nothing was counted"] * unknown
    missing = (part.acknowledged or 0) - (part.received or 0) if part.received is not None else 0
    dropped = sum((part.failed or {}).values()) + sum((part.filtered or {}).values())
    return [
        text
        for text, holds in (
            (f"Segment received {missing:,} fewer identifies than it acknowledged", missing > 0),
            (f"Segment dropped {dropped:,} identifies of the source", dropped > 0),
        )
        if holds
    ]


def _warning(part: VerifiedDestination) -> str:
    doubts = doubts_of_counts(part)
    return f"WARNING: {'; '.join(doubts)}" if doubts else ""


def _open(part: VerifiedDestination) -> str:
    parts = [
        f"the users are listed in {part.mismatched_users}" if part.mismatched_users else "",
        f"{part.healed:,} users are in doubt, and the next sync sends them" if part.healed else "",
        f"{part.in_doubt:,} users in doubt were not compared" if part.in_doubt else "",
        part.error or "",
    ]
    return "; ".join(filter(None, parts))
