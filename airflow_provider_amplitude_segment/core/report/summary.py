"""The summary of a sync: the last lines of its log, for a reader who has read nothing else of it.

What Amplitude has, what each destination was sent and now knows, and what happens next. Plain words, counts and names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport


def summarize(report: SyncReport, *, ending: str) -> list[str]:
    """Return the lines: the ending, the cohort, each destination.

    Args:
        report: of the sync, however it ended.
        ending: what the task comes to, as a sentence or two.
    """
    told = [_destination_line(destination, report) for destination in report.destinations]
    return [f"Summary: {ending}", _cohort_line(report), *told]


def _cohort_line(report: SyncReport) -> str:
    name = f"{report.cohort_name!r} ({report.cohort_id})" if report.cohort_name else report.cohort_id
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


def _destination_line(told: DestinationReport, report: SyncReport) -> str:
    is_compared = told.committed or told.generation is not None or report.members is not None
    sent = [_moved(told) if is_compared else "not compared"]
    if told.planned and not report.dry_run:
        sent.append(f"{told.acknowledged:,} of {told.planned:,} changes acknowledged by Segment")
    for count, what in (
        (told.rejected, f"refused by Segment (listed in {told.rejected_users})"),
        (told.pending if not report.dry_run else 0, "still to be told"),
        (told.skipped, "left out, refused in three syncs, until sync_mode='full'"),
        (told.retries, "requests had to be sent again"),
    ):
        if count:
            sent.append(f"{count:,} {what}")
    return f"- {told.segment_conn_id}: {'; '.join(sent)}. {_known(told, report)}"


def _moved(told: DestinationReport) -> str:
    counts = [
        (told.entered, "entered"),
        (told.exited, "exited"),
        (told.retired, "told false under an earlier trait key"),
        (told.changed, "told again with a new property"),
        (told.in_doubt, "told again, as it was in doubt"),
    ]
    return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nobody moved"


def _known(told: DestinationReport, report: SyncReport) -> str:
    if report.dry_run:
        where = f" (listed in {told.planned_changes})" if told.planned_changes else ""
        refused = f" A sync would be refused: {told.error}" if told.error else ""
        return f"A dry run: {told.planned:,} changes planned{where}, nothing was sent.{refused}"
    if not told.committed:
        reason = f" {told.error}" if told.error else ""
        return f"Not finished, the state is not committed.{reason}"
    known = "" if told.known is None else f"Now {told.known:,} users are true under {told.trait!r}. "
    return f"{known}Saved as generation {told.generation}."
