"""Retire a cohort: send ``false`` to every user in its state, then purge the state.

    prove the write keys → find the ledgers by their folders → claim all
    → compare each destination's state with an empty membership
    → plans → each destination delivered, committed and purged by itself → report, delete the checkpoint, release

Amplitude is not asked, because the cohort may be archived or deleted. The ledger's rules hold as in a sync: a retry
resumes a retirement that ended early, and a later sync sends the changes that are in doubt.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.disk_space import retirement_room
from airflow_provider_amplitude_segment.core.export.run_checkpoint import RunCheckpoint, read_checkpoint
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.pruning import count_pairs, purge
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import require_mark
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_cohort_streams, other_destinations
from airflow_provider_amplitude_segment.core.membership.membership import empty_membership
from airflow_provider_amplitude_segment.core.plan.diff import PlanTerms
from airflow_provider_amplitude_segment.core.plan.draft import compare, find_resumable, report_draft
from airflow_provider_amplitude_segment.core.report.outcome import raise_for_rejected
from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
from airflow_provider_amplitude_segment.core.session import SyncSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.plan.draft import Draft, NewDraft
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)

_NO_EXPORT = ""
"""A retirement delivers no export. A sync of the same run that had requested one requests a new one."""


class CohortRetirement:
    """One retirement by one run's try. Used once; ``report`` and ``report_at_start`` are its session's."""

    def __init__(
        self,
        settings: SyncSettings,
        run: Run,
        ports: DeliveryPorts,
        *,
        app_id: str | None = None,
        recorded: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Prepare a retirement; nothing is read or sent yet.

        Args:
            settings: checked; those about an export or the trait's name are ignored.
            run: whose try this is.
            ports: what is outside of core.
            app_id: the Amplitude project's ID; needed if several projects synced the cohort.
            recorded: as in a sync.
        """
        self._settings = settings
        self._app_id = app_id
        self._session = SyncSession(settings, run, ports, "retire", recorded)

    @property
    def report(self) -> SyncReport:
        """How far the retirement came; correct at any time, also after an error."""
        return self._session.report

    @property
    def report_at_start(self) -> SyncReport:
        """The report when this try began to work, with what earlier tries of the run delivered."""
        return self._session.report_at_start

    def run(self) -> SyncReport:
        """Retire, and return the report.

        Raises:
            StateMarkError: ``state_path`` is no state path of this package; nothing was sent.
            WriteKeyError, SourceDisabledError: Segment would drop every message behind a 200; nothing was sent.
            LedgerNotFoundError: the cohort was never synced to one of the destinations; nothing was sent.
            AmplitudeSegmentError: see the tree in ``exceptions``; ``report`` shows how far the retirement came.
        """
        session, store = self._session, self._session.ports.store
        try:
            require_mark(store)
            session.prove_write_keys()
            streams = find_cohort_streams(
                store, self._settings.cohort_id, tuple(session.ports.segment_clients), self._app_id
            )
            with session.claimed(streams):
                self._retire_claimed()
            if others := other_destinations(store, streams):
                log.warning(
                    "Cohort %s was also synced to other destinations, and is not retired there: %s",
                    self._settings.cohort_id,
                    others,
                )
        except BaseException as error:
            session.complete_report(error)
            raise
        raise_for_rejected(session.report, self._settings.on_rejected)
        return session.report

    def _retire_claimed(self) -> None:
        session = self._session
        session.read_ledgers()
        for stream, entry in session.newest.items():
            session.proofs.warn_of_dropped_traits(stream.destination, () if entry is None else (entry.trait,))
        session.ports = replace(session.ports, room_bytes=retirement_room(session.newest.values()))
        session.check_state()
        session.checkpoint = self._read_checkpoint()
        for finished in session.checkpoint.finished.values():
            session.note(DestinationReport(**finished))
        session.report_at_start = session.report
        with session.step("Compare with the ledger"):
            drafts = self._open_drafts()
        session.report_at_start = session.report
        if self._settings.dry_run:
            session.list_planned(drafts)
        else:
            self._purge_all_but(drafts)
            if drafts:
                session.deliver(drafts)
        session.end()

    def _read_checkpoint(self) -> RunCheckpoint:
        """Return the run's checkpoint, with the destinations that this run retired and that were not synced since.

        It is written first, so that a retry recognizes the commits of a killed try.
        """
        session = self._session
        found = read_checkpoint(session.ports.store, session.streams[0], session.run)
        if found is None:
            checkpoint = RunCheckpoint(_NO_EXPORT, session.ports.clock.now(), {})
            if not self._settings.dry_run:
                session.keep(checkpoint)
            return checkpoint
        finished = {
            stream.folder: entry.report
            for stream, entry in session.newest.items()
            if isinstance(entry, Commit)
            and entry.run_key == session.run.key
            # The same run may also have synced.
            and entry.report.get("mode") == "retire"
        }
        return replace(found, export_request_id=_NO_EXPORT, finished=finished)

    def _open_drafts(self) -> list[Draft]:
        """Return a draft for each destination whose state has a user, or that has an unfinished plan."""
        session, drafts = self._session, []
        with session.ports.engine.connect() as engine:
            for opened in session.open_streams():
                terms = PlanTerms(opened.newest.trait if opened.newest is not None else "", "retire", _NO_EXPORT)
                draft: Draft | None = find_resumable(opened, terms, self._settings, session.run)
                if draft is None:
                    draft = compare(engine, opened, terms, empty_membership(engine, opened.scratch))
                    is_settled = not isinstance(opened.newest, Plan) and not opened.state_missing
                    if is_settled and count_pairs(engine, draft.base) == 0:
                        session.note(self._report_empty_state(draft))
                        continue
                report = report_draft(draft)
                session.note(report)
                log.info("%s: %s users will be sent false", report.segment_conn_id, f"{report.planned:,}")
                drafts.append(draft)
        return drafts

    def _report_empty_state(self, draft: NewDraft) -> DestinationReport:
        destination = draft.opened.stream.destination
        log.info("%s: the state of cohort %s has no user", destination.segment_conn_id, self._settings.cohort_id)
        return replace(report_draft(draft), committed=not self._settings.dry_run)

    def _purge_all_but(self, drafts: Sequence[Draft]) -> None:
        """Purge the ledgers that need no delivery: a killed try or a dry run may have left files there."""
        session = self._session
        pending = {draft.opened.stream for draft in drafts}
        for stream, entry in session.newest.items():
            if stream not in pending and not isinstance(entry, Plan):
                session.held_claims.verify(stream)
                purge(session.ledgers[stream], entry, session.held_claims.generation(stream))
