"""Sync one cohort to one or more destinations, from Amplitude's list to the commit.

    prove the write keys → claim all streams → the run's export → membership → diff with each destination's state
    → guards → plans → each destination delivered and committed by itself → report, delete the checkpoint, release

The claims are held throughout, and a ledger is read only after its claim is won. When a sync ends early, the next try
resumes where it ended.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.disk_space import listed_export_bytes, sync_room
from airflow_provider_amplitude_segment.core.export.cohort import MAX_EXPORT_MEMBERS, check_exportable, find_cohort
from airflow_provider_amplitude_segment.core.export.exporter import CohortExporter
from airflow_provider_amplitude_segment.core.export.file_set_source import FileSetSource
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    delete_checkpoint_best_effort,
    read_checkpoint,
    reuse_or_request_export,
)
from airflow_provider_amplitude_segment.core.guard_check import check_drafts
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import mark_state_path
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.membership.export_reader import ExportFacts, fetch_membership
from airflow_provider_amplitude_segment.core.membership.file_set_reader import FileSetReader
from airflow_provider_amplitude_segment.core.plan.draft import (
    add_events,
    compare,
    decide_terms,
    find_resumable,
    report_draft,
    report_opened,
)
from airflow_provider_amplitude_segment.core.plan.guards import check_origins
from airflow_provider_amplitude_segment.core.plan.settled import report_settled
from airflow_provider_amplitude_segment.core.plan.trait import trait_key
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped, raise_for_rejected
from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
from airflow_provider_amplitude_segment.core.session import SyncSession
from airflow_provider_amplitude_segment.core.user_properties import check_names
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    CohortFilesChangedError,
    CohortFilesIncompleteError,
    CohortFilesOrderError,
    ExportError,
    GuardError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.membership.membership import Membership
    from airflow_provider_amplitude_segment.core.plan.diff import PlanTerms
    from airflow_provider_amplitude_segment.core.plan.draft import Draft, OpenedStream, ResumedDraft
    from airflow_provider_amplitude_segment.core.ports import SyncPorts
    from airflow_provider_amplitude_segment.core.report.question import Question
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)

_CHOOSE_AGAIN = (CohortFilesChangedError, CohortFilesIncompleteError, CohortFilesOrderError)

_DEFERRAL_MARGIN_SECONDS = 600.0
"""How long a deferred run's claim outlives ``export_timeout``, because a resumed task may queue for a slot."""


