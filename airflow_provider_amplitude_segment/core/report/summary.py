"""Summarize a sync in the last lines of its log, which are readable on their own.

The lines show what Amplitude has, what each destination was sent and now has, and what happens next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport


def summarize(report: SyncReport, *, ending: str) -> list[str]:
    """Return the lines: the ending, the cohort, each destination.

    Args:
        report: of the sync, whether it succeeded or failed.
        ending: how the task ends, in a sentence or two.
    """
    destinations = [_destination_line(destination, report) for destination in report.destinations]
    return [f"Summary: {ending}", _cohort_line(report), *destinations]


def _cohort_line(report: SyncReport) -> str:
    name = f"{report.cohort_name!r} ({report.cohort_id})" if report.cohort_name else report.cohort_id
    if report.nothing_new:
        return f"- Amplitude: cohort {name}, nothing new: its newest set of cohort files was synced before"
    if report.members is None:
        export = f"export {report.export_request_id} was not read" if report.export_request_id else "no export"
        return f"- Amplitude: cohort {name}, {export}"
    skipped = [
        f"{count:,} {what}"
        for count, what in (
            (report.anonymous, "without a user ID skipped"),
            (report.duplicates, "repeated rows dropped"),
        )
        if count
    ]
    return ", ".join([f"- Amplitude: cohort {name} has {report.members:,} members", *skipped])


def _destination_line(part: DestinationReport, report: SyncReport) -> str:
    is_compared = part.committed or part.generation is not None or report.members is not None
    sent = [_changes(part) if is_compared else "not compared"]
    if part.planned and not report.dry_run:
        sent.append(f"{part.acknowledged:,} of {part.planned:,} changes acknowledged by Segment")
    if part.approved_by:
        sent.append(f"let through the guard by {part.approved_by}")
    if part.events_planned:
        done = "planned" if report.dry_run else f"acknowledged, {part.events_rejected:,} rejected"
        count = part.events_planned if report.dry_run else part.events_acknowledged
        of = "" if report.dry_run else f" of {part.events_planned:,}"
        sent.append(f"{count:,}{of} events {done}")
    if part.source_checked == "unknown":
        sent.append("the write key is not proved (a warning above says why)")
    for count, what in (
        (part.rejected, f"rejected by Segment (listed in {part.rejected_users})"),
        (part.pending if not report.dry_run else 0, "pending"),
        (part.skipped, "skipped until sync_mode='full', because three syncs rejected them"),
        (part.retries, "requests retried"),
    ):
        if count:
            sent.append(f"{count:,} {what}")
    return f"- {part.segment_conn_id}: {'; '.join(sent)}. {_state(part, report)}"


def _changes(part: DestinationReport) -> str:
    counts = [
        (part.entered, "entered"),
        (part.exited, "exited"),
        (part.retired, "sent false under an earlier trait key"),
        (part.changed, "changed a property"),
        (part.in_doubt, "sent again because they were in doubt"),
    ]
    return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "no changes"


def _state(part: DestinationReport, report: SyncReport) -> str:
    if report.dry_run:
        where = f" (listed in {part.planned_changes})" if part.planned_changes else ""
        refused = f" A sync would be refused: {part.error}" if part.error else ""
        return f"A dry run: {part.planned:,} changes planned{where}, nothing was sent.{refused}"
    if not part.committed:
        reason = f" {part.error}" if part.error else ""
        return f"Not finished, the state is not committed.{reason}"
    known = "" if part.known is None else f"Now {part.known:,} users are true under {part.trait!r}. "
    return f"{known}Saved as generation {part.generation}."
