"""Summarize a verification in the last lines of its log."""

from __future__ import annotations

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
    bound = "" if part.upper_bound is None else f"; at most {part.upper_bound:.2%} of all users differ (95 %)"
    return ", ".join([f"{part.matched:,} of {part.sampled:,} users match", *others]) + bound


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