class CohortSync:
    """One sync by one run's try. Used once; ``report`` and ``report_at_start`` are its session's."""

    def __init__(
        self, settings: SyncSettings, run: Run, ports: SyncPorts, *, recorded: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Prepare a sync; nothing is read or sent yet.

        ``recorded`` maps a destination's name to the generation that an earlier sync left in an XCom.
        """
        self._settings = settings
        self._amplitude = ports.amplitude
        self._session = SyncSession(settings, run, ports.delivery, settings.sync_mode, recorded)
        times = settings.poll_interval, settings.export_timeout, ports.delivery.clock, ports.delivery.stop
        self._exporter = CohortExporter(ports.amplitude, *times)
        self._files = None if ports.cohort_folder is None else FileSetSource(ports.cohort_folder, *times)
        if self._files is not None:
            self._session.report = replace(self._session.report, export_source="files")

    @property
    def report(self) -> SyncReport:
        """How far the sync came; correct at any time, also after an error."""
        return self._session.report

    @property
    def report_at_start(self) -> SyncReport:
        """The report when this try began to work, with what earlier tries of the run delivered."""
        return self._session.report_at_start

    def run(
        self, *, wait_for_export: bool = True, wait_error: AmplitudeSegmentError | None = None
    ) -> SyncReport | ExportIncomplete | Skipped | Question:
        """Sync, and return the report; or what ends or interrupts the sync before anything is sent.

        Args:
            wait_for_export: wait here until the export is complete. If false, an incomplete export ends this call, and
                a later call of the same run resumes.
            wait_error: the error that the trigger met while it polled the export. It is raised after this call has
                taken over the run's claims, so that they are released.

        Raises:
            AmplitudeSegmentError: see the tree in ``exceptions``; ``report`` shows how far the sync came.
        """
        session = self._session
        try:
            outcome = self._sync(wait_for_export, wait_error)
        except BaseException as error:
            session.complete_report(error)
            raise
        if isinstance(outcome, SyncReport):
            raise_for_rejected(session.report, self._settings.on_rejected)
        return outcome

    def _sync(
        self, wait_for_export: bool, wait_error: AmplitudeSegmentError | None
    ) -> SyncReport | ExportIncomplete | Skipped | Question:
        session, settings = self._session, self._settings
        cohort = self._cohort()
        trait = trait_key(settings.trait_name, cohort)
        check_names(settings.user_properties, trait)
        self._take_room(listed_export_bytes(cohort.size, len(settings.user_properties)))
        mark_state_path(session.ports.store)
        error = self._prove_write_keys(cohort) or wait_error
        streams = self._streams(cohort)
        for stream in streams:
            session.proofs.warn_of_dropped_traits(stream.destination, (trait, *settings.user_properties))
        with session.claimed(streams):
            try:
                if error is not None:
                    raise error
                return self._sync_claimed(trait, wait_for_export=wait_for_export)
            except (GuardError, ExportError) as refused:
                # The next try chooses another set where this one has changed, or hides what looks newer.
                if not refused.retryable or isinstance(refused, _CHOOSE_AGAIN):
                    # Only a cleared task runs again: it requests a new export, because the cohort may have changed.
                    delete_checkpoint_best_effort(session.ports.store, streams[0], session.run)
                raise

    def _prove_write_keys(self, cohort: Cohort) -> GuardError | None:
        """Prove the write keys; return the error where an earlier try of this run has requested an export.

        The caller raises it under the claims, which that try may have left, and with the checkpoint deleted.
        """
        session = self._session
        try:
            session.prove_write_keys()
        except GuardError as error:
            if read_checkpoint(session.ports.store, self._streams(cohort)[0], session.run) is None:
                raise
            return error
        return None

    def _streams(self, cohort: Cohort) -> list[Stream]:
        destinations = self._session.ports.segment_clients
        return [Stream(cohort.app_id, cohort.cohort_id, destination) for destination in destinations]

    def _cohort(self) -> Cohort:
        session = self._session
        cohort = find_cohort(self._amplitude.list_cohorts(), self._settings.cohort_id)
        session.report = replace(session.report, cohort_name=cohort.name, cohort_size=cohort.size)
        listed = "an unknown number of" if cohort.size is None else f"{cohort.size:,}"
        log.info("Cohort %r (%s): Amplitude lists %s users", cohort.name, cohort.cohort_id, listed)
        limit = MAX_EXPORT_MEMBERS if self._files is None else None
        if warning := check_exportable(cohort, now=session.ports.clock.now(), limit=limit):
            log.warning("%s", warning)
        return cohort

    def _sync_claimed(self, trait: str, *, wait_for_export: bool) -> SyncReport | ExportIncomplete | Skipped | Question:
        session, settings = self._session, self._settings
        session.read_ledgers()
        session.check_state()
        check_origins(session.newest, trait, session.run, settings)
        self._find_export(trait)
        candidates = [self._candidate(opened, trait) for opened in session.open_streams()]
        session.report_at_start = session.report
        drafts: list[Draft] = [resumed for _, _, resumed in candidates if resumed is not None]
        if len(drafts) < len(candidates):
            membership = self._read_export(wait_for_export=wait_for_export)
            if isinstance(membership, ExportIncomplete):
                return membership
            drafts, stopped = check_drafts(session, self._compare(candidates, membership), membership)
            if isinstance(stopped, Skipped):
                session.end(skipped=True)
            if stopped is not None:
                return stopped
        if settings.dry_run:
            session.list_planned(drafts)
        else:
            session.deliver(drafts)
        session.end()
        return session.report

    def _find_export(self, trait: str) -> None:
        """Reuse the run's export or its set of cohort files; request an export, or choose a set, otherwise."""
        session = self._session
        store, newest, held_claims = session.ports.store, session.newest, session.held_claims
        with session.step("Request the export" if self._files is None else "Choose the cohort files"):
            if self._files is None:
                session.checkpoint = reuse_or_request_export(store, self._exporter, newest, held_claims, self._settings)
            else:
                listed = session.report.cohort_size
                session.checkpoint = self._files.reuse_or_choose(store, newest, held_claims, listed)
                self._settle(trait, self._files)
        checkpoint = session.checkpoint
        session.report = replace(session.report, export_request_id=checkpoint.export_request_id, **checkpoint.counts)
        for finished in checkpoint.finished.values():
            session.note(DestinationReport(**finished))
        session.report_at_start = session.report

    def _settle(self, trait: str, files: FileSetSource) -> None:
        """Count as finished the destinations that have synced the run's set of cohort files before."""
        session, set_id = self._session, self._session.checkpoint.export_request_id
        settled = {}
        for stream, entry in session.newest.items():
            if stream.folder in session.checkpoint.finished or session.is_state_missing(stream):
                continue
            report = report_settled(stream, entry, self._settings, trait, set_id)
            if report is not None:
                log.info("%s: nothing new, this set of cohort files was synced before", report.segment_conn_id)
                settled[stream.folder] = asdict(report)
        is_nothing_new = len(settled) == len(session.newest)
        if is_nothing_new:
            files.refuse_passed_over(session.streams[0], session.run, set_id)
        finished = {**session.checkpoint.finished, **settled}
        session.checkpoint = replace(session.checkpoint, finished=finished)
        session.report = replace(session.report, nothing_new=is_nothing_new)

    def _candidate(self, opened: OpenedStream, trait: str) -> tuple[OpenedStream, PlanTerms, ResumedDraft | None]:
        """Return a destination's terms, and this run's own unfinished plan if it can be resumed."""
        session = self._session
        terms = decide_terms(opened, self._settings, trait, session.checkpoint, session.run)
        terms = add_events(terms, opened, self._settings, session.report.cohort_name or "")
        resumed = find_resumable(opened, terms, self._settings, session.run)
        session.note(report_opened(opened, terms) if resumed is None else report_draft(resumed))
        return opened, terms, resumed

    def _read_export(self, *, wait_for_export: bool) -> Membership | ExportIncomplete:
        """Wait for the export, read its membership, and keep its counts in the checkpoint."""
        session, settings = self._session, self._settings
        request_id = session.checkpoint.export_request_id
        with session.step("Read the export"):
            if self._files is None and not self._exporter.await_completion(request_id, wait_for_export=wait_for_export):
                log.info("Export %s is not complete yet", request_id)
                claims = session.held_claims.extend_for_deferral(settings.export_timeout + _DEFERRAL_MARGIN_SECONDS)
                return ExportIncomplete(request_id, claims)
            membership = self._membership(request_id)
            self._take_room(membership.file_bytes)
            session.report = replace(session.report, **membership.counts())
        session.held_claims.verify_all()
        counts = {**session.checkpoint.counts, **session.report.export_counts()}
        session.keep(replace(session.checkpoint, counts=counts))
        return membership

    def _membership(self, request_id: str) -> Membership:
        session, properties = self._session, self._settings.user_properties
        ports, listed, destinations = session.ports, session.report.cohort_size, len(session.ports.segment_clients)
        if self._files is not None:
            reader = FileSetReader(self._files, session.streams[0], ports.scratch, listed, properties, destinations)
            return reader.read(ports.engine, request_id)
        facts = ExportFacts(request_id, listed, destinations)
        return fetch_membership(self._amplitude, facts, ports.engine, ports.scratch, properties)

    def _compare(
        self, candidates: Sequence[tuple[OpenedStream, PlanTerms, ResumedDraft | None]], membership: Membership
    ) -> list[Draft]:
        """Return a draft for each destination, in order; a resumed plan is not compared again."""
        session = self._session
        drafts: list[Draft] = []
        with session.step("Compare with the ledger"), session.ports.engine.connect() as connection:
            for opened, terms, resumed in candidates:
                draft = resumed or compare(connection, opened, terms, membership)
                if resumed is None:
                    session.note(report_draft(draft))
                log.info("%s", session.report.destination(opened.stream.destination.name).changes_line())
                drafts.append(draft)
        return drafts

    def _take_room(self, export_bytes: int) -> None:
        """Estimate the disk space that this sync needs, from what is known of its export so far."""
        session = self._session
        room_bytes = sync_room(export_bytes, len(session.ports.segment_clients))
        session.ports = replace(session.ports, room_bytes=room_bytes)
