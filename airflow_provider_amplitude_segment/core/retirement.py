"""The retirement: ``false`` to everyone ever told ``true`` for a cohort, and the cohort's state is forgotten.

    find the ledgers by their folders → claim all → compare each destination's state with nobody
    → plans → each destination told, committed and forgotten by itself → report, forget the run, release

Amplitude is not asked: the cohort may be archived or deleted. All of the ledger's rules hold as in a sync, so a
retirement that ends early is gone on with by its retry, and a sync after it tells who is in doubt.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.fan_out import deliver_all
from airflow_provider_amplitude_segment.core.disk_space import retirement_room, stating_room
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.scratch import make_scratch
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    RunCheckpoint,
    delete_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.ledger_clock import warn_of_clocks
from airflow_provider_amplitude_segment.core.ledger.pruning import count_pairs, purge
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import require_mark
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_cohort_streams, other_destinations
from airflow_provider_amplitude_segment.core.membership.membership import empty_membership
from airflow_provider_amplitude_segment.core.plan.draft import (
    Draft,
    compare,
    is_unfinished_plan_of,
    list_planned,
    plan_fingerprint,
    report_draft,
)
from airflow_provider_amplitude_segment.core.plan.missing_state import check_state
from airflow_provider_amplitude_segment.core.report.outcome import raise_for_rejected
from airflow_provider_amplitude_segment.core.report.progress import log_group
from airflow_provider_amplitude_segment.core.report.report import (
    DestinationReport,
    SyncReport,
    complete_report,
    save_report,
)
from airflow_provider_amplitude_segment.exceptions import StatePathError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Stream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)

_NO_EXPORT = ""
"""A retirement tells no export: a sync that had requested one before asks for a new one."""


class CohortRetirement:
    """One retirement by one run's try. Used once.

    ``report`` is filled as it goes on, and true at any time, also after an error. ``report_at_start`` is what it was
    when this try began to work.
    """

    def __init__(
        self,
        settings: SyncSettings,
        run: Run,
        ports: DeliveryPorts,
        *,
        app_id: str | None = None,
        remembered: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Prepare a retirement; nothing is asked of anybody yet.

        ``app_id`` is the Amplitude project's number, where several have told the cohort; ``remembered`` is as in a
        sync. Of the settings those count that are not about an export or a trait's name.
        """
        self._settings = settings
        self._this_run = run
        self._ports = ports
        self._store = ports.store
        self._app_id = app_id
        self._remembered = remembered
        self.report = self.report_at_start = SyncReport(settings.cohort_id, dry_run=settings.dry_run)

    def run(self) -> SyncReport:
        """Retire, and return the report.

        Raises:
            StateMarkError: the place is no state path of this package; nothing was sent.
            LedgerNotFoundError: the cohort was never told, or not at one of the destinations; nothing was sent.
            AmplitudeSegmentError: see the tree in ``exceptions``; ``report`` tells how far it came.
        """
        try:
            return self._retire()
        except BaseException as error:
            self.report = complete_report(self.report, tuple(self._ports.segment_clients), "retire", error)
            raise

    def _retire(self) -> SyncReport:
        settings, destinations = self._settings, tuple(self._ports.segment_clients)
        require_mark(self._store)
        streams = find_cohort_streams(self._store, settings.cohort_id, destinations, self._app_id)
        above = {stream: self._remembered.get(stream.destination.name, 0) for stream in streams}
        with HeldClaims(self._store, streams, self._this_run, self._ports.clock, above=above) as held_claims:
            try:
                with stating_room(lambda: self._ports.room_bytes):
                    self._retire_claimed(streams, held_claims)
            except BaseException as error:
                self._save_reports(streams, held_claims, error)
                if isinstance(error, StatePathError):
                    raise StateUnavailableError(error.path, error.reason, error.advice) from error
                raise
        if elsewhere := other_destinations(self._store, streams):
            log.warning("Cohort %s was told elsewhere, too, and stays there: %s", settings.cohort_id, elsewhere)
        raise_for_rejected(self.report, settings.on_rejected)
        return self.report

    def _retire_claimed(self, streams: Sequence[Stream], held_claims: HeldClaims) -> None:
        ledgers = {stream: Ledger(self._store, stream.folder) for stream in streams}
        newest = {stream: ledger.newest() for stream, ledger in ledgers.items()}
        self._ports = replace(self._ports, room_bytes=retirement_room(newest.values()))
        warn_of_clocks(newest, self._ports.clock.now())
        missing = check_state(self._store, newest, self._remembered, self._settings, self._ports.clock.now())
        record = self._read_record(streams, newest)
        for finished in record.finished.values():
            self._note(DestinationReport(**finished))
        self.report_at_start = self.report
        unfinished = [stream for stream in streams if stream.folder not in record.finished]
        with log_group("Compare with nobody"):
            drafts = self._open_drafts(unfinished, ledgers, newest, missing)
        self.report_at_start = self.report
        if self._settings.dry_run:
            self._list_planned(drafts)
        else:
            told = {draft.stream for draft in drafts}
            for stream in streams:
                entry = newest[stream]
                if stream not in told and not isinstance(entry, Plan):
                    # A try that was killed after its commit has left something, and so has a dry run.
                    held_claims.verify(stream)
                    purge(ledgers[stream], entry, held_claims.generation(stream))
            if drafts:
                self._deliver_all(drafts, record, held_claims)
        self._save_reports(streams, held_claims, None)
        if not (
            self._settings.dry_run and any(is_unfinished_plan_of(entry, self._this_run) for entry in newest.values())
        ):
            delete_checkpoint(self._store, streams[0], self._this_run)

    def _read_record(self, streams: Sequence[Stream], newest: Mapping[Stream, Plan | Commit | None]) -> RunCheckpoint:
        """Return the run's record, with the destinations that this run has retired and where nothing was told since.

        It is written before anything else is, so that a try that was killed after its commit is known by it.
        """
        found = read_checkpoint(self._store, streams[0], self._this_run)
        if found is None:
            record = RunCheckpoint(_NO_EXPORT, self._ports.clock.now(), {})
            if not self._settings.dry_run:
                write_checkpoint(self._store, streams[0], self._this_run, record)
            return record
        finished = {
            stream.folder: entry.report
            for stream, entry in newest.items()
            if isinstance(entry, Commit)
            and entry.run_key == self._this_run.key
            # A sync of the same task is no retirement.
            and entry.report.get("mode") == "retire"
        }
        return replace(found, export_request_id=_NO_EXPORT, finished=finished)

    def _open_drafts(
        self,
        streams: Sequence[Stream],
        ledgers: Mapping[Stream, Ledger],
        newest: Mapping[Stream, Plan | Commit | None],
        missing: frozenset[Stream],
    ) -> list[Draft]:
        """Return a draft for each destination where somebody is known, or something was begun."""
        drafts = []
        with open_engine(self._ports.scratch) as engine:
            for number, stream in enumerate(streams):
                scratch = self._ports.scratch / f"destination-{number}"
                make_scratch(scratch)
                draft = self._open_draft(
                    stream, ledgers[stream], newest[stream], scratch, state_missing=stream in missing
                )
                if draft.resumed is None:
                    draft = compare(engine, draft, empty_membership(engine, scratch))
                    is_settled = not isinstance(draft.newest, Plan) and not draft.state_missing
                    if is_settled and count_pairs(engine, draft.base) == 0:
                        self._note(self._nothing_known(draft))
                        continue
                report = report_draft(draft)
                self._note(report)
                log.info("%s: %s to be told false", report.segment_conn_id, f"{report.planned:,}")
                drafts.append(draft)
        return drafts

    def _open_draft(
        self, stream: Stream, ledger: Ledger, newest: Plan | Commit | None, scratch: Path, *, state_missing: bool
    ) -> Draft:
        """Decide whether this run's own retirement is gone on with."""
        trait = newest.trait if newest is not None else ""
        draft = Draft(stream, ledger, newest, trait, "retire", scratch, state_missing=state_missing)
        if is_unfinished_plan_of(newest, self._this_run) and not self._settings.dry_run:
            is_same = newest.fingerprint == plan_fingerprint(self._settings, trait, "retire")
            return replace(draft, resumed=newest if is_same else None)
        return draft

    def _nothing_known(self, draft: Draft) -> DestinationReport:
        destination = draft.stream.destination
        log.info("%s: nothing is known any more of cohort %s", destination.segment_conn_id, self._settings.cohort_id)
        return replace(report_draft(draft), committed=not self._settings.dry_run)

    def _deliver_all(self, drafts: Sequence[Draft], record: RunCheckpoint, held_claims: HeldClaims) -> None:
        self._ports.show({"step": "Tell Segment"})
        with log_group("Tell Segment"):
            deliver_all(
                drafts, self._settings, self._this_run, record, held_claims, self._ports, self.report, self._note
            )

    def _list_planned(self, drafts: Sequence[Draft]) -> None:
        """Leave a dry run's planned changes as files for people."""
        with open_engine(self._ports.scratch) as engine:
            for draft in drafts:
                where = list_planned(engine, draft, self._this_run.key)
                report = self.report.destination(draft.stream.destination.name)
                self._note(replace(report, planned_changes=where))
                log.info("Dry run: %s changes planned, nothing sent: %s", f"{report.planned:,}", where)

    def _note(self, report: DestinationReport) -> None:
        self.report = self.report.with_destination(report)

    def _save_reports(self, streams: Sequence[Stream], held_claims: HeldClaims, error: BaseException | None) -> None:
        self.report = complete_report(self.report, tuple(self._ports.segment_clients), "retire", error)
        save_report(self._store, self.report, {s: held_claims.generation(s) for s in streams if held_claims.holds(s)})
