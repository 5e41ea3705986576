"""The sync: one cohort to one or more destinations, from Amplitude's list to the commit.

    claim all streams → the run's export → membership → diff with each destination's state → guards
    → plans → each destination told and committed by itself → report, forget the run, release

A sync that ends early leaves the ledger so that the next try goes on where this one ended. The run's claims are held
throughout; nothing is read from a ledger before its claim is won.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.fan_out import deliver_all
from airflow_provider_amplitude_segment.core.disk_space import listed_export_bytes, stating_room, sync_room
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.scratch import make_scratch
from airflow_provider_amplitude_segment.core.export.cohort import check_exportable, find_cohort
from airflow_provider_amplitude_segment.core.export.exporter import CohortExporter
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    delete_checkpoint,
    delete_checkpoint_best_effort,
    reuse_or_request_export,
    write_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.ledger_clock import warn_of_clocks
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import mark_state_path
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.membership.export_reader import fetch_membership
from airflow_provider_amplitude_segment.core.plan.draft import (
    compare,
    is_unfinished_plan_of,
    list_planned,
    open_draft,
    report_draft,
)
from airflow_provider_amplitude_segment.core.plan.guards import check_drafts, check_origins
from airflow_provider_amplitude_segment.core.plan.missing_state import check_state
from airflow_provider_amplitude_segment.core.plan.trait import trait_key
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped, raise_for_rejected
from airflow_provider_amplitude_segment.core.report.progress import log_group
from airflow_provider_amplitude_segment.core.report.report import (
    DestinationReport,
    SyncReport,
    complete_report,
    save_report,
)
from airflow_provider_amplitude_segment.core.user_properties import check_names
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    ExportError,
    GuardError,
    StatePathError,
    StateUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    from airflow_provider_amplitude_segment.core.export.run_checkpoint import RunCheckpoint
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.membership.membership import Membership
    from airflow_provider_amplitude_segment.core.plan.draft import Draft
    from airflow_provider_amplitude_segment.core.ports import SyncPorts
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)

_DEFERRAL_MARGIN_SECONDS = 600.0
"""How long a claim outlives ``export_timeout`` while the run is deferred: a resumed task may wait for a slot."""


class CohortSync:
    """One sync by one run's try. Used once.

    ``report`` is filled as the sync goes on, and true at any time, also after an error. ``report_at_start`` is what it
    was when this try began to work: with what earlier tries of the run have sent.
    """

    def __init__(
        self,
        settings: SyncSettings,
        run: Run,
        ports: SyncPorts,
        *,
        remembered: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Prepare a sync; nothing is asked of anybody yet.

        ``remembered`` are the generations that an earlier sync left with Airflow, by the destination's name.
        """
        self._settings = settings
        self._this_run = run
        self._ports = ports
        self._store = ports.store
        self._remembered = remembered
        self._order = CohortExporter(
            ports.amplitude, settings.poll_interval, settings.export_timeout, ports.clock, ports.stop
        )
        self.report = self.report_at_start = SyncReport(settings.cohort_id, dry_run=settings.dry_run)

    def run(
        self, *, wait_for_export: bool = True, wait_error: AmplitudeSegmentError | None = None
    ) -> SyncReport | ExportIncomplete | Skipped:
        """Sync, and return the report.

        Args:
            wait_for_export: whether to wait here for the export; else an export that is not complete ends this call,
                and a later one of the same run goes on with it.
            wait_error: what whoever waited for the export met; it is raised once the claims that were held
                meanwhile are this call's, so that they are given back.

        Raises:
            AmplitudeSegmentError: see the tree in ``exceptions``; ``report`` tells how far it came.
        """
        try:
            return self._sync(wait_for_export, wait_error)
        except BaseException as error:
            self.report = complete_report(
                self.report, tuple(self._ports.segment_clients), self._settings.sync_mode, error
            )
            raise

    def _sync(
        self, wait_for_export: bool, wait_error: AmplitudeSegmentError | None
    ) -> SyncReport | ExportIncomplete | Skipped:
        cohort = self._cohort()
        trait = trait_key(self._settings.trait_name, cohort)
        check_names(self._settings.user_properties, trait)
        streams = [Stream(cohort.app_id, cohort.cohort_id, destination) for destination in self._ports.segment_clients]
        self._take_room(listed_export_bytes(cohort.size, len(self._settings.user_properties)))
        above = {stream: self._remembered.get(stream.destination.name, 0) for stream in streams}
        mark_state_path(self._store)
        with HeldClaims(self._store, streams, self._this_run, self._ports.clock, above=above) as held_claims:
            try:
                with stating_room(lambda: self._ports.room_bytes):
                    outcome = self._run_claimed(streams, held_claims, trait, wait_for_export, wait_error)
            except BaseException as error:
                if isinstance(error, GuardError | ExportError) and not error.retryable:
                    # Whoever clears the task has looked at the cohort: a new export tells how it is by then.
                    delete_checkpoint_best_effort(self._store, streams[0], self._this_run)
                self._save_reports(streams, held_claims, error)
                if isinstance(error, StatePathError):
                    raise StateUnavailableError(error.path, error.reason, error.advice) from error
                raise
        if isinstance(outcome, SyncReport):
            raise_for_rejected(self.report, self._settings.on_rejected)
        return outcome

    def _cohort(self) -> Cohort:
        cohort = find_cohort(self._ports.amplitude.list_cohorts(), self._settings.cohort_id)
        self.report = replace(self.report, cohort_name=cohort.name, cohort_size=cohort.size)
        listed = "an unknown number of" if cohort.size is None else f"{cohort.size:,}"
        log.info("Cohort %r (%s): Amplitude lists %s users", cohort.name, cohort.cohort_id, listed)
        if warning := check_exportable(cohort, now=self._ports.clock.now()):
            log.warning("%s", warning)
        return cohort

    def _run_claimed(
        self,
        streams: Sequence[Stream],
        held_claims: HeldClaims,
        trait: str,
        wait_for_export: bool,
        wait_error: AmplitudeSegmentError | None,
    ) -> SyncReport | ExportIncomplete | Skipped:
        if wait_error is not None:
            raise wait_error
        ledgers = {stream: Ledger(self._store, stream.folder) for stream in streams}
        newest = {stream: ledger.newest() for stream, ledger in ledgers.items()}
        warn_of_clocks(newest, self._ports.clock.now())
        missing = check_state(self._store, newest, self._remembered, self._settings, self._ports.clock.now())
        check_origins(newest, trait, self._this_run, self._settings)
        with self._step("Amplitude: request the export"):
            record = reuse_or_request_export(
                self._store, self._this_run, self._order, newest, held_claims, self._settings, self._ports.clock
            )
        self.report = replace(self.report, export_request_id=record.export_request_id, **record.counts)
        for entry in record.finished.values():
            self.report = self.report.with_destination(DestinationReport(**entry))
        self.report_at_start = self.report
        drafts = self._open_drafts(ledgers, newest, record, trait, missing)
        self.report_at_start = self.report
        if any(draft.resumed is None for draft in drafts):
            with self._step("Amplitude: wait for the export and read it"):
                if not self._order.await_completion(record.export_request_id, wait_for_export=wait_for_export):
                    log.info("Export %s is not complete yet", record.export_request_id)
                    claims = held_claims.extend_for_deferral(self._settings.export_timeout + _DEFERRAL_MARGIN_SECONDS)
                    return ExportIncomplete(record.export_request_id, claims)
                membership = self._membership(record)
            record = replace(record, counts=self.report.export_counts())
            held_claims.verify_all()
            write_checkpoint(self._store, streams[0], self._this_run, record)
            with self._step("Compare with what Segment was told"):
                drafts = self._compare(drafts, membership)
            self.report, reason = check_drafts(drafts, membership, self._settings, self.report)
            if reason:
                self._save_reports(streams, held_claims, None)
                delete_checkpoint(self._store, streams[0], self._this_run)
                return Skipped(reason)
        if self._settings.dry_run:
            self._list_planned(drafts)
        else:
            with self._step("Tell Segment"):
                deliver_all(
                    drafts, self._settings, self._this_run, record, held_claims, self._ports, self.report, self._note
                )
        self._save_reports(streams, held_claims, None)
        if not (
            self._settings.dry_run and any(is_unfinished_plan_of(entry, self._this_run) for entry in newest.values())
        ):
            delete_checkpoint(self._store, streams[0], self._this_run)
        return self.report

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        self._ports.show({"step": title})
        with log_group(title):
            yield

    def _open_drafts(
        self,
        ledgers: Mapping[Stream, Ledger],
        newest: Mapping[Stream, Plan | Commit | None],
        record: RunCheckpoint,
        trait: str,
        missing: frozenset[Stream],
    ) -> list[Draft]:
        """Open a draft for each destination that this run has not finished."""
        drafts = []
        unfinished = [stream for stream in ledgers if stream.folder not in record.finished]
        for number, stream in enumerate(unfinished):
            scratch = self._ports.scratch / f"destination-{number}"
            make_scratch(scratch)
            draft = open_draft(
                stream,
                ledgers[stream],
                newest[stream],
                self._settings,
                trait=trait,
                state_missing=stream in missing,
                run=self._this_run,
                export_request_id=record.export_request_id,
                scratch=scratch,
            )
            self.report = self.report.with_destination(report_draft(draft))
            drafts.append(draft)
        return drafts

    def _membership(self, record: RunCheckpoint) -> Membership:
        membership = fetch_membership(
            self._ports.amplitude,
            record.export_request_id,
            self._ports.scratch,
            self._settings.user_properties,
            listed=self.report.cohort_size,
            destinations=len(self._ports.segment_clients),
        )
        self._take_room(membership.file_bytes)
        self.report = replace(self.report, **membership.counts())
        return membership

    def _take_room(self, export_bytes: int) -> None:
        """Note what this sync takes of the worker's disk, by what is known of its export by now."""
        self._ports = replace(self._ports, room_bytes=sync_room(export_bytes, len(self._ports.segment_clients)))

    def _compare(self, drafts: Sequence[Draft], membership: Membership) -> list[Draft]:
        compared = []
        with open_engine(self._ports.scratch, is_wide=bool(self._settings.user_properties)) as engine:
            for opened in drafts:
                draft = (
                    opened if opened.resumed else compare(engine, opened, membership, self._settings.user_properties)
                )
                report = report_draft(draft)
                self.report = self.report.with_destination(report)
                log.info("%s", report.moves())
                compared.append(draft)
        return compared

    def _list_planned(self, drafts: Sequence[Draft]) -> None:
        """Leave a dry run's planned changes as files for people."""
        with open_engine(self._ports.scratch) as engine:
            for draft in drafts:
                where = list_planned(engine, draft, self._this_run.key)
                report = self.report.destination(draft.stream.destination.name)
                self.report = self.report.with_destination(replace(report, planned_changes=where))
                log.info("Dry run: %s changes planned, nothing sent: %s", f"{report.planned:,}", where)

    def _note(self, report: DestinationReport) -> None:
        self.report = self.report.with_destination(report)

    def _save_reports(self, streams: Sequence[Stream], held_claims: HeldClaims, error: BaseException | None) -> None:
        self.report = complete_report(self.report, tuple(self._ports.segment_clients), self._settings.sync_mode, error)
        save_report(self._store, self.report, {s: held_claims.generation(s) for s in streams if held_claims.holds(s)})
